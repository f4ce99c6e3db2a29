"""What Stripe's objects mean for the books: top-ups, refunds, disputes.

Each `apply_*` takes an object as Stripe shows it now (not as an event once showed it), so that events may
come in any order, any number of times, or never. The account and the amount come from our own TopUp row.
Every function that writes locks the account first, so that there is one order of locks.
"""

import uuid
from collections.abc import Callable
from typing import Any

import stripe
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from billing import gateway, ledger
from billing.models import Account, AutoTopUp, Dispute, Entry, Refund, TopUp
from fr02.errors import Conflict, Forbidden, Fr02Error, InvalidRequest, NotFound

OVER = ("requires_payment_method", "requires_action", "canceled")
REFUND_TAKES_CREDIT = ("pending", "requires_action", "succeeded")


class PaymentNotConfigured(Fr02Error):
    """No Stripe key is set; the operator can still grant credit."""

    status, code = 503, "payment_not_configured"

    def default_detail(self) -> str:
        return _("Le paiement n’est pas configuré sur ce serveur.")


class EventRefused(Exception):
    """What Stripe says contradicts our own rows: nothing is booked, and the operator is told."""


class NotKnownYet(Exception):
    """An object that no row of ours names: an event that overtook the answer, or somebody else's payment."""


def start_top_up(*, user: User, amount_micros: int, saves_card: bool = False) -> str:
    """Open a payment page for so much credit and return its address.

    Raises InvalidRequest outside the limits, Forbidden while the account is frozen, PaymentNotConfigured.
    """
    _require_configuration()
    check_amount(amount_micros)
    with transaction.atomic():
        account = ledger.lock_account(user_id=user.pk)
        if account.is_frozen:
            raise Forbidden(_("Votre crédit est gelé le temps d’un litige bancaire. Écrivez-nous."))
        top_up = TopUp.objects.create(
            account=account, kind=TopUp.Kind.CHECKOUT, amount_micros=amount_micros, is_live=gateway.is_live()
        )
    session = _for_customer(
        user,
        account,
        lambda customer_id: gateway.create_checkout(
            top_up_id=str(top_up.pk),
            customer_id=customer_id,
            amount_micros=amount_micros,
            saves_card=saves_card,
            success_url=_return_address(),
            cancel_url=settings.SITE_URL + reverse("billing-credit"),
        ),
    )
    TopUp.objects.filter(pk=top_up.pk).update(session_id=session["id"])
    return session["url"]


def start_card_setup(*, user: User) -> str:
    """Open a page that saves a card for the automatic top-up and return its address."""
    _require_configuration()
    with transaction.atomic():
        account = ledger.lock_account(user_id=user.pk)
    session = _for_customer(
        user,
        account,
        lambda customer_id: gateway.create_card_setup(
            customer_id=customer_id,
            success_url=_return_address(),
            cancel_url=settings.SITE_URL + reverse("billing-credit"),
        ),
    )
    return session["url"]


def check_amount(amount_micros: int) -> None:
    """Refuse an amount that cannot be bought. Raises InvalidRequest."""
    is_whole = amount_micros % gateway.MICROS_PER_CENT == 0
    if not is_whole or not settings.TOPUP_MIN_MICROS <= amount_micros <= settings.TOPUP_MAX_MICROS:
        raise InvalidRequest(
            _("Choisissez un montant entre {least} et {most} euros, en centimes entiers.").format(
                least=settings.TOPUP_MIN_MICROS // 1_000_000, most=settings.TOPUP_MAX_MICROS // 1_000_000
            )
        )


@transaction.atomic
def apply_session(session: dict[str, Any]) -> TopUp | None:
    """Bring a top-up to the state of its checkout session; credit it when it is paid. None for a saved card.

    Raises NotKnownYet, or EventRefused when mode, currency or amount are not what the top-up says.
    """
    if session["mode"] == "setup":
        _save_card(session["customer"], (session.get("setup_intent") or {}).get("payment_method"))
        return None
    top_up = _locked_top_up(session_id=session["id"])
    # The subtotal: what is paid on top of it as tax is not credit.
    _check_facts(top_up, session["livemode"], session["currency"], session["amount_subtotal"])
    intent = session.get("payment_intent") or {}
    if session["payment_status"] == "paid":
        _credit(top_up, intent, invoice=session.get("invoice") or {})
        if intent.get("setup_future_usage"):
            _save_card(session["customer"], intent.get("payment_method"))
    elif session["status"] == "expired":
        _move(top_up, TopUp.State.EXPIRED)
    elif session["status"] == "complete":
        is_over = intent.get("status") in ("requires_payment_method", "canceled")
        _move(top_up, TopUp.State.FAILED if is_over else TopUp.State.PROCESSING, intent)
    return top_up


@transaction.atomic
def apply_payment_intent(intent: dict[str, Any], *, top_up_id: uuid.UUID | None = None) -> TopUp:
    """Bring a top-up to the state of its payment; credit it when it is paid. Raises NotKnownYet or
    EventRefused.
    """
    names = {"pk": top_up_id} if top_up_id else {"payment_intent_id": intent["id"]}
    top_up = _locked_top_up(**names)
    _check_facts(top_up, intent["livemode"], intent["currency"], intent["amount"])
    if intent["status"] == "succeeded":
        _credit(top_up, intent)
    elif intent["status"] == "processing":
        _move(top_up, TopUp.State.PROCESSING, intent)
    elif intent["status"] in OVER and top_up.kind == TopUp.Kind.AUTOMATIC:
        # A checkout page lets the customer try again: only its session says when it is over.
        _move(top_up, TopUp.State.FAILED, intent)
    return top_up


def refund_top_up(
    *, top_up_id: Any, amount_micros: int, reason: str, actor_id: int, idempotency_key: str
) -> Refund:
    """Give money back for a top-up and take the credit back, even if the balance falls below zero.

    Raises InvalidRequest without a reason or beyond what is left, Conflict for a top-up that was not paid.
    """
    _require_configuration()
    top_up = TopUp.objects.filter(pk=top_up_id).first()
    if top_up is None:
        raise NotFound()
    if top_up.credited_at is None or not top_up.payment_intent_id:
        raise Conflict(_("Cette recharge n’a pas été payée."))
    if not reason.strip():
        raise InvalidRequest(_("Donnez le motif du remboursement."))
    left_micros = top_up.amount_micros - top_up.clawed_back_micros
    if not 0 < amount_micros <= left_micros or amount_micros % gateway.MICROS_PER_CENT:
        raise InvalidRequest(_("Le montant doit être en centimes entiers et ne pas dépasser ce qui reste."))
    refund = gateway.create_refund(
        payment_intent_id=top_up.payment_intent_id,
        amount_micros=amount_micros,
        idempotency_key=idempotency_key,
    )
    return apply_refund(refund, reason=reason.strip(), actor_id=actor_id)


@transaction.atomic
def apply_refund(refund: dict[str, Any], *, reason: str = "", actor_id: int | None = None) -> Refund:
    """Take back the credit of a refund once, and give it back when the refund failed. Raises NotKnownYet."""
    top_up = _locked_top_up(payment_intent_id=refund["payment_intent"])
    row, _created = Refund.objects.get_or_create(
        stripe_id=refund["id"],
        defaults={
            "top_up": top_up,
            "amount_micros": refund["amount"] * gateway.MICROS_PER_CENT,
            "status": refund["status"],
            "reason": reason,
            "actor_id": actor_id,
        },
    )
    takes = refund["status"] in REFUND_TAKES_CREDIT
    kinds = (Entry.Kind.REFUND, Entry.Kind.REFUND_REVERSAL)
    _claw_back(
        top_up, row, takes=takes, kinds=kinds, house=Entry.House.STRIPE, reason=reason, actor_id=actor_id
    )
    changes = {"status": refund["status"]} | ({"reason": reason, "actor_id": actor_id} if actor_id else {})
    Refund.objects.filter(pk=row.pk).update(**changes)
    return row


@transaction.atomic
def apply_dispute(dispute: dict[str, Any]) -> Dispute:
    """Take the credit of a dispute while its money is away, and freeze the account meanwhile. Raises
    NotKnownYet.

    Stripe's own movements of money tell what has happened; warnings have none and so take nothing.
    """
    top_up = _locked_top_up(payment_intent_id=dispute["payment_intent"])
    row, _created = Dispute.objects.get_or_create(
        stripe_id=dispute["id"],
        defaults={
            "top_up": top_up,
            "amount_micros": dispute["amount"] * gateway.MICROS_PER_CENT,
            "status": dispute["status"],
        },
    )
    movements = [movement["amount"] for movement in dispute["balance_transactions"]]
    was_withdrawn, was_reinstated = any(m < 0 for m in movements), any(m > 0 for m in movements)
    now = timezone.now()
    Dispute.objects.filter(pk=row.pk).update(
        status=dispute["status"],
        withdrawn_at=(row.withdrawn_at or now) if was_withdrawn else None,
        reinstated_at=(row.reinstated_at or now) if was_reinstated else None,
    )
    kinds = (Entry.Kind.DISPUTE, Entry.Kind.DISPUTE_REVERSAL)
    takes = was_withdrawn and not was_reinstated
    _claw_back(top_up, row, takes=takes, kinds=kinds, house=Entry.House.DISPUTES)
    is_away = Dispute.objects.filter(
        top_up__account_id=top_up.account_id, withdrawn_at__isnull=False, reinstated_at__isnull=True
    ).exists()
    Account.objects.filter(pk=top_up.account_id).update(is_frozen=is_away)
    return row


def fail_top_up(*, top_up_id: Any, cause: str) -> None:
    """Note that an automatic top-up came to nothing."""
    with transaction.atomic():
        top_up = _locked_top_up(pk=top_up_id)
        _move(top_up, TopUp.State.FAILED, failure=cause)


def _credit(top_up: TopUp, intent: dict[str, Any], *, invoice: dict[str, Any] | None = None) -> None:
    """Book a paid top-up, once; the account is locked."""
    charge = intent.get("latest_charge") or {}
    papers = {
        "payment_intent_id": intent.get("id"),
        "charge_id": charge.get("id", ""),
        "receipt_url": charge.get("receipt_url") or "",
        "invoice_url": (invoice or {}).get("hosted_invoice_url") or "",
    }
    papers = {name: value for name, value in papers.items() if value}
    if top_up.credited_at is None:
        ledger.post_movement(
            account=top_up.account,
            house=Entry.House.STRIPE,
            kind=Entry.Kind.TOP_UP,
            amount_micros=top_up.amount_micros,
            source_type="topup",
            source_id=str(top_up.pk),
        )
        papers |= {"state": TopUp.State.PAID, "credited_at": timezone.now(), "failure": ""}
    if papers:
        TopUp.objects.filter(pk=top_up.pk).update(**papers)
        top_up.refresh_from_db()


def _move(top_up: TopUp, state: str, intent: dict[str, Any] | None = None, *, failure: str = "") -> None:
    """Note how far a top-up is; what was paid stays paid, whatever comes late."""
    intent = intent or {}
    error = intent.get("last_payment_error") or {}
    changes: dict[str, Any] = {"state": state, "failure": failure or error.get("code") or ""}
    if intent.get("id"):
        changes["payment_intent_id"] = intent["id"]
    TopUp.objects.filter(pk=top_up.pk, credited_at=None).update(**changes)
    top_up.refresh_from_db()


def _claw_back(
    top_up: TopUp,
    row: Refund | Dispute,
    *,
    takes: bool,
    kinds: tuple[str, str],
    house: str,
    reason: str = "",
    actor_id: int | None = None,
) -> None:
    """Debit what a refund or dispute takes, never more than is left of the top-up; credit it when it is
    undone.
    """
    left_micros = top_up.amount_micros - top_up.clawed_back_micros
    wanted_micros = row.debited_micros or min(row.amount_micros, left_micros) if takes else 0
    change_micros = wanted_micros - row.debited_micros
    if not change_micros:
        return
    kind = kinds[0] if change_micros > 0 else kinds[1]
    entry_id = ledger.post_movement(
        account=top_up.account,
        house=house,
        kind=kind,
        amount_micros=-change_micros,
        source_type=kind,
        source_id=_next_source_id(kind, row.stripe_id),
        reason=reason,
        actor_id=actor_id,
    )
    ledger.cover_debit_with_grants(top_up.account, entry_id)
    type(row).objects.filter(pk=row.pk).update(debited_micros=wanted_micros)
    TopUp.objects.filter(pk=top_up.pk).update(clawed_back_micros=top_up.clawed_back_micros + change_micros)
    row.refresh_from_db()


def _next_source_id(kind: str, stripe_id: str) -> str:
    """Name a movement after its refund or dispute; the account is locked. A bank may change its mind more than once."""
    again = Q(source_id=stripe_id) | Q(source_id__startswith=f"{stripe_id}#")
    times = Entry.objects.filter(again, source_type=kind, house="").count()
    return f"{stripe_id}#{times + 1}" if times else stripe_id


def _locked_top_up(**names: Any) -> TopUp:
    """Return the top-up as it is once its account is locked. Raises NotKnownYet."""
    ((name, value),) = names.items()
    # Nothing is known by the name of nothing: it would be any top-up whose payment has not begun.
    found = TopUp.objects.filter(**names).first() if value is not None else None
    if found is None:
        raise NotKnownYet(value or f"no {name}")
    account = ledger.lock_account(account_id=found.account_id)
    top_up = TopUp.objects.get(pk=found.pk)
    top_up.account = account
    return top_up


def _check_facts(top_up: TopUp, is_live: bool, currency: str, amount_cents: int) -> None:
    if is_live != top_up.is_live or is_live != gateway.is_live():
        raise EventRefused(f"live mode is {is_live}, top-up {top_up.pk} says {top_up.is_live}")
    if currency != top_up.currency:
        raise EventRefused(f"currency is {currency}, top-up {top_up.pk} says {top_up.currency}")
    if amount_cents * gateway.MICROS_PER_CENT != top_up.amount_micros:
        raise EventRefused(
            f"amount is {amount_cents} cents, top-up {top_up.pk} says {top_up.amount_micros} micros"
        )


def _save_card(customer_id: str | None, method: dict[str, Any] | None) -> None:
    """Keep the card that the customer left for automatic top-ups."""
    account = Account.objects.filter(stripe_customer_id=customer_id or None).first()
    if account is None or not method or not method.get("card"):
        return
    card = method["card"]
    label = f"{card['brand'].capitalize()} •••• {card['last4']}"
    AutoTopUp.objects.update_or_create(
        account=account,
        defaults={
            "payment_method_id": method["id"],
            "card_label": label,
            "declines": 0,
            "stopped_because": "",
        },
    )


def _for_customer(user: User, account: Account, call: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """Call Stripe for the account's customer, made at the first need and again when Stripe has lost it."""
    if account.stripe_customer_id:
        try:
            return call(account.stripe_customer_id)
        except stripe.InvalidRequestError as error:
            if error.code != "resource_missing":
                raise
    customer_id = gateway.create_customer(
        account_id=account.pk, email=user.email, lost_id=account.stripe_customer_id
    )
    Account.objects.filter(pk=account.pk).update(stripe_customer_id=customer_id)
    return call(customer_id)


def _require_configuration() -> None:
    if not gateway.is_configured():
        raise PaymentNotConfigured()


def _return_address() -> str:
    return settings.SITE_URL + reverse("billing-return") + "?session_id={CHECKOUT_SESSION_ID}"
