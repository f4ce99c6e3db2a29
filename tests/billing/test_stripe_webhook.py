"""The door at which Stripe knocks: signatures, repetition, order, loss, forgery. L7, L8, L9, L10."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from billing import inbox
from billing.models import Account, StripeEvent, TopUp
from billing.services import credit_of
from tests.billing.helpers import EURO, account_of, entries_of, together
from tests.billing.shop import CARD, FAILING_IBAN, IBAN, SECRET, Shop
from tests.stripe_stand_in.world import copy

pytestmark = pytest.mark.django_db(transaction=True)
TEN = 10 * EURO


def come_back(user: User, session_id: str) -> None:
    """Return from the payment page to our own, as a browser does."""
    browser = Client()
    browser.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    assert browser.get("/credit/retour", {"session_id": session_id}).status_code == 302


def assert_credited_once(user: User) -> None:
    assert entries_of(user, "topup") == [TEN]
    assert account_of(user).balance_micros == TEN
    top_up = TopUp.objects.get(account__user=user)
    assert top_up.state == TopUp.State.PAID
    assert top_up.receipt_url
    assert top_up.charge_id


def test_it_works(shop: Shop, alice: User) -> None:
    top_up = shop.buy(alice)
    assert_credited_once(alice)
    assert top_up.invoice_url
    assert account_of(alice).stripe_customer_id.startswith("cus_")
    assert not StripeEvent.objects.filter(processed_at=None).exists()
    assert {status for _, status in shop.delivery.log} == {200}


@pytest.mark.parametrize(
    "fault",
    [{"corrupts_body": True}, {"signs_with": "whsec_fremd"}, {"stale_s": 301}, {"stale_s": -301}],
    ids=["corrupt", "other-secret", "stale", "future"],
)
def test_a_bad_signature_is_refused_and_leaves_nothing(shop: Shop, alice: User, fault: dict) -> None:
    session = shop.order(alice)
    for name, value in fault.items():
        setattr(shop.delivery.faults, name, value)
    shop.world.complete(session["id"], CARD)
    shop.stand_in.settle()
    assert {status for _, status in shop.delivery.log} == {400}
    assert not StripeEvent.objects.exists()
    assert credit_of(alice.pk).balance_micros == 0


@pytest.mark.parametrize(
    "header", ["", "t=,v1=x", "t=²,v1=x", "t=٣,v1=x", "v1=x", "t=1,v0=abc", "n'importe quoi"]
)
def test_an_odd_header_is_refused(shop: Shop, header: str) -> None:
    answer = Client().post("/stripe/webhook", b"{}", "application/json", headers={"Stripe-Signature": header})
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_request"


def test_an_event_299_s_old_and_two_secrets_are_accepted(shop: Shop, alice: User, settings) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_ancien", SECRET]
    shop.delivery.faults.stale_s = 298
    shop.buy(alice)
    assert_credited_once(alice)


def test_l07_the_same_event_fifty_times_at_once(shop: Shop, alice: User) -> None:
    shop.delivery.is_held = True
    session = shop.order(alice)
    shop.world.complete(session["id"], CARD)
    completed = shop.told("checkout.session.completed")
    statuses = together(50, lambda index: shop.delivery.send(completed), threads=16)
    assert set(statuses) == {200}
    assert_credited_once(alice)


def test_l07_the_same_session_through_two_event_types(shop: Shop, alice: User) -> None:
    shop.delivery.is_held = True
    session = shop.order(alice)
    shop.world.promise(session["id"], IBAN)
    shop.world.settle_sepa(session["id"])
    shop.delivery.release(copies=3)
    assert_credited_once(alice)


def test_l08_webhook_before_the_redirect(shop: Shop, alice: User) -> None:
    top_up = shop.buy(alice)
    come_back(alice, top_up.session_id or "")
    assert_credited_once(alice)


def test_l08_webhook_before_the_answer_of_the_call_itself(shop: Shop, alice: User) -> None:
    shop.delivery.is_immediate = True
    shop.buy(alice)
    assert_credited_once(alice)


def test_l08_webhook_after_the_redirect(shop: Shop, alice: User) -> None:
    shop.delivery.is_held = True
    session = shop.order(alice)
    shop.world.complete(session["id"], CARD)
    come_back(alice, session["id"])
    assert_credited_once(alice)
    shop.delivery.release()
    assert_credited_once(alice)


def test_l08_webhook_never_and_no_redirect(shop: Shop, alice: User) -> None:
    session = shop.order(alice)
    shop.delivery.faults.drops = True
    shop.world.complete(session["id"], CARD)
    assert credit_of(alice.pk).balance_micros == 0
    assert inbox.reconcile() > 0
    assert_credited_once(alice)
    assert inbox.reconcile() == 0
    assert_credited_once(alice)


def test_l08_out_of_order(shop: Shop, alice: User) -> None:
    shop.delivery.is_held = True
    session = shop.order(alice)
    shop.world.promise(session["id"], IBAN)
    shop.world.settle_sepa(session["id"])
    backwards = {event["id"]: -index for index, event in enumerate(shop.world.events)}
    shop.delivery.release(order=lambda event: backwards[event["id"]], copies=2)
    inbox.process_waiting()
    assert_credited_once(alice)


def test_l08_stripe_is_away_while_the_event_comes(shop: Shop, alice: User) -> None:
    shop.delivery.is_held = True
    session = shop.order(alice)
    shop.world.complete(session["id"], CARD)
    shop.stand_in.trouble += [(500, False)] * 3  # the SDK tries three times
    assert shop.delivery.send(shop.told("checkout.session.completed")) == 503
    assert credit_of(alice.pk).balance_micros == 0
    assert inbox.process_waiting() == 1
    assert_credited_once(alice)


def test_l09_unpaid_gives_nothing_until_the_bank_has_paid(shop: Shop, alice: User) -> None:
    session = shop.order(alice)
    shop.world.promise(session["id"], IBAN)
    shop.stand_in.settle()
    assert credit_of(alice.pk).balance_micros == 0
    assert TopUp.objects.get().state == TopUp.State.PROCESSING
    come_back(alice, session["id"])
    assert credit_of(alice.pk).balance_micros == 0

    shop.world.settle_sepa(session["id"])
    shop.stand_in.settle()
    assert_credited_once(alice)


def test_l09_a_failed_debit_gives_nothing(shop: Shop, alice: User) -> None:
    session = shop.order(alice)
    shop.world.promise(session["id"], FAILING_IBAN)
    shop.world.settle_sepa(session["id"])
    shop.stand_in.settle()
    assert credit_of(alice.pk).balance_micros == 0
    assert TopUp.objects.get().state == TopUp.State.FAILED


def test_an_expired_session_gives_nothing(shop: Shop, alice: User) -> None:
    shop.world.expire(shop.order(alice)["id"])
    shop.stand_in.settle()
    assert TopUp.objects.get().state == TopUp.State.EXPIRED
    assert credit_of(alice.pk).balance_micros == 0


@pytest.mark.parametrize(
    ("lie", "word"),
    [
        ({"currency": "usd"}, "currency"),
        ({"amount_subtotal": 100_000}, "amount"),
        ({"livemode": True}, "live mode"),
    ],
    ids=["currency", "amount", "live"],
)
def test_l10_facts_that_contradict_our_row(shop: Shop, alice: User, caplog, lie: dict, word: str) -> None:
    session = shop.order(alice)
    session.update(lie)
    shop.world.complete(session["id"], CARD)
    shop.stand_in.settle()
    refused = StripeEvent.objects.get(type="checkout.session.completed")
    assert word in refused.refusal
    assert "is refused" in caplog.text
    assert credit_of(alice.pk).balance_micros == 0


def test_l10_forged_metadata_credits_nobody(shop: Shop, alice: User, bob: User) -> None:
    """A session that we did not open names Alice's top-up and Bob's account: only our own row counts."""
    mine = shop.order(alice)
    forged = copy(mine) | {"id": "cs_test_forge", "payment_intent": None, "status": "open"}
    shop.world.things[forged["id"]] = forged
    intent = copy(shop.world.things[mine["payment_intent"]]) | {"id": "pi_forge"}
    shop.world.things["pi_forge"] = intent
    forged |= {"payment_intent": "pi_forge", "amount_subtotal": 90_000, "metadata": {"account": str(bob.pk)}}
    shop.world.complete("cs_test_forge", CARD)
    shop.stand_in.settle()
    assert {credit_of(user.pk).balance_micros for user in (alice, bob)} == {0}

    StripeEvent.objects.update(received_at=timezone.now() - timedelta(hours=2))
    inbox.process_waiting()
    assert "nothing here is known" in StripeEvent.objects.get(type="checkout.session.completed").refusal
    assert {credit_of(user.pk).balance_micros for user in (alice, bob)} == {0}


def test_l10_a_test_event_on_a_live_key(shop: Shop, alice: User, settings) -> None:
    shop.delivery.is_held = True
    session = shop.order(alice)
    shop.world.complete(session["id"], CARD)
    settings.STRIPE_SECRET_KEY = "sk_live_echt"
    shop.delivery.release()
    assert credit_of(alice.pk).balance_micros == 0
    refusal = StripeEvent.objects.get(type="checkout.session.completed").refusal
    assert refusal == "live mode of the event is False, of our key True"


def test_somebody_elses_session_is_not_found(shop: Shop, alice: User, bob: User) -> None:
    session = shop.order(alice)
    shop.order(bob)
    browser = Client()
    browser.force_login(bob, "allauth.account.auth_backends.AuthenticationBackend")
    for name in (session["id"], "cs_test_nichts", "", "pi_x"):
        assert browser.get("/credit/retour", {"session_id": name}).status_code == 404


def test_an_event_can_be_worked_on_again(shop: Shop, alice: User) -> None:
    shop.buy(alice)
    StripeEvent.objects.update(processed_at=None)
    inbox.process_waiting()
    assert_credited_once(alice)
    assert Account.objects.count() == 1


def test_an_event_that_cannot_be_worked_on_keeps_nothing_else_waiting(shop: Shop, alice: User) -> None:
    shop.delivery.is_held = True
    session = shop.order(alice)
    shop.world.complete(session["id"], CARD)
    broken = {"type": "refund.created", "is_live": False, "payload": {}}
    early = timezone.now() - timedelta(days=1)
    StripeEvent.objects.create(id="evt_gift", received_at=early, **broken)
    inbox.keep_event(shop.told("checkout.session.completed"))
    assert inbox.process_waiting() == 2
    assert_credited_once(alice)
    assert StripeEvent.objects.get(id="evt_gift").processed_at is None
