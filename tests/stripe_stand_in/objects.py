"""Stripe's objects as plain dictionaries: every key that its SDK says is always there, and those that FR02
reads.
"""

import secrets
from typing import Any

Thing = dict[str, Any]


def new_id(prefix: str) -> str:
    """Return an id of Stripe's form."""
    return f"{prefix}_{secrets.token_hex(12)}"


def customer(*, now: int, livemode: bool, email: str, metadata: Thing) -> Thing:
    return {
        "id": new_id("cus"),
        "object": "customer",
        "created": now,
        "default_source": None,
        "email": email,
        "livemode": livemode,
        "metadata": metadata,
        "tax_exempt": "none",
        "test_clock": None,
    }


def card(*, now: int, livemode: bool, customer: str | None, number: str) -> Thing:
    """Return a card. `number` decides later what the bank says; a real payment method would not hold it."""
    return {
        "id": new_id("pm"),
        "object": "payment_method",
        "allow_redisplay": "limited",
        "billing_details": {"address": None, "email": None, "name": None, "phone": None, "tax_id": None},
        "card": {
            "brand": "visa",
            "checks": None,
            "country": "FR",
            "display_brand": "visa",
            "exp_month": 12,
            "exp_year": 2040,
            "funding": "credit",
            "generated_from": None,
            "last4": number[-4:],
            "networks": None,
            "regulated_status": "unregulated",
            "three_d_secure_usage": None,
            "wallet": None,
        },
        "created": now,
        "customer": customer,
        "livemode": livemode,
        "metadata": {},
        "type": "card",
    }


def checkout_session(*, now: int, livemode: bool, mode: str, amount: int, total: int, currency: str) -> Thing:
    return {
        "id": new_id("cs_live" if livemode else "cs_test"),
        "object": "checkout.session",
        "amount_subtotal": amount if mode == "payment" else None,
        "amount_total": total if mode == "payment" else None,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": None,
        "cancel_url": None,
        "client_reference_id": None,
        "created": now,
        "currency": currency,
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer": None,
        "customer_creation": None,
        "expires_at": now + 86_400,
        "invoice": None,
        "livemode": livemode,
        "locale": None,
        "metadata": {},
        "mode": mode,
        "origin_context": None,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": None,
        "payment_method_types": ["card"],
        "payment_status": "unpaid" if mode == "payment" else "no_payment_required",
        "redirect_on_completion": None,
        "setup_intent": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": None,
        "subscription": None,
        "success_url": None,
        "ui_mode": "hosted_page",
        "url": None,
    }


def payment_intent(*, now: int, livemode: bool, amount: int, currency: str, customer: str | None) -> Thing:
    return {
        "id": new_id("pi"),
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_received": 0,
        "application": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "confirmation_method": "automatic",
        "created": now,
        "currency": currency,
        "customer": customer,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": livemode,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_types": ["card"],
        "payment_record": None,
        "review": None,
        "setup_future_usage": None,
        "source": None,
        "status": "requires_payment_method",
    }


def setup_intent(*, now: int, livemode: bool, customer: str | None) -> Thing:
    return {
        "id": new_id("seti"),
        "object": "setup_intent",
        "application": None,
        "cancellation_reason": None,
        "created": now,
        "customer": customer,
        "latest_attempt": None,
        "livemode": livemode,
        "mandate": None,
        "metadata": {},
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": "off_session",
    }


def charge(*, now: int, base: str, intent: Thing) -> Thing:
    """Return the successful charge of a payment."""
    identifier = new_id("ch")
    return {
        "id": identifier,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"],
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "balance_transaction": None,
        "billing_details": {"address": None, "email": None, "name": None, "phone": None, "tax_id": None},
        "captured": True,
        "created": now,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": intent["livemode"],
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "paid": True,
        "payment_intent": intent["id"],
        "receipt_url": f"{base}/receipts/{identifier}",
        "refunded": False,
        "review": None,
        "source": None,
        "source_transfer": None,
        "status": "succeeded",
        "transfer": None,
    }


def invoice(*, now: int, base: str, session: Thing) -> Thing:
    """Return the paid invoice of a checkout session."""
    identifier, total = new_id("in"), session["amount_total"]
    return {
        "id": identifier,
        "object": "invoice",
        "amount_due": total,
        "amount_overpaid": 0,
        "amount_paid": total,
        "amount_remaining": 0,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": True,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "billing_reason": "manual",
        "collection_method": "charge_automatically",
        "created": now,
        "currency": session["currency"],
        "customer": session["customer"],
        "customer_tax_exempt": "none",
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "discounts": [],
        "hosted_invoice_url": f"{base}/invoices/{identifier}",
        "invoice_pdf": f"{base}/invoices/{identifier}/pdf",
        "issuer": {"type": "self"},
        "latest_revision": None,
        "lines": {"object": "list", "data": [], "has_more": False, "url": f"/v1/invoices/{identifier}/lines"},
        "livemode": session["livemode"],
        "on_behalf_of": None,
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": now,
        "period_start": now,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "starting_balance": 0,
        "status": "paid",
        "status_transitions": {
            "finalized_at": now,
            "marked_uncollectible_at": None,
            "paid_at": now,
            "voided_at": None,
        },
        "subtotal": session["amount_subtotal"],
        "test_clock": None,
        "total": total,
    }


def refund(*, now: int, charge: Thing, amount: int) -> Thing:
    return {
        "id": new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "failure_balance_transaction": None,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method": None,
        "pending_reason": None,
        "reason": None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


def dispute(*, now: int, charge: Thing, amount: int, status: str) -> Thing:
    return {
        "id": new_id("dp"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(EVIDENCE),
        "evidence_details": {
            "due_by": now + 7 * 86_400,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": status.startswith("warning_"),
        "livemode": charge["livemode"],
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": "fraudulent",
        "status": status,
    }


def balance_transaction(*, now: int, dispute: Thing, amount: int, fee: int) -> Thing:
    """Return the movement of money of a dispute: negative when the bank takes it, positive when it comes
    back.
    """
    return {
        "id": new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": now,
        "balance_type": "payments",
        "created": now,
        "currency": dispute["currency"],
        "description": None,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [],
        "net": amount - fee,
        "reporting_category": "dispute" if amount < 0 else "dispute_reversal",
        "source": dispute["id"],
        "status": "available",
        "type": "adjustment",
    }


def event(*, now: int, kind: str, thing: Thing, livemode: bool, request_id: str | None) -> Thing:
    return {
        "id": new_id("evt"),
        "object": "event",
        "api_version": API_VERSION,
        "created": now,
        "data": {"object": thing},
        "livemode": livemode,
        "pending_webhooks": 1,
        "request": {"id": request_id, "idempotency_key": None},
        "type": kind,
    }


API_VERSION = "2026-10-28.endive"
EVIDENCE = (
    "access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure",
    "cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name",
    "customer_purchase_ip", "customer_signature", "duplicate_charge_documentation", "duplicate_charge_explanation",
    "duplicate_charge_id", "product_description", "receipt", "refund_policy", "refund_policy_disclosure",
    "refund_refusal_explanation", "service_date", "service_documentation", "shipping_address", "shipping_carrier",
    "shipping_date", "shipping_documentation", "shipping_tracking_number", "uncategorized_file", "uncategorized_text",
)  # fmt: skip
