"""What happens to Stripe's objects: payments, refunds, disputes, and the events that tell of them."""

import threading
import time
from collections.abc import Callable
from typing import Any

from tests.stripe_stand_in import objects
from tests.stripe_stand_in.objects import Thing

DISPUTE_FEE = 1_500
# What the bank says to a card: when its owner pays, and when it is charged without them.
AT_CHECKOUT = {
    "4000000000000002": "card_declined",
    "4000000000009995": "insufficient_funds",
    "4000000000000069": "expired_card",
}
OFF_SESSION = AT_CHECKOUT | {
    "4000000000000341": "card_declined",
    "4000008260003178": "insufficient_funds",
    "4000000000000101": "expired_card",
    "4000002760003184": "authentication_required",
}
WANTS_3DS = ("4000002500003155", "4000002760003184")
FAILING_IBAN = "DE62370400440532013001"


class ApiError(Exception):
    """A refusal in Stripe's own form."""

    def __init__(self, status: int, kind: str, message: str, code: str | None = None, **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"type": kind, "message": message, "code": code, **extra}}


class Clock:
    """The stand-in's time: real time plus what a test has moved it forward."""

    offset = 0.0

    def now(self) -> float:
        return time.time() + self.offset


class World:
    """Everything that belongs to one secret key."""

    def __init__(self, key: str, base: str, clock: Clock, publish: Callable[["World", Thing], None]) -> None:
        self.key, self.base, self.clock = key, base, clock
        self.livemode = "_live_" in key
        self.lock = threading.RLock()
        self.things: dict[str, Thing] = {}
        self.events: list[Thing] = []
        self.undelivered: set[str] = set()
        self.items: dict[str, list[Thing]] = {}
        self.numbers: dict[str, str] = {}
        self.wants_invoice: set[str] = set()
        self.pending_sepa: dict[str, str] = {}
        self.idempotent: dict[str, tuple[str, int, Thing] | None] = {}
        self._publish = publish

    @property
    def now(self) -> int:
        return int(self.clock.now())

    def add(self, thing: Thing) -> Thing:
        self.things[thing["id"]] = thing
        return thing

    def get(self, identifier: str, kind: str) -> Thing:
        thing = self.things.get(identifier)
        if thing is None or thing["object"] != kind:
            message = f"No such {kind.replace('.', ' ')}: '{identifier}'"
            raise ApiError(404, "invalid_request_error", message, "resource_missing", param="id")
        return thing

    def all(self, kind: str) -> list[Thing]:
        """Return the objects of a kind, the newest first."""
        return [thing for thing in self.things.values() if thing["object"] == kind][::-1]

    def tell(self, kind: str, thing: Thing) -> Thing:
        """Record an event with the object as it is now, and give it to the delivery."""
        snapshot = objects.event(
            now=self.now,
            kind=kind,
            thing=copy(thing),
            livemode=self.livemode,
            request_id=objects.new_id("req"),
        )
        self.events.append(snapshot)
        self.undelivered.add(snapshot["id"])
        self._publish(self, snapshot)
        return snapshot

    # ── Checkout ─────────────────────────────────────────────────────────────────────────────────

    def pay(self, session_id: str, number: str) -> str:
        """Pay a session with a card; return `complete`, `3ds`, or the code of the refusal."""
        session = self._open(session_id)
        number = number.replace(" ", "")
        if code := AT_CHECKOUT.get(number):
            self._decline(session, code)
            return code
        if number in WANTS_3DS:
            return "3ds"
        self.complete(session_id, number)
        return "complete"

    def complete(self, session_id: str, number: str) -> None:
        """Finish a session with a card that its owner has authenticated."""
        session = self._open(session_id)
        method = self.add(
            objects.card(now=self.now, livemode=self.livemode, customer=session["customer"], number=number)
        )
        self.numbers[method["id"]] = number
        session["status"] = "complete"
        if session["mode"] == "setup":
            intent = self.get(session["setup_intent"], "setup_intent")
            intent.update(status="succeeded", payment_method=method["id"])
            self.tell("setup_intent.succeeded", intent)
        else:
            intent = self._intent_of(session)
            intent["payment_method"] = method["id"]
            session["payment_status"] = "paid"
            self._succeed(intent)
            self._invoice(session)
        self.tell("checkout.session.completed", session)

    def promise(self, session_id: str, iban: str) -> None:
        """Finish a session with a direct debit: complete, but unpaid until the bank has answered."""
        session = self._open(session_id)
        intent = self._intent_of(session)
        intent.update(status="processing", payment_method_types=["card", "sepa_debit"])
        session["status"] = "complete"
        self.pending_sepa[session_id] = iban.replace(" ", "")
        self.tell("payment_intent.processing", intent)
        self.tell("checkout.session.completed", session)

    def settle_sepa(self, session_id: str) -> None:
        """Let the bank answer a direct debit."""
        iban = self.pending_sepa.pop(session_id)
        session = self.get(session_id, "checkout.session")
        intent = self.get(session["payment_intent"], "payment_intent")
        if iban == FAILING_IBAN:
            intent.update(
                status="requires_payment_method",
                last_payment_error=_error("payment_intent_payment_attempt_failed"),
            )
            self.tell("payment_intent.payment_failed", intent)
            self.tell("checkout.session.async_payment_failed", session)
            return
        session["payment_status"] = "paid"
        self._succeed(intent)
        self._invoice(session)
        self.tell("checkout.session.async_payment_succeeded", session)

    def expire(self, session_id: str) -> Thing:
        session = self._open(session_id)
        session.update(status="expired", url=None)
        self.tell("checkout.session.expired", session)
        return session

    # ── Without the customer ─────────────────────────────────────────────────────────────────────

    def charge_off_session(self, intent: Thing) -> Thing:
        """Charge a saved card; a refusal is an error with the payment in it, as Stripe's is."""
        number = self.numbers.get(intent["payment_method"], "")
        if code := OFF_SESSION.get(number):
            is_decline = code != "authentication_required"
            intent["status"] = "requires_payment_method"
            intent["last_payment_error"] = _error(code)
            self.tell("payment_intent.payment_failed", intent)
            decline_code = code if code != "card_declined" else "generic_decline"
            extra = {"decline_code": decline_code} if is_decline else {}
            shown = "card_declined" if code == "insufficient_funds" else code
            raise ApiError(
                402, "card_error", "Your card was declined.", shown, payment_intent=copy(intent), **extra
            )
        self._succeed(intent)
        return intent

    def give_back(self, charge: Thing, amount: int | None) -> Thing:
        """Refund a charge, within what is left of it."""
        left = charge["amount"] - charge["amount_refunded"]
        if charge["disputed"]:
            raise ApiError(400, "invalid_request_error", "This charge is disputed.", "charge_disputed")
        if not left:
            message = f"Charge {charge['id']} has already been refunded."
            raise ApiError(400, "invalid_request_error", message, "charge_already_refunded")
        amount = left if amount is None else amount
        if not 0 < amount <= left:
            message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
            raise ApiError(400, "invalid_request_error", message, "amount_too_large", param="amount")
        refund = self.add(objects.refund(now=self.now, charge=charge, amount=amount))
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        self.tell("refund.created", refund)
        self.tell("charge.refunded", charge)
        return refund

    def fail_refund(self, refund_id: str) -> None:
        """Let a refund come back from the bank."""
        refund = self.get(refund_id, "refund")
        refund["status"] = "failed"
        charge = self.get(refund["charge"], "charge")
        charge.update(amount_refunded=charge["amount_refunded"] - refund["amount"], refunded=False)
        self.tell("refund.updated", refund)
        self.tell("refund.failed", refund)

    def open_dispute(self, charge_id: str, *, warning: bool = False, amount: int | None = None) -> Thing:
        """Let the cardholder contest a charge; a warning moves no money."""
        charge = self.get(charge_id, "charge")
        status = "warning_needs_response" if warning else "needs_response"
        dispute = self.add(
            objects.dispute(now=self.now, charge=charge, amount=amount or charge["amount"], status=status)
        )
        charge["disputed"] = not warning
        self.tell("charge.dispute.created", dispute)
        if not warning:
            self._move_dispute(dispute, -dispute["amount"], DISPUTE_FEE)
            self.tell("charge.dispute.funds_withdrawn", dispute)
        return dispute

    def close_dispute(self, dispute_id: str, status: str) -> None:
        """Let the bank decide: `won`, `lost` or `warning_closed`."""
        dispute = self.get(dispute_id, "dispute")
        dispute["status"] = status
        self.tell("charge.dispute.closed", dispute)
        if status == "won":
            self._move_dispute(dispute, dispute["amount"], 0)
            self.tell("charge.dispute.funds_reinstated", dispute)

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────

    def _open(self, session_id: str) -> Thing:
        session = self.get(session_id, "checkout.session")
        if session["status"] == "open" and session["expires_at"] <= self.now:
            session.update(status="expired", url=None)
            self.tell("checkout.session.expired", session)
        if session["status"] != "open":
            raise ApiError(400, "invalid_request_error", f"This session is {session['status']}.")
        return session

    def _intent_of(self, session: Thing) -> Thing:
        return self.get(session["payment_intent"], "payment_intent")

    def _decline(self, session: Thing, code: str) -> None:
        if session["mode"] == "payment":
            intent = self._intent_of(session)
            intent["last_payment_error"] = _error(code)
            self.tell("payment_intent.payment_failed", intent)

    def _succeed(self, intent: Thing) -> None:
        charge = self.add(objects.charge(now=self.now, base=self.base, intent=intent))
        intent.update(
            status="succeeded",
            amount_received=intent["amount"],
            latest_charge=charge["id"],
            last_payment_error=None,
        )
        self.tell("charge.succeeded", charge)
        self.tell("payment_intent.succeeded", intent)

    def _invoice(self, session: Thing) -> None:
        if session["id"] in self.wants_invoice:
            session["invoice"] = self.add(objects.invoice(now=self.now, base=self.base, session=session))[
                "id"
            ]

    def _move_dispute(self, dispute: Thing, amount: int, fee: int) -> None:
        dispute["balance_transactions"].append(
            objects.balance_transaction(now=self.now, dispute=dispute, amount=amount, fee=fee)
        )


def copy(thing: Any) -> Any:
    """Return a deep copy of JSON data."""
    if isinstance(thing, dict):
        return {name: copy(value) for name, value in thing.items()}
    return [copy(value) for value in thing] if isinstance(thing, list) else thing


def _error(code: str) -> Thing:
    return {"type": "card_error", "code": code, "message": "Your card was declined."}
