"""The pages of billing: credit, top-up, prices; and the door at which Stripe knocks."""

from typing import Any

import stripe
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST, require_safe

from accounts.models import User
from billing import auto_topup, gateway, inbox, payments, usage
from billing.forms import AutoTopUpForm, TopUpForm
from billing.models import Account, AutoTopUp, Entry, TopUp
from billing.pricing import price_list
from billing.services import credit_of
from fr02.errors import Fr02Error, problem_response

ENTRIES_SHOWN = 20
TOP_UPS_SHOWN = 10


@never_cache
@login_required
@require_safe
def credit(request: HttpRequest) -> HttpResponse:
    """Show the credit, what moved it, and how to top it up."""
    return _show(request)


@login_required
@require_POST
def top_up(request: HttpRequest) -> HttpResponse:
    """Open Stripe's payment page for the chosen amount."""
    form = TopUpForm(request.POST)
    if not form.is_valid():
        return _show(request, top_up_form=form, status=400)
    return _to_stripe(
        request,
        lambda: payments.start_top_up(
            user=_user(request),
            amount_micros=form.amount_micros,
            saves_card=form.cleaned_data["saves_card"],
        ),
    )


@login_required
@require_POST
def save_card(request: HttpRequest) -> HttpResponse:
    """Open Stripe's page that saves a card."""
    return _to_stripe(request, lambda: payments.start_card_setup(user=_user(request)))


@login_required
@require_POST
def automatic_top_up(request: HttpRequest) -> HttpResponse:
    """Set when the saved card may be charged."""
    form = AutoTopUpForm(request.POST)
    if not form.is_valid():
        return _show(request, automatic_form=form, status=400)
    try:
        wish = auto_topup.configure(user_id=_user(request).pk, **form.cleaned_data)
    except Fr02Error as refusal:
        form.add_error(None, refusal.detail)
        return _show(request, automatic_form=form, status=refusal.status)
    text = (
        _("La recharge automatique est active.")
        if wish.is_enabled
        else _("La recharge automatique est arrêtée.")
    )
    messages.success(request, text)
    return redirect("billing-credit")


@never_cache
@login_required
@require_GET
def come_back(request: HttpRequest) -> HttpResponse:
    """Receive the customer back from Stripe and book what was paid, in case the webhook is late."""
    account = Account.objects.filter(user=_user(request)).first()
    session_id = request.GET.get("session_id", "")
    if account is None or not account.stripe_customer_id or not session_id.startswith("cs_"):
        raise Http404
    try:
        session = gateway.retrieve_session(session_id)
        if session["customer"] != account.stripe_customer_id:
            raise Http404
        top_up = payments.apply_session(session)
    except stripe.InvalidRequestError as error:
        raise Http404 from error
    except (stripe.StripeError, payments.NotKnownYet):
        messages.info(request, _("Votre paiement est en cours de confirmation."))
    except payments.EventRefused:
        messages.error(request, _("Ce paiement ne correspond pas à votre demande. Écrivez-nous."))
    else:
        _say_how_it_went(request, top_up)
    return redirect("billing-credit")


@never_cache
@login_required
@require_safe
def entries_csv(request: HttpRequest) -> StreamingHttpResponse:
    """Export every movement of the account."""
    entries = Entry.objects.filter(account__user=_user(request)).order_by("pk")
    answer = StreamingHttpResponse(
        usage.write_csv(usage.statement_rows(entries)), content_type="text/csv; charset=utf-8"
    )
    answer["Content-Disposition"] = (
        f'attachment; filename="fr02-ecritures-{timezone.localdate():%Y-%m-%d}.csv"'
    )
    return answer


@require_safe
def pricing(request: HttpRequest) -> HttpResponse:
    """Show the prices and what is charged."""
    context = {
        "prices": price_list(),
        "welcome_micros": settings.WELCOME_CREDIT_MICROS,
        "packs": settings.TOPUP_PACKS_MICROS,
    }
    return render(request, "billing/pricing.html", context)


@csrf_exempt
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponseBase:
    """Take an event of Stripe: 200 once it is kept, 400 for a bad signature, 503 when Stripe should send it
    again.
    """
    try:
        inbox.receive_event(body=request.body, signature=request.headers.get("Stripe-Signature", ""))
    except Fr02Error as refusal:
        return problem_response(refusal, request)
    except stripe.StripeError:
        return HttpResponse(status=503)
    return HttpResponse(status=200)


def _show(
    request: HttpRequest,
    *,
    top_up_form: TopUpForm | None = None,
    automatic_form: AutoTopUpForm | None = None,
    status: int = 200,
) -> HttpResponse:
    user = _user(request)
    entries = Entry.objects.filter(account__user=user).order_by("-pk")[:ENTRIES_SHOWN]
    top_ups = TopUp.objects.filter(account__user=user).exclude(
        state=TopUp.State.PENDING, kind=TopUp.Kind.CHECKOUT
    )
    automatic = AutoTopUp.objects.filter(account__user=user).first()
    context: dict[str, Any] = {
        "credit": credit_of(user.pk),
        "account": Account.objects.get(user=user),
        "entries": entries,
        "top_ups": top_ups.order_by("-created_at")[:TOP_UPS_SHOWN],
        "is_payment_configured": gateway.is_configured(),
        "top_up_form": top_up_form or TopUpForm(),
        "automatic": automatic,
        "automatic_form": automatic_form or AutoTopUpForm(instance=automatic),
    }
    return render(request, "billing/credit.html", context, status=status)


def _to_stripe(request: HttpRequest, start: Any) -> HttpResponse:
    try:
        address = start()
    except Fr02Error as refusal:
        messages.error(request, refusal.detail)
    except stripe.StripeError:
        messages.error(request, _("Le service de paiement ne répond pas. Réessayez dans un instant."))
    else:
        answer = redirect(address)
        answer.status_code = 303
        return answer
    return redirect("billing-credit")


def _say_how_it_went(request: HttpRequest, top_up: TopUp | None) -> None:
    if top_up is None:
        messages.success(request, _("Votre carte est enregistrée."))
    elif top_up.state == TopUp.State.PAID:
        messages.success(request, _("Merci\u202f! Votre compte est rechargé."))
    elif top_up.state == TopUp.State.PROCESSING:
        messages.info(
            request, _("Votre banque traite le prélèvement. Le crédit arrivera dès qu’il sera confirmé.")
        )
    else:
        messages.warning(request, _("Le paiement n’a pas abouti. Rien n’a été débité."))


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
