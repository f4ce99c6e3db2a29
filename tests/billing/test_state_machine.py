"""Anything in any order: whatever a customer, Stripe and the clock do, the books balance. L1."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Sum
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts.models import User
from billing import ledger, payments
from billing.models import Account, Entry, Hold, TopUp
from billing.services import credit_of, hold_credit, settle_hold, void_expired_holds
from fr02.errors import Forbidden, InsufficientCredit, InvalidRequest, TooManyStreams
from tests.billing.helpers import CENT, buy, drifts

pytestmark = pytest.mark.django_db(transaction=True)
EXAMPLES, STEPS = 25, 50
AMOUNTS = st.integers(1, 300).map(lambda cents: cents * CENT)


class Books(RuleBasedStateMachine):
    """One customer, a clock that only the test moves, and everything that can happen to money."""

    def __init__(self) -> None:
        super().__init__()
        self.now = timezone.now()
        self.real_now, timezone.now = timezone.now, lambda: self.now
        Books.number += 1
        self.user = User.objects.create_user(f"automate-{Books.number}@caisse.example")
        credit_of(self.user.pk)
        self.top_ups: list[TopUp] = []
        self.holds: list[Hold] = []
        self.money_back = False

    number = 0
    steps = 0

    def teardown(self) -> None:
        timezone.now = self.real_now
        assert drifts() == []
        for hold in self.holds:
            settle_hold(
                hold_id=hold.pk, amount_micros=0, source_type="generation", source_id=f"end-{hold.pk}"
            )
        assert drifts() == []

    @rule(amount=AMOUNTS)
    def top_up(self, amount: int) -> None:
        self.top_ups.append(buy(self.user, amount))

    @rule(amount=AMOUNTS, priority=st.sampled_from([10, 50, 90]), life=st.sampled_from([None, 5, 60, 600]))
    def grant(self, amount: int, priority: int, life: int | None) -> None:
        expires_at = self.now + timedelta(seconds=life) if life else None
        ledger.grant_credit(
            user_id=self.user.pk,
            amount_micros=amount,
            reason="Hasard",
            priority=priority,
            expires_at=expires_at,
        )

    @rule(amount=AMOUNTS, life=st.sampled_from([1, 30, 300]))
    def hold(self, amount: int, life: int) -> None:
        available = credit_of(self.user.pk).available_micros
        try:
            self.holds.append(hold_credit(user_id=self.user.pk, amount_micros=amount, life_s=life))
            assert amount <= available
        except InsufficientCredit:
            assert amount > available
        except (Forbidden, TooManyStreams):
            pass

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), percent=st.sampled_from([0, 10, 50, 100, 150]))
    def settle(self, data: st.DataObject, percent: int) -> None:
        hold = self.holds.pop(data.draw(st.integers(0, len(self.holds) - 1)))
        settlement = settle_hold(
            hold_id=hold.pk,
            amount_micros=hold.amount_micros * percent // 100,
            source_type="generation",
            source_id=str(hold.pk),
        )
        if settlement is not None:
            assert settlement.captured_micros == min(hold.amount_micros * percent // 100, hold.amount_micros)

    @rule(seconds=st.sampled_from([1, 5, 60, 600]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def sweep(self) -> None:
        void_expired_holds()
        ledger.expire_grants()

    @precondition(lambda self: self.top_ups)
    @rule(data=st.data(), status=st.sampled_from(["succeeded", "pending", "failed"]))
    def refund(self, data: st.DataObject, status: str) -> None:
        top_up = data.draw(st.sampled_from(self.top_ups))
        cents = data.draw(st.integers(1, top_up.amount_micros // CENT))
        name = f"re_{top_up.pk}_{cents}"
        for _ in range(2):
            payments.apply_refund(
                {"id": name, "payment_intent": top_up.payment_intent_id, "amount": cents, "status": status}
            )
        self.money_back = True

    @precondition(lambda self: self.top_ups)
    @rule(data=st.data(), end=st.sampled_from(["open", "won", "lost", "warning"]))
    def dispute(self, data: st.DataObject, end: str) -> None:
        top_up = data.draw(st.sampled_from(self.top_ups))
        cents = top_up.amount_micros // CENT
        movements = {"open": [-cents], "lost": [-cents], "won": [-cents, cents], "warning": []}[end]
        payments.apply_dispute(
            {
                "id": f"dp_{top_up.pk}",
                "payment_intent": top_up.payment_intent_id,
                "amount": cents,
                "status": {"open": "needs_response", "warning": "warning_closed"}.get(end, end),
                "balance_transactions": [{"amount": amount} for amount in movements],
            }
        )
        self.money_back = True

    @rule(amount=AMOUNTS, sign=st.sampled_from([1, -1]))
    def adjust(self, amount: int, sign: int) -> None:
        try:
            ledger.adjust_credit(
                user_id=self.user.pk, amount_micros=sign * amount, reason="Hasard", actor_id=self.user.pk
            )
        except InvalidRequest:
            assert sign < 0

    @invariant()
    def use_alone_never_overdraws(self) -> None:
        Books.steps += 1
        account = Account.objects.get(user=self.user)
        if not self.money_back:
            assert account.available_micros >= 0
        held = Hold.objects.open().filter(account=account).aggregate(total=Sum("amount_micros"))["total"] or 0
        last = account.entries.order_by("-pk").first()
        assert account.held_micros == held
        assert account.balance_micros == (last.balance_after_micros if last else 0)


def test_l01_books_balance_whatever_happens() -> None:
    Books.steps = 0
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")  # no crash is tested here
    run_state_machine_as_test(
        Books,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    with connection.cursor() as cursor:
        cursor.execute("RESET synchronous_commit")
    print(f"{Books.steps} steps, {Entry.objects.count()} entries")
    assert Books.steps >= 1_000
