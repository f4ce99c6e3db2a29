"""Stripe's events: verify, keep, work on, work on again.

An event is kept before anything else happens. What it means is decided by a table; each handler fetches the
object as it is now, so that order and repetition do not matter. An event that fails stays in the inbox and
is tried again, by Stripe's own redelivery, every minute, and by the nightly comparison with Stripe's list.
"""

import logging
import re
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import stripe
from django.conf import settings
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from billing import gateway, payments
from billing.models import StripeEvent, TopUp
from fr02.errors import InvalidRequest

logger = logging.getLogger(__name__)

TOLERANCE_S = 300
# An event about an object of which we know nothing may have overtaken the answer that names it; after this it
# is foreign.
PATIENCE = timedelta(hours=1)
LOOK_BACK = timedelta(days=3)


def receive_event(*, body: bytes, signature: str) -> str:
    """Verify and keep an event and work on it; return its id. Raises InvalidRequest for a bad signature or
    an odd body.

    The timestamp may be at most 300 s old, or ahead: the SDK alone would accept any future.
    """
    event = _verified(body, signature)
    keep_event(event)
    process_event(event["id"])
    return event["id"]


def keep_event(event: dict[str, Any]) -> bool:
    """Put an event into the inbox. Return False when it was there."""
    _kept, is_new = StripeEvent.objects.get_or_create(
        id=event["id"], defaults={"type": event["type"], "is_live": event["livemode"], "payload": event}
    )
    return is_new


def process_event(event_id: str) -> None:
    """Work on an event of the inbox, unless that is done. What Stripe's network does wrong is raised."""
    row = StripeEvent.objects.get(pk=event_id)
    if row.processed_at is not None:
        return
    StripeEvent.objects.filter(pk=event_id).update(attempts=F("attempts") + 1)
    refusal = ""
    try:
        _dispatch(row)
    except payments.NotKnownYet as unknown:
        if timezone.now() - row.received_at < PATIENCE:
            return
        refusal = f"nothing here is known as {unknown}"
    except payments.EventRefused as refused:
        refusal = str(refused)
        logger.error("Stripe event %s (%s) is refused: %s", row.pk, row.type, refusal)
    StripeEvent.objects.filter(pk=event_id).update(processed_at=timezone.now(), refusal=refusal)


def process_again(*, event_id: str) -> None:
    """Work on an event once more, whatever became of it before."""
    StripeEvent.objects.filter(pk=event_id).update(processed_at=None, refusal="")
    process_event(event_id)


def process_waiting() -> int:
    """Work again on what waits in the inbox, the least tried first. Return how many events were tried."""
    waiting = StripeEvent.objects.filter(processed_at=None).order_by("attempts", "received_at")
    event_ids = list(waiting.values_list("pk", flat=True))
    for event_id in event_ids:
        try:
            process_event(event_id)
        except stripe.StripeError as error:
            logger.warning("Stripe event %s waits: %s", event_id, error)
        except Exception:
            logger.exception("Stripe event %s could not be worked on", event_id)
    return len(event_ids)


def reconcile() -> int:
    """Fetch from Stripe what its webhooks did not bring: events, and the state of unfinished top-ups.

    Return how many events were missing.
    """
    since = timezone.now() - LOOK_BACK
    missing = [
        event["id"]
        for event in gateway.events_since(int(since.timestamp()), list(HANDLERS))
        if keep_event(event)
    ]
    process_waiting()
    unfinished = TopUp.objects.filter(
        kind=TopUp.Kind.CHECKOUT,
        state__in=(TopUp.State.PENDING, TopUp.State.PROCESSING),
        session_id__isnull=False,
    )
    for top_up in unfinished:
        try:
            payments.apply_session(gateway.retrieve_session(str(top_up.session_id)))
        except (stripe.StripeError, payments.EventRefused, payments.NotKnownYet) as error:
            # One top-up that Stripe no longer knows must not keep the others from being booked.
            logger.error("top-up %s was not reconciled: %s", top_up.pk, error)
    return len(missing)


def _verified(body: bytes, signature: str) -> dict[str, Any]:
    timestamps = [part[2:] for part in signature.split(",") if part.startswith("t=")]
    is_time = bool(timestamps) and re.fullmatch(r"[0-9]{1,12}", timestamps[0])
    if not is_time or int(timestamps[0]) > time.time() + TOLERANCE_S:
        raise InvalidRequest(_("Signature Stripe invalide."))
    for secret in settings.STRIPE_WEBHOOK_SECRETS:
        try:
            return stripe.Webhook.construct_event(body, signature, secret, tolerance=TOLERANCE_S).to_dict()
        except stripe.SignatureVerificationError:
            continue
        except (ValueError, KeyError) as error:
            raise InvalidRequest(_("Événement Stripe illisible.")) from error
    raise InvalidRequest(_("Signature Stripe invalide."))


def _dispatch(row: StripeEvent) -> None:
    handler = HANDLERS.get(row.type)
    if handler is None:
        return
    if row.is_live != gateway.is_live():
        raise payments.EventRefused(
            f"live mode of the event is {row.is_live}, of our key {gateway.is_live()}"
        )
    handler(row.payload["data"]["object"])


def _on_session(thing: dict[str, Any]) -> None:
    payments.apply_session(gateway.retrieve_session(thing["id"]))


def _on_payment_intent(thing: dict[str, Any]) -> None:
    """Book a payment that a row names, or an automatic one whose answer a crash swallowed: Stripe's copy says which row
    it was made for, and that row alone says how much and to whom. Others are told by their checkout session.
    """
    if TopUp.objects.filter(payment_intent_id=thing["id"]).exists():
        payments.apply_payment_intent(gateway.retrieve_payment_intent(thing["id"]))
        return
    intent = gateway.retrieve_payment_intent(thing["id"])
    automatic = TopUp.objects.filter(kind=TopUp.Kind.AUTOMATIC, payment_intent_id=None)
    top_up_id = _uuid((intent.get("metadata") or {}).get("top_up"))
    if top_up_id is not None and automatic.filter(pk=top_up_id).exists():
        payments.apply_payment_intent(intent, top_up_id=top_up_id)


def _uuid(text: Any) -> uuid.UUID | None:
    try:
        return uuid.UUID(str(text))
    except ValueError:
        return None


def _on_refund(thing: dict[str, Any]) -> None:
    payments.apply_refund(gateway.retrieve_refund(thing["id"]))


def _on_charge_refunded(thing: dict[str, Any]) -> None:
    for refund in gateway.refunds_of_charge(thing["id"]):
        payments.apply_refund(refund)


def _on_dispute(thing: dict[str, Any]) -> None:
    payments.apply_dispute(gateway.retrieve_dispute(thing["id"]))


HANDLERS: dict[str, Callable[[dict[str, Any]], None]] = {
    "checkout.session.completed": _on_session,
    "checkout.session.async_payment_succeeded": _on_session,
    "checkout.session.async_payment_failed": _on_session,
    "checkout.session.expired": _on_session,
    "payment_intent.succeeded": _on_payment_intent,
    "payment_intent.processing": _on_payment_intent,
    "payment_intent.payment_failed": _on_payment_intent,
    "payment_intent.canceled": _on_payment_intent,
    "refund.created": _on_refund,
    "refund.updated": _on_refund,
    "refund.failed": _on_refund,
    "charge.refunded": _on_charge_refunded,
    "charge.dispute.created": _on_dispute,
    "charge.dispute.updated": _on_dispute,
    "charge.dispute.funds_withdrawn": _on_dispute,
    "charge.dispute.funds_reinstated": _on_dispute,
    "charge.dispute.closed": _on_dispute,
}
