"""Top up by itself with a saved card: a small state machine around one TopUp row per attempt.

Under the account's lock it is decided and written down that a card will be charged; the charge follows
outside of any transaction, with the row's id as Stripe's idempotency key, so that a crash between the two
is simply taken up again.
"""

import logging
from datetime import timedelta
from typing import Any

import stripe
from django.db import transaction
from django.db.models import F, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from billing import gateway, ledger, mails, payments
from billing.models import Account, AutoTopUp, TopUp
from fr02.errors import InvalidRequest

logger = logging.getLogger(__name__)

REST_AFTER_SUCCESS = timedelta(minutes=5)
REST_AFTER_DECLINE = timedelta(hours=6)
DECLINES_UNTIL_STOP = 3
TAKEN_UP_AFTER = timedelta(minutes=2)
# Stripe forgets an idempotency key after a day: a later attempt could charge the card a second time.
KEY_LIFE = timedelta(hours=23)
# By then two nightly comparisons with Stripe have found its payment, if there is one.
LOST_AFTER = timedelta(days=2)
IN_FLIGHT = (TopUp.State.PENDING, TopUp.State.PROCESSING)


@transaction.atomic
def configure(
    *, user_id: int, is_enabled: bool, threshold_micros: int, amount_micros: int, monthly_cap_micros: int
) -> AutoTopUp:
    """Set the customer's wish; switching on again forgets earlier refusals. Raises InvalidRequest."""
    payments.check_amount(amount_micros)
    if threshold_micros < 0 or monthly_cap_micros < amount_micros:
        raise InvalidRequest(_("Le plafond mensuel doit couvrir au moins une recharge."))
    account = ledger.lock_account(user_id=user_id)
    wish, _created = AutoTopUp.objects.get_or_create(account=account)
    if is_enabled and not wish.payment_method_id:
        raise InvalidRequest(_("Enregistrez d’abord une carte."))
    AutoTopUp.objects.filter(pk=wish.pk).update(
        is_enabled=is_enabled,
        threshold_micros=threshold_micros,
        amount_micros=amount_micros,
        monthly_cap_micros=monthly_cap_micros,
        declines=0,
        rests_until=None,
        stopped_because="",
    )
    ledger.mark_watch(account)
    wish.refresh_from_db()
    return wish


def consider(*, account_id: int) -> TopUp | None:
    """Charge the saved card when the balance asks for it and nothing forbids it. At most one is ever in
    flight.
    """
    top_up = _decide(account_id)
    if top_up is not None:
        charge(top_up_id=top_up.pk)
        top_up.refresh_from_db()
    return top_up


def charge(*, top_up_id: Any) -> None:
    """Charge the card of an automatic top-up and book the outcome; the same row is charged once, however
    often called.
    """
    top_up = TopUp.objects.select_related("account__auto_top_up", "account__user").get(pk=top_up_id)
    wish = top_up.account.auto_top_up
    try:
        intent = gateway.charge_saved_card(
            top_up_id=str(top_up.pk),
            customer_id=top_up.account.stripe_customer_id,
            payment_method_id=wish.payment_method_id,
            amount_micros=top_up.amount_micros,
        )
    except (stripe.CardError, stripe.InvalidRequestError) as refusal:
        _note_refusal(top_up, refusal)
        return
    except stripe.StripeError as error:
        logger.warning("automatic top-up %s waits: %s", top_up.pk, error)
        return
    payments.apply_payment_intent(intent, top_up_id=top_up.pk)
    AutoTopUp.objects.filter(pk=wish.pk).update(declines=0, rests_until=timezone.now() + REST_AFTER_SUCCESS)


def take_up_unfinished() -> int:
    """Charge again what a crash left between decision and charge. Return how many."""
    left = TopUp.objects.filter(
        kind=TopUp.Kind.AUTOMATIC,
        state=TopUp.State.PENDING,
        payment_intent_id=None,
        created_at__lte=timezone.now() - TAKEN_UP_AFTER,
        created_at__gte=timezone.now() - KEY_LIFE,
    )
    top_up_ids = list(left.values_list("pk", flat=True))
    for top_up_id in top_up_ids:
        charge(top_up_id=top_up_id)
    return len(top_up_ids)


def give_up_lost() -> int:
    """Fail the attempts that left no trace at Stripe, so that another may follow. Return how many.

    Should a payment turn up after all, it is still booked.
    """
    lost = TopUp.objects.filter(
        kind=TopUp.Kind.AUTOMATIC,
        state=TopUp.State.PENDING,
        payment_intent_id=None,
        created_at__lt=timezone.now() - LOST_AFTER,
    )
    top_up_ids = list(lost.values_list("pk", flat=True))
    for top_up_id in top_up_ids:
        payments.fail_top_up(top_up_id=top_up_id, cause="lost")
    return len(top_up_ids)


def accounts_in_need() -> list[int]:
    """Return the accounts whose balance is below the threshold of a living automatic top-up."""
    needy = AutoTopUp.objects.filter(
        is_enabled=True, stopped_because="", account__balance_micros__lt=F("threshold_micros")
    )
    return list(needy.values_list("account_id", flat=True))


def _decide(account_id: int) -> TopUp | None:
    if not gateway.is_configured():
        return None
    with transaction.atomic():
        account = ledger.lock_account(account_id=account_id)
        wish = AutoTopUp.objects.filter(account=account).first()
        if wish is None or not _is_due(account, wish):
            return None
        return TopUp.objects.create(
            account=account,
            kind=TopUp.Kind.AUTOMATIC,
            amount_micros=wish.amount_micros,
            is_live=gateway.is_live(),
        )


def _is_due(account: Account, wish: AutoTopUp) -> bool:
    now = timezone.now()
    automatic = TopUp.objects.filter(account=account, kind=TopUp.Kind.AUTOMATIC)
    month = timezone.localtime(now).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    spent = automatic.filter(created_at__gte=month, credited_at__isnull=False).aggregate(
        total=Sum("amount_micros")
    )
    return (
        wish.is_enabled
        and not wish.stopped_because
        and bool(wish.payment_method_id and account.stripe_customer_id)
        and not account.is_frozen
        and account.balance_micros < wish.threshold_micros
        and (wish.rests_until is None or wish.rests_until <= now)
        and (spent["total"] or 0) + wish.amount_micros <= wish.monthly_cap_micros
        and not automatic.filter(state__in=IN_FLIGHT).exists()
    )


def _note_refusal(top_up: TopUp, refusal: stripe.StripeError) -> None:
    """Close the attempt; rest after a refusal, stop after the third, or at once when the bank wants its
    customer.
    """
    code = refusal.code or "card_declined"
    with transaction.atomic():
        payments.fail_top_up(top_up_id=top_up.pk, cause=code)
        wish = AutoTopUp.objects.get(account=top_up.account)
        declines = wish.declines + 1
        stopped_because = ""
        if code == "authentication_required":
            stopped_because = code
        elif declines >= DECLINES_UNTIL_STOP:
            stopped_because = "declined"
        AutoTopUp.objects.filter(pk=wish.pk).update(
            declines=declines,
            rests_until=timezone.now() + REST_AFTER_DECLINE,
            stopped_because=stopped_because,
        )
        if stopped_because == "authentication_required":
            mails.send_later(
                "authentication_required", top_up.account, {"amount_micros": top_up.amount_micros}
            )
        elif stopped_because:
            mails.send_later("auto_top_up_stopped", top_up.account, {"card": wish.card_label})
