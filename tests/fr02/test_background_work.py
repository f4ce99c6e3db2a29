"""The background worker as `make run` starts it, on the database of the test."""

import contextlib
import os
import subprocess
import time
from datetime import timedelta

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob, ProcrastinatePeriodicDefer
from procrastinate.exceptions import AlreadyEnqueued

from billing.models import Hold
from billing.services import credit_of, hold_credit
from billing.tasks import HOLD_GRACE, sweep
from fr02.run import programs
from tests.fish_stand_in.running import running_stand_in
from tests.servers import ROOT, database_url

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_earlier_work(transactional_db):
    """Forget the work that earlier tests left: these tables are not emptied between tests."""
    with connection.cursor() as cursor:
        for table in ("procrastinate_periodic_defers", "procrastinate_events", "procrastinate_jobs"):
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608


def start_worker(folder, **extra):
    """Start the worker with the very command of `make run`, asking for work more often."""
    (command,) = [program.command for program in programs(0) if "procrastinate" in program.command]
    own = {"DATABASE_URL": database_url(), "FR02_VAR_DIR": str(settings.VAR_DIR)}
    with (folder / "worker.log").open("wb") as log:
        return subprocess.Popen(
            [*command, "--fetch-job-polling-interval", "0.2"],
            cwd=ROOT,
            env=os.environ | own | extra,
            stdout=log,
            stderr=log,
        )


def wait_for(is_so, process, seconds=30):
    deadline = time.monotonic() + seconds
    while not is_so():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def overdue_hold(person):
    credit_of(person.user.pk)
    hold = hold_credit(user_id=person.user.pk, amount_micros=10, life_s=60)
    Hold.objects.filter(pk=hold.pk).update(expires_at=timezone.now() - HOLD_GRACE - timedelta(minutes=1))
    return Hold.objects.filter(pk=hold.pk, state=Hold.State.OPEN)


def test_it_works(alice, tmp_path):
    """The mirror goes on for hours; a sweep that is asked for meanwhile is done at once."""
    name = "billing.tasks.sweep"
    sweeps = ProcrastinateJob.objects.filter(task_name=name)
    asked = ProcrastinatePeriodicDefer.objects.filter(task_name=name)
    with running_stand_in() as fish:
        slow = {"FISH_API_KEY": "cle", "FISH_BASE_URL": fish.base_url, "COMMUNITY_SYNC_PER_SECOND": "0.001"}
        app.configure_task("community.tasks.mirror_catalogue").defer(timestamp=0)
        worker = start_worker(tmp_path, **slow)
        try:
            wait_for(lambda: fish.asked("model"), worker)
            # The worker begins with the sweep of this minute, or of the next.
            wait_for(lambda: asked.exists() and not sweeps.exists(), worker, seconds=90)
            is_open = overdue_hold(alice)
            with contextlib.suppress(AlreadyEnqueued):  # the next minute has begun
                app.configure_task("billing.tasks.sweep").defer(timestamp=0)
            wait_for(lambda: not is_open.exists(), worker)
            mirror = ProcrastinateJob.objects.get(task_name="community.tasks.mirror_catalogue")
            assert mirror.status == "doing"
        finally:
            worker.kill()
            worker.wait()


def test_a_sweep_beside_another_leaves_it_alone(alice):
    is_open = overdue_hold(alice)
    with psycopg.connect(database_url(), autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(hashtext('billing.sweep'))")
        sweep(timestamp=0)
        assert is_open.exists()
        other.execute("SELECT pg_advisory_unlock_all()")
    sweep(timestamp=0)
    assert not is_open.exists()


def test_a_sweep_that_fails_lets_the_next_one_work(alice, monkeypatch):
    def broken(**_arguments):
        raise ConnectionError("la base ne répond pas")

    is_open = overdue_hold(alice)
    with monkeypatch.context() as patch:
        patch.setattr("billing.services.void_expired_holds", broken)
        with pytest.raises(ConnectionError):
            sweep(timestamp=0)
    with psycopg.connect(database_url(), autocommit=True) as other:
        row = other.execute("SELECT pg_try_advisory_lock(hashtext('billing.sweep'))").fetchone()
        assert row == (True,)
        other.execute("SELECT pg_advisory_unlock_all()")
    sweep(timestamp=0)
    assert not is_open.exists()
