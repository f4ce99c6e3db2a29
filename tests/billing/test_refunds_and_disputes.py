"""Money that goes back: refunds and disputes take credit once, and give it back once. L11, L12."""

import uuid

import pytest

from accounts.models import User
from billing import auto_topup, inbox
from billing.models import Dispute, Refund, StripeEvent, TopUp
from billing.payments import refund_top_up
from fr02.errors import Conflict, InvalidRequest
from tests.billing.helpers import EURO, account_of, entries_of, outcome, speak
from tests.billing.shop import Shop

pytestmark = pytest.mark.django_db(transaction=True)


def give_back(top_up: TopUp, amount_micros: int, operator: User, key: str = "") -> Refund:
    return refund_top_up(
        top_up_id=top_up.pk,
        amount_micros=amount_micros,
        reason="Geste commercial",
        actor_id=operator.pk,
        idempotency_key=key or uuid.uuid4().hex,
    )


def replay(shop: Shop) -> None:
    """Let every event so far be worked on once more."""
    shop.stand_in.settle()
    StripeEvent.objects.update(processed_at=None)
    inbox.process_waiting()


def test_l11_more_than_what_is_left_makes_a_debt(shop: Shop, alice: User, operator: User) -> None:
    top_up = shop.buy(alice, 10 * EURO)
    speak(alice, 8 * EURO)
    give_back(top_up, 10 * EURO, operator)
    replay(shop)
    assert account_of(alice).balance_micros == -8 * EURO
    assert outcome(lambda: speak(alice, 1)) == "insufficient_credit"

    shop.buy(alice, 10 * EURO)
    assert account_of(alice).balance_micros == 2 * EURO
    assert outcome(lambda: speak(alice, 2 * EURO + 1)) == "insufficient_credit"
    assert outcome(lambda: speak(alice, 2 * EURO)) == "ok"


def test_l11_three_partial_refunds_sum_right(shop: Shop, alice: User, operator: User) -> None:
    top_up = shop.buy(alice, 10 * EURO)
    for euros in (1, 2, 3):
        top_up.refresh_from_db()
        give_back(top_up, euros * EURO, operator)
    for _ in range(2):
        replay(shop)
    assert entries_of(alice, "refund") == [-1 * EURO, -2 * EURO, -3 * EURO]
    assert account_of(alice).balance_micros == 4 * EURO
    with pytest.raises(InvalidRequest):
        give_back(TopUp.objects.get(), 4 * EURO + 10_000, operator)


def test_l11_one_click_twice_refunds_once(shop: Shop, alice: User, operator: User) -> None:
    top_up = shop.buy(alice, 10 * EURO)
    assert give_back(top_up, EURO, operator, "clic").pk == give_back(top_up, EURO, operator, "clic").pk
    refund = Refund.objects.get()
    assert (refund.actor, refund.reason, refund.debited_micros) == (operator, "Geste commercial", EURO)
    assert entries_of(alice, "refund") == [-EURO]


def test_l11_a_refund_made_at_stripe_and_one_that_fails(shop: Shop, alice: User) -> None:
    top_up = shop.buy(alice, 10 * EURO)
    refund = shop.world.give_back(shop.world.things[top_up.charge_id], 400)
    replay(shop)
    assert account_of(alice).balance_micros == 6 * EURO
    shop.world.fail_refund(refund["id"])
    replay(shop)
    assert account_of(alice).balance_micros == 10 * EURO
    assert entries_of(alice, "refund_reversal") == [4 * EURO]
    assert TopUp.objects.get().clawed_back_micros == 0


def test_l11_a_refund_that_fails_and_goes_through_again(shop: Shop, alice: User) -> None:
    top_up = shop.buy(alice, 10 * EURO)
    refund = shop.world.give_back(shop.world.things[top_up.charge_id], 400)
    for status, balance in (("succeeded", 6), ("failed", 10), ("succeeded", 6), ("failed", 10)):
        refund["status"] = status
        replay(shop)
        assert account_of(alice).balance_micros == balance * EURO
    assert entries_of(alice, "refund") == [-4 * EURO] * 2
    assert entries_of(alice, "refund_reversal") == [4 * EURO] * 2


def test_an_unpaid_top_up_cannot_be_refunded(shop: Shop, alice: User, operator: User) -> None:
    shop.order(alice)
    with pytest.raises(Conflict):
        give_back(TopUp.objects.get(), EURO, operator)


def test_l12_withdrawn_freezes_and_reinstated_restores(shop: Shop, alice: User) -> None:
    top_up = shop.buy(alice, 10 * EURO, saves_card=True)
    auto_topup.configure(
        user_id=alice.pk,
        is_enabled=True,
        threshold_micros=5 * EURO,
        amount_micros=10 * EURO,
        monthly_cap_micros=100 * EURO,
    )
    dispute = shop.world.open_dispute(top_up.charge_id)
    replay(shop)
    assert account_of(alice).balance_micros == 0
    assert account_of(alice).is_frozen
    assert outcome(lambda: speak(alice, 0)) == "forbidden"
    assert auto_topup.consider(account_id=account_of(alice).pk) is None

    shop.world.close_dispute(dispute["id"], "won")
    replay(shop)
    assert account_of(alice).balance_micros == 10 * EURO
    assert not account_of(alice).is_frozen
    assert entries_of(alice, "dispute") == [-10 * EURO]
    assert entries_of(alice, "dispute_reversal") == [10 * EURO]
    assert outcome(lambda: speak(alice, EURO)) == "ok"


def test_l12_events_in_any_order(shop: Shop, alice: User) -> None:
    top_up = shop.buy(alice, 10 * EURO)
    shop.delivery.is_held = True
    shop.world.close_dispute(shop.world.open_dispute(top_up.charge_id)["id"], "won")
    backwards = {event["id"]: -index for index, event in enumerate(shop.world.events)}
    shop.delivery.release(order=lambda event: backwards[event["id"]], copies=2)
    assert account_of(alice).balance_micros == 10 * EURO
    assert not account_of(alice).is_frozen


def test_l12_lost_stays_debited_and_frozen(shop: Shop, alice: User) -> None:
    top_up = shop.buy(alice, 10 * EURO)
    speak(alice, 3 * EURO)
    shop.world.close_dispute(shop.world.open_dispute(top_up.charge_id)["id"], "lost")
    replay(shop)
    assert account_of(alice).balance_micros == -3 * EURO
    assert account_of(alice).is_frozen
    assert Dispute.objects.get().status == "lost"


def test_l12_a_warning_takes_nothing(shop: Shop, alice: User) -> None:
    top_up = shop.buy(alice, 10 * EURO)
    shop.world.close_dispute(shop.world.open_dispute(top_up.charge_id, warning=True)["id"], "warning_closed")
    replay(shop)
    assert account_of(alice).balance_micros == 10 * EURO
    assert not account_of(alice).is_frozen


def test_l12_refund_and_dispute_do_not_debit_twice(shop: Shop, alice: User) -> None:
    top_up = shop.buy(alice, 10 * EURO)
    charge = shop.world.things[top_up.charge_id]
    shop.world.give_back(charge, 600)
    replay(shop)
    shop.world.open_dispute(top_up.charge_id)  # for the whole charge, although 6 € went back already
    replay(shop)
    assert account_of(alice).balance_micros == 0
    assert entries_of(alice, "refund") == [-6 * EURO]
    assert entries_of(alice, "dispute") == [-4 * EURO]


@pytest.mark.parametrize("kind", ["refund", "dispute"])
def test_what_names_no_payment_takes_from_nobody(shop: Shop, alice: User, bob: User, kind: str) -> None:
    shop.order(alice)  # its row has no payment yet either
    top_up = shop.buy(bob, 10 * EURO)
    shop.delivery.is_held = True
    if kind == "refund":
        foreign = shop.world.give_back(shop.world.things[top_up.charge_id], 400)
    else:
        foreign = shop.world.open_dispute(top_up.charge_id)
    foreign["payment_intent"] = None
    shop.delivery.release()
    assert (account_of(alice).balance_micros, account_of(alice).is_frozen) == (0, False)
    assert account_of(bob).balance_micros == 10 * EURO
    assert not Refund.objects.exists()
    assert not Dispute.objects.exists()
