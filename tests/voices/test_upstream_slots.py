"""One number of upstream slots for all processes: refused at once when full, fair between customers."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from tests.servers import database_url
from voices.limiter import PLATFORM, acquire, extend, is_fair, release
from voices.models import UpstreamDemand, UpstreamSlot

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import django; django.setup()
from voices.limiter import acquire
for _ in range(3):
    assert acquire(account="crashing")
print("held", flush=True)
import time; time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _limit(settings: Any) -> None:
    settings.FISH_CONCURRENCY = 5


@pytest.mark.django_db
def test_it_works() -> None:
    slots = [acquire(account="alice") for _ in range(5)]
    assert all(slots)
    assert acquire(account="alice") is None
    release(slot=slots[0])  # type: ignore[arg-type]
    assert acquire(account="alice")


@pytest.mark.django_db
def test_who_came_too_late_has_the_next_slot() -> None:
    slots = [acquire(account="alice") for _ in range(5)]
    assert acquire(account="bob") is None
    release(slot=slots[0])  # type: ignore[arg-type]
    assert acquire(account="alice") is None
    assert acquire(account="bob")


@pytest.mark.django_db
def test_with_others_about_one_slot_is_kept_for_a_newcomer() -> None:
    bob = acquire(account="bob")
    release(slot=bob)  # type: ignore[arg-type]
    assert all(acquire(account="alice") for _ in range(4))
    assert acquire(account="alice") is None
    assert acquire(account="charlie")


@pytest.mark.django_db
def test_a_lone_customer_has_everything_again_later() -> None:
    release(slot=acquire(account="bob"))  # type: ignore[arg-type]
    UpstreamDemand.objects.update(asked_at=timezone.now() - timedelta(minutes=2))
    assert all(acquire(account="alice") for _ in range(5))


@pytest.mark.django_db
def test_the_platforms_own_requests_cost_a_customer_nothing() -> None:
    mine = acquire(account=PLATFORM)
    assert all(acquire(account="alice") for _ in range(4))
    assert acquire(account=PLATFORM) is None
    release(slot=mine)  # type: ignore[arg-type]
    assert acquire(account="alice")


@pytest.mark.parametrize(
    ("held", "refused", "about", "may"),
    [
        ({}, set(), set(), True),
        ({"me": 4}, set(), set(), True),
        ({"me": 5}, set(), set(), False),
        ({"me": 4}, set(), {"you"}, False),  # the last one is kept for a newcomer
        ({"me": 3}, set(), {"you"}, True),
        ({"me": 2, "you": 1}, {"you"}, {"you"}, True),  # two are free: one for each
        ({"me": 3, "you": 1}, {"you"}, {"you"}, False),  # the last free one is theirs
        ({"you": 3, "me": 1}, {"you"}, {"you"}, True),  # the richer may not hold me up
        ({"you": 4}, {"you"}, {"you"}, True),
        ({"you": 5}, set(), {"you"}, False),
    ],
)
def test_fairness(held: dict[str, int], refused: set[str], about: set[str], may: bool) -> None:
    counter = Counter(held)
    assert is_fair(account="me", held=counter, refused=refused, about=about, limit=5) is may


def test_greedy_customers_settle_at_equal_shares() -> None:
    """Whoever asks in whatever order: in the end everybody who wants has about the same."""
    for limit, customers in ((5, 2), (6, 3), (15, 4), (50, 7)):
        held: Counter[str] = Counter({"c0": limit})
        refused: set[str] = set()
        about = {f"c{number}" for number in range(customers)}
        for turn in range(400):
            if held.total() == limit:
                held[max(held, key=lambda name: held[name])] -= 1
            for number in range(customers):
                name = f"c{(turn + number) % customers}"
                if is_fair(account=name, held=held, refused=refused, about=about, limit=limit):
                    held[name] += 1
                    refused.discard(name)
                else:
                    refused.add(name)
        assert max(held.values()) - min(held.values()) <= 2, (limit, held)
        assert held.total() >= limit - 1


def test_many_at_once_never_exceed_the_limit(stage: None) -> None:
    def take(number: int) -> bool:
        try:
            return acquire(account=f"customer {number % 8}") is not None
        finally:
            connections.close_all()

    with ThreadPoolExecutor(16) as pool:
        granted = sum(pool.map(take, range(64)))
    assert granted == UpstreamSlot.objects.count() <= 5
    assert granted >= 4


@pytest.mark.django_db
def test_a_refusal_takes_no_time() -> None:
    for _ in range(5):
        acquire(account="alice")
    started = time.perf_counter()
    for _ in range(20):
        assert acquire(account="bob") is None
    assert time.perf_counter() - started < 2


@pytest.mark.django_db
def test_a_lease_ends_unless_it_is_extended() -> None:
    kept, lost = acquire(account="alice"), acquire(account="bob")
    assert kept
    assert lost
    UpstreamSlot.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert extend(slots=[kept]) == 1
    for _ in range(4):
        acquire(account="charlie")
    assert UpstreamSlot.objects.filter(pk=kept).exists()
    assert not UpstreamSlot.objects.filter(pk=lost).exists()
    release(slot=uuid.uuid4())


@pytest.mark.django_db
def test_a_lease_that_was_lost_is_told(caplog: pytest.LogCaptureFixture) -> None:
    kept = acquire(account="alice")
    assert kept
    assert extend(slots=[kept, uuid.uuid4()]) == 1
    assert [record.message for record in caplog.records] == ["1 of 2 upstream slots are no longer held"]


def test_a_killed_process_loses_its_slots(stage: None) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        env=_environment(),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    assert UpstreamSlot.objects.count() == 3
    assert acquire(account="alice")
    assert acquire(account="alice")
    assert acquire(account="bob") is None
    UpstreamSlot.objects.filter(account="crashing").update(expires_at=timezone.now())
    assert acquire(account="bob")
    assert not UpstreamSlot.objects.filter(account="crashing").exists()


def _environment() -> dict[str, str]:
    return os.environ | {"DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "fr02.settings"}
