"""Holding credit: one statement checks credit, concurrency and rate. L2, L6."""

import random
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import User
from billing import ledger
from billing.models import Account, Hold
from billing.services import (
    credit_of,
    extend_holds,
    grow_hold,
    hold_credit,
    settle_hold,
    void_expired_holds,
)
from fr02.errors import Forbidden, InsufficientCredit, RateLimited, TooManyStreams
from fr02.quota import Quota
from tests.billing.helpers import (
    EURO,
    account_of,
    buy,
    drifts,
    entries_of,
    outcome,
    outcomes,
    settle,
    speak,
    together,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_works(alice: User) -> None:
    buy(alice, EURO)
    hold = hold_credit(user_id=alice.pk, amount_micros=400_000, life_s=60)

    assert credit_of(alice.pk).available_micros == 600_000
    settlement = settle(hold, 300_000)

    assert settlement is not None
    assert (settlement.balance_micros, settlement.captured_micros) == (700_000, 300_000)
    assert settlement.available_micros == credit_of(alice.pk).available_micros == 700_000
    assert entries_of(alice, "capture") == [-300_000]
    assert Hold.objects.get(pk=hold.pk).characters == 60_000


def test_credit_that_is_not_there(alice: User) -> None:
    buy(alice, EURO)
    with pytest.raises(InsufficientCredit) as refusal:
        hold_credit(user_id=alice.pk, amount_micros=EURO + 1, life_s=60)
    assert refusal.value.extra == {"required_micros": EURO + 1, "available_micros": EURO}
    assert refusal.value.status == 402


def test_held_credit_is_not_there_twice(alice: User) -> None:
    buy(alice, EURO)
    hold_credit(user_id=alice.pk, amount_micros=EURO, life_s=60)
    assert outcome(lambda: hold_credit(user_id=alice.pk, amount_micros=1, life_s=60)) == "insufficient_credit"


def test_a_hold_grows(alice: User) -> None:
    buy(alice, EURO)
    hold = hold_credit(user_id=alice.pk, amount_micros=100_000, life_s=60)
    assert grow_hold(hold_id=hold.pk, by_micros=300_000)
    assert Hold.objects.get(pk=hold.pk).amount_micros == 400_000
    assert credit_of(alice.pk).available_micros == 600_000
    settlement = settle(hold, 350_000)
    assert settlement is not None
    assert (settlement.captured_micros, settlement.available_micros) == (350_000, 650_000)
    assert drifts() == []


def test_a_hold_does_not_grow_beyond_the_credit(alice: User) -> None:
    buy(alice, EURO)
    hold = hold_credit(user_id=alice.pk, amount_micros=400_000, life_s=60)
    with pytest.raises(InsufficientCredit) as refusal:
        grow_hold(hold_id=hold.pk, by_micros=600_001)
    assert refusal.value.extra == {"required_micros": 600_001, "available_micros": 600_000}
    assert Hold.objects.get(pk=hold.pk).amount_micros == 400_000
    assert drifts() == []


def test_a_hold_does_not_grow_while_the_account_is_frozen(alice: User) -> None:
    buy(alice, EURO)
    hold = hold_credit(user_id=alice.pk, amount_micros=10, life_s=60)
    Account.objects.filter(user=alice).update(is_frozen=True)
    with pytest.raises(Forbidden):
        grow_hold(hold_id=hold.pk, by_micros=10)


def test_a_settled_hold_does_not_grow(alice: User) -> None:
    buy(alice, EURO)
    hold = hold_credit(user_id=alice.pk, amount_micros=10, life_s=60)
    settle(hold, 10)
    assert not grow_hold(hold_id=hold.pk, by_micros=10)
    assert credit_of(alice.pk).held_micros == 0
    assert drifts() == []


def test_a_hold_does_not_grow_from_a_gift_that_has_expired(alice: User, monkeypatch) -> None:
    ledger.grant_credit(
        user_id=alice.pk,
        amount_micros=EURO,
        reason="Essai",
        expires_at=timezone.now() + timedelta(minutes=1),
    )
    hold = hold_credit(user_id=alice.pk, amount_micros=100_000, life_s=600)
    later = timezone.now() + timedelta(minutes=2)
    monkeypatch.setattr(timezone, "now", lambda: later)
    with pytest.raises(InsufficientCredit):
        grow_hold(hold_id=hold.pk, by_micros=100_000)
    settlement = settle(hold, 100_000)
    assert settlement is not None
    assert settlement.captured_micros == 100_000
    assert drifts() == []


def test_growing_and_settling_at_once_agree(alice: User) -> None:
    buy(alice, EURO)
    for _ in range(10):
        hold = hold_credit(user_id=alice.pk, amount_micros=10, life_s=60)

        def work(index: int, hold: Hold = hold) -> object:
            return grow_hold(hold_id=hold.pk, by_micros=5) if index % 4 else settle(hold, 10)

        together(8, work)
        assert credit_of(alice.pk).held_micros == 0
    assert drifts() == []


def test_a_free_engine_needs_no_credit(alice: User) -> None:
    hold = hold_credit(user_id=alice.pk, amount_micros=0, life_s=60)
    settlement = settle_hold(hold_id=hold.pk, amount_micros=0, source_type="generation", source_id="a")
    assert settlement is not None
    assert settlement.captured_micros == 0
    assert entries_of(alice, "capture") == []


def test_too_many_streams(alice: User, settings) -> None:
    settings.STREAMS_PER_ACCOUNT = 3
    buy(alice, EURO)
    holds = [hold_credit(user_id=alice.pk, amount_micros=10, life_s=60) for _ in range(3)]
    with pytest.raises(TooManyStreams) as refusal:
        hold_credit(user_id=alice.pk, amount_micros=10, life_s=60)
    assert refusal.value.quota == Quota("streams", 3, 0, 1)
    settle(holds[0], 10)
    hold_credit(user_id=alice.pk, amount_micros=10, life_s=60)


def test_rate(alice: User, settings, monkeypatch) -> None:
    settings.REQUESTS_PER_MINUTE = 6
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    buy(alice, EURO)
    for _ in range(6):
        speak(alice, 10)
    with pytest.raises(RateLimited) as refusal:
        speak(alice, 10)
    assert refusal.value.code == "rate_limited"
    assert refusal.value.retry_after_s == pytest.approx(10, abs=0.1)
    assert refusal.value.quota == Quota("requests", 6, 0, 60, 60)

    monkeypatch.setattr(timezone, "now", lambda: now + timedelta(seconds=10.01))
    speak(alice, 10)
    assert outcome(lambda: speak(alice, 10)) == "rate_limited"


def test_a_hold_says_what_the_minute_still_takes(alice: User, settings, monkeypatch) -> None:
    settings.REQUESTS_PER_MINUTE = 6
    buy(alice, EURO)
    now = timezone.now()
    seen = []
    for seconds in (0, 0, 0, 25, 90):
        monkeypatch.setattr(timezone, "now", lambda seconds=seconds: now + timedelta(seconds=seconds))
        hold = hold_credit(user_id=alice.pk, amount_micros=10, life_s=600)
        assert hold.quota is not None
        seen.append((hold.quota.remaining, round(hold.quota.reset_s)))
    assert seen == [(5, 10), (4, 20), (3, 30), (4, 15), (5, 10)]


def test_a_frozen_account(alice: User) -> None:
    buy(alice, EURO)
    Account.objects.filter(user=alice).update(is_frozen=True)
    with pytest.raises(Forbidden):
        speak(alice, 10)


def test_welcome_credit_is_given_once(alice: User, settings) -> None:
    settings.WELCOME_CREDIT_MICROS = 2 * EURO
    assert credit_of(alice.pk).balance_micros == 2 * EURO
    assert credit_of(alice.pk).granted_micros == 2 * EURO
    assert entries_of(alice, "grant") == [2 * EURO]


def test_first_use_by_many_at_once_opens_one_account(alice: User, settings) -> None:
    settings.WELCOME_CREDIT_MICROS = 2 * EURO
    assert outcomes(16, lambda: speak(alice, 10)) == {"ok": 16}
    assert account_of(alice).balance_micros == 2 * EURO - 160
    assert entries_of(alice, "grant") == [2 * EURO]


def test_l02_use_never_overdraws(alice: User, settings) -> None:
    """64 at once against credit for 10, twenty times: exactly 10 are served."""
    settings.STREAMS_PER_ACCOUNT = 64
    for _ in range(20):
        buy(alice, 10 * 50_000)
        seen = outcomes(64, lambda: hold_credit(user_id=alice.pk, amount_micros=50_000, life_s=60))
        assert seen == {"ok": 10, "insufficient_credit": 54}
        assert account_of(alice).available_micros == 0
        for hold in Hold.objects.open():
            settle(hold, 50_000)
        assert account_of(alice).balance_micros == 0


def test_l05_capture_is_at_most_the_hold_and_the_rest_returns(alice: User) -> None:
    buy(alice, EURO)
    for percent in (0, 10, 50, 90, 100, 130):
        before = account_of(alice).balance_micros
        settlement = speak(alice, 100_000, 1_000 * percent)
        assert settlement is not None
        assert settlement.captured_micros == min(1_000 * percent, 100_000)
        assert account_of(alice).balance_micros == before - settlement.captured_micros
        assert account_of(alice).held_micros == 0


def test_of_many_settlements_one_wins(alice: User) -> None:
    buy(alice, EURO)
    hold = hold_credit(user_id=alice.pk, amount_micros=1_000, life_s=-1)

    def close(index: int) -> bool:
        return bool(void_expired_holds()) if index % 4 == 0 else settle(hold, 10 + index) is not None

    assert sum(together(16, close)) == 1
    assert len(entries_of(alice, "capture")) <= 1
    assert account_of(alice).held_micros == 0


def test_a_hold_comes_back_by_itself(alice: User) -> None:
    buy(alice, EURO)
    lost = hold_credit(user_id=alice.pk, amount_micros=1_000, life_s=-1)
    alive = hold_credit(user_id=alice.pk, amount_micros=500, life_s=-1)
    assert extend_holds(hold_ids=[alive.pk], life_s=60) == 1

    assert void_expired_holds() == 1
    assert account_of(alice).held_micros == 500
    assert settle(lost, 1_000) is None
    assert extend_holds(hold_ids=[lost.pk], life_s=60) == 0
    assert settle(alive, 500) is not None


def test_l06_no_hold_leaks(alice: User, bob: User, settings) -> None:
    """Ten thousand random requests, with failures and processes that never come back: no hold stays open."""
    settings.STREAMS_PER_ACCOUNT = 1_000_000
    people = [alice, bob]
    for user in people:
        buy(user, 100 * EURO)

    def live(index: int) -> None:
        dice = random.Random(index)
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = off")  # 20 000 commits; no crash is tested here
        for _ in range(1_250):
            user = dice.choice(people)
            fate = dice.random()
            hold = hold_credit(
                user_id=user.pk, amount_micros=dice.randrange(100), life_s=60 if fate < 0.9 else -1
            )
            if fate < 0.6:
                settle(hold, dice.randrange(150))
            elif fate < 0.9:
                settle_hold(
                    hold_id=hold.pk, amount_micros=0, source_type="generation", source_id=str(hold.pk)
                )
            # else: the process died, and only the sweeper remembers
        with connection.cursor() as cursor:
            cursor.execute("RESET synchronous_commit")

    started_at = time.monotonic()
    together(8, live)
    print(f"10 000 requests in {time.monotonic() - started_at:.1f} s")
    while void_expired_holds():
        pass
    assert Hold.objects.count() == 10_000
    assert not Hold.objects.open().exists()
    assert {account_of(user).held_micros for user in people} == {0}
