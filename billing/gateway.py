"""The one place that speaks to Stripe. What comes back are plain dictionaries, never the SDK's objects."""

import functools
from typing import Any

import stripe
from django.conf import settings
from stripe import RequestOptions
from stripe.params.checkout import SessionCreateParams, SessionCreateParamsPaymentIntentData

MICROS_PER_CENT = 10_000
CURRENCY = "eur"
TIMEOUT_S = 20


def is_configured() -> bool:
    """Tell whether the operator has given a Stripe key."""
    return bool(settings.STRIPE_SECRET_KEY)


def is_live() -> bool:
    """Tell whether the key moves real money."""
    return "_live_" in settings.STRIPE_SECRET_KEY


def create_customer(*, account_id: int, email: str, lost_id: str = "") -> str:
    """Create the Stripe customer of an account, once, and return its id."""
    customer = _client().v1.customers.create(
        {"email": email, "preferred_locales": ["fr"], "metadata": {"account": str(account_id)}},
        {"idempotency_key": f"customer-{account_id}-{email}-{lost_id}"},
    )
    return customer.id


def create_checkout(
    *,
    top_up_id: str,
    customer_id: str,
    amount_micros: int,
    saves_card: bool,
    success_url: str,
    cancel_url: str,
) -> dict[str, Any]:
    """Open a hosted payment page for a top-up; the same top-up gives the same page."""
    payment: SessionCreateParamsPaymentIntentData = {"metadata": {"top_up": top_up_id}}
    if saves_card:
        payment["setup_future_usage"] = "off_session"
    parameters: SessionCreateParams = {
        "mode": "payment",
        "customer": customer_id,
        "client_reference_id": top_up_id,
        "metadata": {"top_up": top_up_id},
        "locale": "fr",
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": CURRENCY,
                    "unit_amount": cents(amount_micros),
                    "product_data": {"name": "Crédit FR02"},
                },
            }
        ],
        "payment_intent_data": payment,
        "allowed_payment_method_types": ["card"] if saves_card else ["card", "sepa_debit"],
        "invoice_creation": {"enabled": True},
        "success_url": success_url,
        "cancel_url": cancel_url,
    }
    options: RequestOptions = {"idempotency_key": f"checkout-{top_up_id}"}
    return _client().v1.checkout.sessions.create(parameters, options).to_dict()


def create_card_setup(*, customer_id: str, success_url: str, cancel_url: str) -> dict[str, Any]:
    """Open a hosted page that saves a card and takes no money."""
    parameters: SessionCreateParams = {
        "mode": "setup",
        "customer": customer_id,
        "currency": CURRENCY,
        "locale": "fr",
        "allowed_payment_method_types": ["card"],
        "success_url": success_url,
        "cancel_url": cancel_url,
    }
    return _client().v1.checkout.sessions.create(parameters).to_dict()


def retrieve_session(session_id: str) -> dict[str, Any]:
    """Return a checkout session as it is now, with its payment, charge, invoice and saved card."""
    expand = [
        "payment_intent.latest_charge",
        "payment_intent.payment_method",
        "invoice",
        "setup_intent.payment_method",
    ]
    return _client().v1.checkout.sessions.retrieve(session_id, {"expand": expand}).to_dict()


def charge_saved_card(
    *, top_up_id: str, customer_id: str, payment_method_id: str, amount_micros: int
) -> dict[str, Any]:
    """Charge a saved card without its owner; the same top-up is charged once. Raises stripe.CardError when
    refused.
    """
    intent = _client().v1.payment_intents.create(
        {
            "amount": cents(amount_micros),
            "currency": CURRENCY,
            "customer": customer_id,
            "payment_method": payment_method_id,
            "off_session": True,
            "confirm": True,
            "metadata": {"top_up": top_up_id},
            "expand": ["latest_charge"],
        },
        {"idempotency_key": f"automatic-{top_up_id}"},
    )
    return intent.to_dict()


def retrieve_payment_intent(intent_id: str) -> dict[str, Any]:
    """Return a payment as it is now, with its charge."""
    return _client().v1.payment_intents.retrieve(intent_id, {"expand": ["latest_charge"]}).to_dict()


def create_refund(*, payment_intent_id: str, amount_micros: int, idempotency_key: str) -> dict[str, Any]:
    """Give money back for a payment. Raises stripe.InvalidRequestError beyond what is left of it."""
    refund = _client().v1.refunds.create(
        {"payment_intent": payment_intent_id, "amount": cents(amount_micros)},
        {"idempotency_key": f"refund-{idempotency_key}"},
    )
    return refund.to_dict()


def retrieve_refund(refund_id: str) -> dict[str, Any]:
    """Return a refund as it is now."""
    return _client().v1.refunds.retrieve(refund_id).to_dict()


def refunds_of_charge(charge_id: str) -> list[dict[str, Any]]:
    """Return every refund of a charge."""
    refunds = _client().v1.refunds.list({"charge": charge_id, "limit": 100})
    return [refund.to_dict() for refund in refunds.auto_paging_iter()]


def retrieve_dispute(dispute_id: str) -> dict[str, Any]:
    """Return a dispute as it is now, with the movements of money it has caused."""
    return _client().v1.disputes.retrieve(dispute_id).to_dict()


def events_since(created_at: int, types: list[str]) -> list[dict[str, Any]]:
    """Return the events of these types since a moment (Unix seconds), the oldest first."""
    events = _client().v1.events.list({"created": {"gte": created_at}, "limit": 100, "types": types})
    return [event.to_dict() for event in events.auto_paging_iter()][::-1]


def cents(amount_micros: int) -> int:
    """Return an amount in Stripe's unit. It is a whole number of cents, or a mistake."""
    whole, rest = divmod(amount_micros, MICROS_PER_CENT)
    if rest:
        raise ValueError(f"{amount_micros} micro-euros are not a whole number of cents")
    return whole


def _client() -> stripe.StripeClient:
    return _client_for(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE)


@functools.cache
def _client_for(key: str, base: str) -> stripe.StripeClient:
    return stripe.StripeClient(
        key,
        base_addresses={"api": base} if base else {},
        max_network_retries=2,
        http_client=stripe.RequestsClient(timeout=TIMEOUT_S),
    )
