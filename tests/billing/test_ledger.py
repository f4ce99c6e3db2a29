"""The books themselves: immutable, balanced, provable. L1, L14, L15."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import User
from billing import ledger
from billing.models import Account, Entry, Grant, GrantUse
from billing.services import credit_of, hold_credit
from fr02.errors import InvalidRequest
from tests.billing.helpers import CENT, EURO, account_of, buy, drifts, entries_of, outcome, settle, speak

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""

    class Clock:
        now = timezone.now()

        def forward(self, **by: float) -> None:
            self.now += timedelta(**by)

    clock = Clock()
    monkeypatch.setattr(timezone, "now", lambda: clock.now)
    return clock


def test_l01_check_ledger_says_that_the_books_balance(alice: User) -> None:
    buy(alice, EURO)
    speak(alice, 100)
    out = StringIO()
    call_command("check_ledger", stdout=out)
    assert "Le grand livre est juste." in out.getvalue()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE billing_account SET balance_micros = balance_micros + 1",
        "UPDATE billing_account SET held_micros = 7",
        "UPDATE billing_account SET open_holds = 3",
        "UPDATE billing_account SET granted_micros = 7",
        "UPDATE billing_grant SET remaining_micros = 1",
        "UPDATE billing_hold SET captured_micros = 99 WHERE state = 'captured'",
        "UPDATE billing_topup SET credited_at = NULL",
        "UPDATE billing_topup SET clawed_back_micros = 7",
    ],
)
def test_l01_check_ledger_finds_every_kind_of_drift(alice: User, damage: str) -> None:
    buy(alice, EURO)
    ledger.grant_credit(user_id=alice.pk, amount_micros=50, reason="Essai")
    speak(alice, 100)
    assert drifts() == []
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(damage)
        with pytest.raises(CommandError):
            call_command("check_ledger", stdout=StringIO())
        transaction.set_rollback(True)


@pytest.mark.parametrize("table", ["billing_entry", "billing_grantuse"])
@pytest.mark.parametrize("change", ["UPDATE {} SET amount_micros = 1", "DELETE FROM {}"])
def test_l15_history_is_immutable(alice: User, table: str, change: str) -> None:
    ledger.grant_credit(user_id=alice.pk, amount_micros=50, reason="Essai")
    speak(alice, 10)
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(change.format(table))


def test_l15_django_cannot_change_an_entry_either(alice: User) -> None:
    buy(alice, EURO)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        Entry.objects.update(amount_micros=5)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        Entry.objects.all().delete()


def test_a_movement_with_one_leg_does_not_commit(alice: User) -> None:
    buy(alice, EURO)
    with pytest.raises(IntegrityError, match="do not sum to zero"):
        Entry.objects.create(house="revenue", amount_micros=5, kind="adjust", source_type="x", source_id="1")
    with pytest.raises(IntegrityError, match="entry_customer_or_house"):
        Entry.objects.create(amount_micros=5, kind="adjust", source_type="x", source_id="1")


def test_the_same_source_books_nothing_twice(alice: User) -> None:
    buy(alice, EURO)
    holds = [hold_credit(user_id=alice.pk, amount_micros=100, life_s=60) for _ in range(2)]
    settle(holds[0], 100, source_id="one")
    with pytest.raises(IntegrityError, match="entry_once_per_source"), transaction.atomic():
        settle(holds[1], 100, source_id="one")
    assert account_of(alice).balance_micros == EURO - 100
    assert account_of(alice).held_micros == 100


def test_l14_grants_burn_in_order(alice: User, clock) -> None:
    buy(alice, EURO)
    now = clock.now
    order = {
        "promo": {"priority": 10, "expires_at": now + timedelta(days=9)},
        "soon": {"priority": 50, "expires_at": now + timedelta(days=1)},
        "later": {"priority": 50, "expires_at": now + timedelta(days=2)},
        "old": {"priority": 50},
        "new": {"priority": 50},
    }
    for name in ("old", "later", "promo", "soon", "new"):
        ledger.grant_credit(user_id=alice.pk, amount_micros=100, reason=name, **order[name])
    speak(alice, 450)
    left = dict(Grant.objects.values_list("reason", "remaining_micros"))
    assert left == {"promo": 0, "soon": 0, "later": 0, "old": 0, "new": 50}
    burnt = GrantUse.objects.order_by("pk").values_list("grant__reason", flat=True)
    assert set(burnt) == set(order)
    speak(alice, 100)
    assert credit_of(alice.pk).balance_micros == EURO - 50
    assert credit_of(alice.pk).granted_micros == 0


def test_l14_a_grant_expires_at_the_second(alice: User, clock) -> None:
    buy(alice, 300 * CENT)
    ledger.grant_credit(
        user_id=alice.pk,
        amount_micros=100 * CENT,
        reason="Promo",
        expires_at=clock.now + timedelta(seconds=60),
    )
    clock.forward(seconds=59.999)
    assert credit_of(alice.pk).available_micros == 400 * CENT
    hold = hold_credit(user_id=alice.pk, amount_micros=400 * CENT, life_s=600)
    settle(hold, 0)

    clock.forward(seconds=0.001)
    assert (
        outcome(lambda: hold_credit(user_id=alice.pk, amount_micros=301 * CENT, life_s=60))
        == "insufficient_credit"
    )
    assert credit_of(alice.pk).available_micros == 300 * CENT
    assert entries_of(alice, "expiry") == [-100 * CENT]
    clock.forward(days=1)
    assert ledger.expire_grants() == 0
    assert entries_of(alice, "expiry") == [-100 * CENT]


@pytest.mark.parametrize(("used", "expired"), [(80, [-20]), (30, [-20, -50]), (0, [-20, -80])])
def test_l14_an_open_hold_over_an_expiry_is_honoured(
    alice: User, clock, used: int, expired: list[int]
) -> None:
    buy(alice, 300 * CENT)
    ledger.grant_credit(
        user_id=alice.pk,
        amount_micros=100 * CENT,
        reason="Promo",
        expires_at=clock.now + timedelta(seconds=60),
    )
    hold = hold_credit(user_id=alice.pk, amount_micros=80 * CENT, life_s=600)
    clock.forward(seconds=60)
    assert ledger.expire_grants() == 1
    assert credit_of(alice.pk).available_micros == 300 * CENT, "the paid credit is untouched"

    speak(alice, 300 * CENT)  # a younger hold cannot use what has expired
    assert Grant.objects.get().remaining_micros == 80 * CENT
    settlement = settle(hold, used * CENT)
    assert settlement is not None
    assert settlement.captured_micros == used * CENT
    assert settlement.balance_micros == 0
    assert entries_of(alice, "expiry") == [amount * CENT for amount in expired]


def test_a_grant_pays_a_debt_first(alice: User) -> None:
    buy(alice, 100 * CENT)
    account = account_of(alice)
    ledger.post_movement(
        account=account,
        house="adjustments",
        kind="adjust",
        amount_micros=-250 * CENT,
        source_type="x",
        source_id="1",
    )
    grant = ledger.grant_credit(user_id=alice.pk, amount_micros=200 * CENT, reason="Geste commercial")
    assert grant.remaining_micros == 50 * CENT
    assert credit_of(alice.pk).balance_micros == 50 * CENT
    assert credit_of(alice.pk).granted_micros == 50 * CENT


def test_adjust_needs_reason_and_credit(alice: User, bob: User) -> None:
    buy(alice, 100 * CENT)
    ledger.adjust_credit(
        user_id=alice.pk, amount_micros=-40 * CENT, reason="Erreur de saisie", actor_id=bob.pk
    )
    entry = Entry.objects.get(account__user=alice, kind="adjust")
    assert (entry.amount_micros, entry.reason, entry.actor_id) == (-40 * CENT, "Erreur de saisie", bob.pk)
    right: dict[str, Any] = {
        "user_id": alice.pk,
        "amount_micros": 5 * CENT,
        "reason": "Essai",
        "actor_id": bob.pk,
    }
    for wrong in ({"amount_micros": -61 * CENT}, {"amount_micros": 0 * CENT}, {"reason": " "}):
        with pytest.raises(InvalidRequest):
            ledger.adjust_credit(**right | wrong)


def test_books_outlive_the_user(alice: User) -> None:
    buy(alice, 100 * CENT)
    with pytest.raises(IntegrityError), transaction.atomic():
        alice.delete()
    assert Account.objects.filter(user=alice).exists()
