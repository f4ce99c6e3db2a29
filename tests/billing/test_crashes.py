"""Crashes leave a hold or a capture, never both, never neither for ever. L4, on a cluster made to be broken."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from fr02 import embedded
from tests.servers import ROOT

CRASHES = 5
CAPTURES_BETWEEN = 50
CREDIT_MICROS = 10_000_000_000


@dataclass
class Cluster:
    """A PostgreSQL of its own, with the tables of accounts and billing, and one customer with credit."""

    var_dir: Path
    url: str
    user_id: int = 0

    @property
    def environment(self) -> dict[str, str]:
        extra = {
            "DATABASE_URL": self.url,
            "DJANGO_SETTINGS_MODULE": "fr02.settings",
            "LOG_LEVEL": "ERROR",
            "WELCOME_CREDIT_MICROS": str(CREDIT_MICROS),
        }
        return os.environ | extra

    def manage(self, *words: str) -> str:
        """Run a management command; a failure is an error."""
        command = [sys.executable, "manage.py", *words, "--skip-checks"]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def worker(self, mode: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.billing.crash_worker", mode, str(self.user_id)]
        return subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def sweep(self) -> None:
        """Release what is overdue, and prove the books."""
        sweeper = self.worker("sweep")
        output, _ = sweeper.communicate(timeout=60)
        assert sweeper.returncode == 0
        assert "Le grand livre est juste." in output

    def rows(self, query: str) -> list[tuple]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query).fetchall()

    def wait_for_captures(self, number: int) -> None:
        """Return once so many more captures stand in the books."""
        query = "SELECT count(*) FROM billing_hold WHERE state = 'captured'"
        target = self.rows(query)[0][0] + number
        deadline = time.monotonic() + 60
        while self.rows(query)[0][0] < target:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def crash(self) -> None:
        """Stop the server as `pg_ctl stop -m immediate` does, without a shutdown checkpoint, and start it again."""
        pid = int((self.var_dir / "postgres" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        deadline = time.monotonic() + 30
        while _is_alive(pid):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert embedded.database_url(self.var_dir) == self.url


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    var_dir = tmp_path_factory.mktemp("cluster")
    cluster = Cluster(var_dir, embedded.database_url(var_dir))
    cluster.manage("migrate")
    insert = """INSERT INTO accounts_user (password, is_superuser, email, is_active, is_staff, date_joined)
        VALUES ('', false, 'alice@example.fr', true, false, now()) RETURNING id"""
    cluster.user_id = cluster.rows(insert)[0][0]
    yield cluster
    embedded.release(var_dir)
    shutil.rmtree((var_dir / "postgres").resolve())


def test_l04_a_killed_process(cluster: Cluster) -> None:
    """kill -9 after the hold, in the middle of the capture, after the capture."""
    workers: list[subprocess.Popen[str]] = []
    holds = {}
    for points in (
        ("held", "captured"),
        ("uncommitted",),
    ):  # the last keeps the account locked until it is dead
        started = {point: cluster.worker(point) for point in points}
        workers += started.values()
        for point, worker in started.items():
            assert worker.stdout is not None
            said, hold_id = worker.stdout.readline().split()
            assert said == point
            holds[point] = int(hold_id)
    for worker in workers:
        worker.kill()
        worker.communicate()
    cluster.sweep()
    ends = {row[0]: row[1:] for row in cluster.rows("SELECT id, state, captured_micros FROM billing_hold")}
    assert ends[holds["held"]] == ends[holds["uncommitted"]] == ("expired", 0)
    assert ends[holds["captured"]] == ("captured", 60)
    assert cluster.rows("SELECT held_micros, open_holds FROM billing_account") == [(0, 0)]


def test_l04_five_immediate_stops_under_sixteen_writers(cluster: Cluster) -> None:
    """Nothing that was acknowledged is lost, nothing is booked twice, every hold ends."""
    workers = [cluster.worker("write") for _ in range(2)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline().strip() == "ready"
    for _ in range(CRASHES):
        cluster.wait_for_captures(CAPTURES_BETWEEN)
        cluster.crash()
    lines: list[str] = []
    for worker in workers:
        output, _ = worker.communicate("", timeout=60)
        assert worker.returncode == 0
        lines += output.splitlines()
    cluster.sweep()

    acked = {line.split()[1] for line in lines if line.startswith("acked")}
    booked = {row[0] for row in cluster.rows("SELECT source_id FROM billing_entry WHERE kind = 'capture'")}
    assert len(acked) > CRASHES * CAPTURES_BETWEEN / 2, "the crashes left too little to prove anything"
    assert acked - booked == set(), "acknowledged, then lost"
    assert cluster.rows("SELECT count(*) FROM billing_hold WHERE state = 'open'") == [(0,)]
    print(
        f"{len(acked)} acknowledged, {len(booked - acked)} booked in doubt, {len(lines) - len(acked)} found done"
    )


def _is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
