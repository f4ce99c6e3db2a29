"""Topping up by itself: once per need, within its limits, never in a loop. L13. And the mails of low credit."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from accounts.models import User
from billing import auto_topup, inbox, low_credit
from billing.models import AutoTopUp, StripeEvent, TopUp
from billing.services import credit_of
from fr02.errors import InvalidRequest
from tests.billing.helpers import EURO, account_of, buy, entries_of, post_mails, speak, together
from tests.billing.shop import CARD, REFUSED_LATER, WANTS_OWNER, Shop

pytestmark = pytest.mark.django_db(transaction=True)
WISH: dict[str, Any] = {
    "is_enabled": True,
    "threshold_micros": 5 * EURO,
    "amount_micros": 10 * EURO,
    "monthly_cap_micros": 30 * EURO,
}


def prepare(shop: Shop, user: User, card: str = CARD, **wish: int) -> int:
    """Let a customer with 6 € save a card and wish for 10 € below 5 €. Return the credit account's id."""
    shop.buy(user, 6 * EURO, card=card, saves_card=True)
    auto_topup.configure(user_id=user.pk, **WISH | wish)
    return account_of(user).pk


def watch_jobs() -> list[dict]:
    jobs = ProcrastinateJob.objects.filter(task_name="billing.tasks.watch_credit")
    return list(jobs.values_list("args", flat=True))


def test_it_works(shop: Shop, alice: User) -> None:
    account_id = prepare(shop, alice)
    assert auto_topup.consider(account_id=account_id) is None, "the balance is high enough"
    speak(alice, 2 * EURO)
    assert watch_jobs() == [{"account_id": account_id}]
    low_credit.watch(account_id=account_id)
    shop.stand_in.settle()
    assert account_of(alice).balance_micros == 14 * EURO
    top_up = TopUp.objects.get(kind="auto")
    assert top_up.state == TopUp.State.PAID
    assert top_up.receipt_url
    assert not StripeEvent.objects.exclude(refusal="").exists()


def test_l13_fifty_debits_at_once_charge_once(shop: Shop, alice: User, settings) -> None:
    settings.STREAMS_PER_ACCOUNT = 64
    account_id = prepare(shop, alice)

    def debit_and_watch(index: int) -> None:
        speak(alice, 50_000)
        low_credit.watch(account_id=account_id)

    together(50, debit_and_watch, threads=16)
    shop.stand_in.settle()
    assert len(watch_jobs()) == 1, "one settlement crosses the line"
    assert len([call for call in shop.stand_in.calls if call == ("POST", "/v1/payment_intents")]) == 1
    assert TopUp.objects.filter(kind="auto").count() == 1
    assert account_of(alice).balance_micros == 6 * EURO - 50 * 50_000 + 10 * EURO


def test_l13_rests_and_keeps_the_monthly_cap(shop: Shop, alice: User) -> None:
    account_id = prepare(shop, alice)
    for euros in (2, 10, 10, 10):
        speak(alice, min(euros * EURO, account_of(alice).balance_micros))
        auto_topup.consider(account_id=account_id)
        assert auto_topup.consider(account_id=account_id) is None
        AutoTopUp.objects.update(rests_until=timezone.now() - timedelta(seconds=1))
    assert TopUp.objects.filter(kind="auto", state="paid").count() == 3
    assert account_of(alice).balance_micros == 4 * EURO


def test_l13_off_after_three_declines(shop: Shop, alice: User) -> None:
    account_id = prepare(shop, alice, REFUSED_LATER)
    speak(alice, 2 * EURO)
    for _ in range(6):
        low_credit.watch(account_id=account_id)
        AutoTopUp.objects.update(rests_until=timezone.now() - timedelta(seconds=1))
    wish = AutoTopUp.objects.get()
    assert (wish.declines, wish.stopped_because) == (3, "declined")
    assert len([call for call in shop.stand_in.calls if call == ("POST", "/v1/payment_intents")]) == 3
    post_mails()
    assert [message.subject for message in mail.outbox] == ["[FR02] Votre recharge automatique est arrêtée"]
    assert account_of(alice).balance_micros == 4 * EURO
    assert {top_up.failure for top_up in TopUp.objects.filter(kind="auto")} == {"card_declined"}


def test_l13_a_decline_rests_first(shop: Shop, alice: User) -> None:
    account_id = prepare(shop, alice, REFUSED_LATER)
    speak(alice, 2 * EURO)
    for _ in range(3):
        low_credit.watch_all()
    assert TopUp.objects.filter(kind="auto", account=account_id).count() == 1


def test_l13_the_bank_wants_the_customer(shop: Shop, alice: User) -> None:
    account_id = prepare(shop, alice, WANTS_OWNER)
    speak(alice, 2 * EURO)
    for _ in range(3):
        low_credit.watch(account_id=account_id)
        AutoTopUp.objects.update(rests_until=None)
    assert len([call for call in shop.stand_in.calls if call == ("POST", "/v1/payment_intents")]) == 1
    post_mails()
    assert [message.subject for message in mail.outbox] == ["[FR02] Votre banque demande votre accord"]
    assert f"{shop.url}/credit/" in mail.outbox[0].body
    assert "10,00" in mail.outbox[0].body

    AutoTopUp.objects.update(payment_method_id=shop.world.all("payment_method")[0]["id"])
    auto_topup.configure(user_id=alice.pk, **WISH)
    assert AutoTopUp.objects.get().stopped_because == ""


def test_l13_a_crash_between_decision_and_charge_is_taken_up(shop: Shop, alice: User) -> None:
    account_id = prepare(shop, alice)
    speak(alice, 2 * EURO)
    shop.stand_in.trouble += [(500, False)] * 3
    auto_topup.consider(account_id=account_id)
    assert TopUp.objects.get(kind="auto").state == TopUp.State.PENDING
    assert auto_topup.consider(account_id=account_id) is None, "one is in flight"
    assert auto_topup.take_up_unfinished() == 0, "its process may still be alive"

    TopUp.objects.filter(kind="auto").update(created_at=timezone.now() - timedelta(minutes=3))
    assert auto_topup.take_up_unfinished() == 1
    assert auto_topup.take_up_unfinished() == 0
    assert account_of(alice).balance_micros == 14 * EURO


def test_l13_a_payment_whose_answer_was_lost_is_booked_from_its_webhook(
    shop: Shop, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id = prepare(shop, alice)
    speak(alice, 2 * EURO)
    with monkeypatch.context() as crash:
        crash.setattr(auto_topup.payments, "apply_payment_intent", _die)
        with pytest.raises(KeyboardInterrupt):
            auto_topup.consider(account_id=account_id)
    row = TopUp.objects.get(kind="auto")
    assert (row.state, row.payment_intent_id) == (TopUp.State.PENDING, None)
    TopUp.objects.filter(pk=row.pk).update(created_at=timezone.now() - timedelta(hours=24))
    assert auto_topup.take_up_unfinished() == 0, (
        "Stripe has forgotten the idempotency key: it could charge twice"
    )
    inbox.reconcile()
    row.refresh_from_db()
    assert row.state == TopUp.State.PAID
    assert account_of(alice).balance_micros == 14 * EURO


def test_l13_an_attempt_without_a_trace_is_given_up(shop: Shop, alice: User) -> None:
    account_id = prepare(shop, alice)
    speak(alice, 2 * EURO)
    shop.stand_in.trouble += [(500, False)] * 3
    auto_topup.consider(account_id=account_id)
    assert auto_topup.give_up_lost() == 0
    TopUp.objects.filter(kind="auto").update(created_at=timezone.now() - timedelta(days=3))
    assert auto_topup.give_up_lost() == 1
    auto_topup.consider(account_id=account_id)
    assert account_of(alice).balance_micros == 14 * EURO


def _die(*args: Any, **kwargs: Any) -> None:
    raise KeyboardInterrupt


def test_without_a_card_it_cannot_be_switched_on(shop: Shop, alice: User) -> None:
    shop.buy(alice, 6 * EURO)
    with pytest.raises(InvalidRequest):
        auto_topup.configure(user_id=alice.pk, **WISH)


def test_low_credit_is_told_once_per_level_and_crossing(alice: User) -> None:
    buy(alice, 2 * EURO)
    account_id = account_of(alice).pk
    for used, mails in ((900_000, 0), (200_000, 1), (100_000, 1), (650_000, 2), (150_000, 2)):
        before = len(watch_jobs())
        speak(alice, used)
        if len(watch_jobs()) > before:
            low_credit.watch(account_id=account_id)
        post_mails()
        assert len(mail.outbox) == mails, f"after {used}"
    assert credit_of(alice.pk).balance_micros == 0
    assert low_credit.watch_all() == 0

    buy(alice, 2 * EURO)
    speak(alice, 1_900_000)
    low_credit.watch_all()
    post_mails()
    assert len(mail.outbox) == 3, "both levels in one step are one mail"
    assert entries_of(alice, "topup") == [2 * EURO, 2 * EURO]


def test_a_mail_server_that_fails_costs_the_mail_a_delay_and_nothing_else(alice: User, settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9  # nobody listens there
    buy(alice, 2 * EURO)
    speak(alice, 1_900_000)
    assert low_credit.watch_all() == 1
    assert account_of(alice).low_credit_level == 2
    post_mails()
    job = ProcrastinateJob.objects.get(queue_name="mails")
    assert (job.status, job.attempts) == ("todo", 1)
    assert job.scheduled_at is not None
    assert job.scheduled_at > timezone.now()
