"""The books for operators: everything to read, nothing to edit. Credit moves only through actions that leave an entry."""

import uuid
from datetime import timedelta
from typing import Any

import stripe
from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminTextInputWidget

from accounts.models import User
from billing import inbox, ledger, payments, usage
from billing.forms import EuroField
from billing.models import (
    Account,
    AutoTopUp,
    Dispute,
    Entry,
    Grant,
    Hold,
    Price,
    Refund,
    StripeEvent,
    TopUp,
)
from billing.templatetags.billing_format import euros, signed_euros
from fr02.errors import Fr02Error


class ReadOnly:
    """Rows that only the code writes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class MoveForm(forms.Form):
    """An amount and why. `once` makes a second click of the same form the same movement."""

    amount = EuroField(label=gettext_lazy("Montant (€)"), widget=UnfoldAdminDecimalFieldWidget())
    reason = forms.CharField(label=gettext_lazy("Motif"), max_length=500, widget=UnfoldAdminTextInputWidget())
    once = forms.UUIDField(widget=forms.HiddenInput(), initial=uuid.uuid4)


class AdjustForm(MoveForm):
    """A correction may be negative."""

    amount = EuroField(
        label=gettext_lazy("Montant (€), négatif pour reprendre"),
        is_signed=True,
        widget=UnfoldAdminDecimalFieldWidget(),
    )


class GrantInline(ReadOnly, TabularInline):
    model = Grant
    extra = 0
    fields = ["created_at", "reason", "amount_micros", "remaining_micros", "priority", "expires_at"]


class OpenHoldInline(ReadOnly, TabularInline):
    model = Hold
    verbose_name_plural = gettext_lazy("réservations ouvertes")
    extra = 0
    fields = ["created_at", "amount_micros", "expires_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Hold]:
        return super().get_queryset(request).filter(state=Hold.State.OPEN)


@admin.register(Account)
class AccountAdmin(ReadOnly, ModelAdmin):
    list_display = [
        "user",
        "shown_balance",
        "shown_held",
        "shown_granted",
        "open_holds",
        "is_frozen",
        "created_at",
    ]
    list_filter = ["is_frozen", "created_at"]
    list_select_related = ["user"]
    search_fields = ["user__email", "=stripe_customer_id"]
    ordering = ["-created_at"]
    show_full_result_count = False
    inlines = [GrantInline, OpenHoldInline]
    actions_detail = ["grant", "adjust", "show_entries", "unfreeze"]

    @display(description=gettext_lazy("Solde"), ordering="balance_micros")
    def shown_balance(self, account: Account) -> str:
        return euros(account.balance_micros)

    @display(description=gettext_lazy("Réservé"), ordering="held_micros")
    def shown_held(self, account: Account) -> str:
        return euros(account.held_micros)

    @display(description=gettext_lazy("Offert"), ordering="granted_micros")
    def shown_granted(self, account: Account) -> str:
        return euros(account.granted_micros)

    @action(description=gettext_lazy("Offrir du crédit"), url_path="offrir")
    def grant(self, request: HttpRequest, object_id: str) -> HttpResponse:
        account = _account(request, object_id)
        return _move(request, account, MoveForm, _("Offrir du crédit"), _grant)

    @action(description=gettext_lazy("Ajuster"), url_path="ajuster")
    def adjust(self, request: HttpRequest, object_id: str) -> HttpResponse:
        account = _account(request, object_id)
        return _move(request, account, AdjustForm, _("Ajuster le crédit"), _adjust)

    @action(description=gettext_lazy("Voir les écritures"), url_path="ecritures")
    def show_entries(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect(f"{reverse('admin:billing_entry_changelist')}?account__id__exact={int(object_id)}")

    @action(description=gettext_lazy("Lever le gel"), url_path="degeler")
    def unfreeze(self, request: HttpRequest, object_id: str) -> HttpResponse:
        account = _account(request, object_id)
        if request.method == "POST":
            ledger.unfreeze_account(account_id=account.pk)
            messages.success(request, _("Le compte n’est plus gelé."))
            return redirect("admin:billing_account_change", account.pk)
        return _confirm(request, account, forms.Form(), _("Lever le gel"))


@admin.register(Entry)
class EntryAdmin(ReadOnly, ModelAdmin):
    list_display = [
        "created_at",
        "account",
        "house",
        "kind",
        "shown_amount",
        "shown_after",
        "reason",
        "actor",
    ]
    list_filter = ["kind", "house", "created_at"]
    list_select_related = ["account__user", "actor"]
    search_fields = ["account__user__email", "=source_id"]
    ordering = ["-id"]
    show_full_result_count = False

    @display(description=gettext_lazy("Montant"), ordering="amount_micros")
    def shown_amount(self, entry: Entry) -> str:
        return signed_euros(entry.amount_micros)

    @display(description=gettext_lazy("Solde après"))
    def shown_after(self, entry: Entry) -> str:
        return "" if entry.balance_after_micros is None else euros(entry.balance_after_micros)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup == "account__id__exact" or super().lookup_allowed(lookup, value, request)


@admin.register(Hold)
class HoldAdmin(ReadOnly, ModelAdmin):
    list_display = [
        "created_at",
        "account",
        "state",
        "amount_micros",
        "captured_micros",
        "engine",
        "characters",
    ]
    list_filter = ["state", "engine", "created_at"]
    list_select_related = ["account__user"]
    search_fields = ["account__user__email", "voice_title"]
    ordering = ["-id"]
    show_full_result_count = False


@admin.register(Price)
class PriceAdmin(ModelAdmin):
    """A price is never changed once it is in force: a new one is added, with its date."""

    list_display = ["engine", "micros_per_character", "upstream_micros_per_million_bytes", "starts_at"]
    list_filter = ["engine"]
    ordering = ["engine", "-starts_at"]
    actions_list = ["show_margin"]

    def has_change_permission(self, request: HttpRequest, obj: Price | None = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.starts_at > timezone.now())

    def has_delete_permission(self, request: HttpRequest, obj: Price | None = None) -> bool:
        return (
            super().has_delete_permission(request, obj) and obj is not None and obj.starts_at > timezone.now()
        )

    def get_form(
        self, request: HttpRequest, obj: Price | None = None, change: bool = False, **options: Any
    ) -> Any:
        return super().get_form(request, obj, change, form=PriceForm, **options)

    @action(description=gettext_lazy("Marge par jour"), url_path="marge")
    def show_margin(self, request: HttpRequest) -> HttpResponse:
        _require_operator(request, "billing.view_price")
        period = usage.parse_period(request.GET.get("from"), request.GET.get("to"))
        context = admin.site.each_context(request) | {
            "title": _("Marge par jour et par moteur"),
            "rows": usage.margin_by_day(period),
            "period": period,
        }
        return render(request, "billing/admin_margin.html", context)


class PriceForm(forms.ModelForm):
    """A price begins now or later: what was quoted stays true."""

    def clean_starts_at(self) -> Any:
        starts_at = self.cleaned_data["starts_at"]
        if starts_at < timezone.now() - timedelta(minutes=1):
            raise forms.ValidationError(_("Un prix ne peut pas commencer dans le passé."))
        return starts_at


@admin.register(TopUp)
class TopUpAdmin(ReadOnly, ModelAdmin):
    list_display = ["created_at", "account", "kind", "state", "shown_amount", "clawed_back_micros", "failure"]
    list_filter = ["state", "kind", "is_live", "created_at"]
    list_select_related = ["account__user"]
    search_fields = ["account__user__email", "=session_id", "=payment_intent_id", "=charge_id"]
    ordering = ["-created_at"]
    show_full_result_count = False
    actions_detail = ["refund"]

    @display(description=gettext_lazy("Montant"), ordering="amount_micros")
    def shown_amount(self, top_up: TopUp) -> str:
        return euros(top_up.amount_micros)

    @action(description=gettext_lazy("Rembourser"), url_path="rembourser")
    def refund(self, request: HttpRequest, object_id: str) -> HttpResponse:
        _require_operator(request, "billing.change_topup")
        top_up = get_object_or_404(TopUp, pk=object_id)
        return _move(request, top_up, MoveForm, _("Rembourser la recharge"), _refund)


@admin.register(Refund)
class RefundAdmin(ReadOnly, ModelAdmin):
    list_display = ["created_at", "top_up", "stripe_id", "amount_micros", "debited_micros", "status", "actor"]
    list_filter = ["status"]


@admin.register(Dispute)
class DisputeAdmin(ReadOnly, ModelAdmin):
    list_display = ["created_at", "top_up", "stripe_id", "amount_micros", "debited_micros", "status"]
    list_filter = ["status"]


@admin.register(AutoTopUp)
class AutoTopUpAdmin(ReadOnly, ModelAdmin):
    list_display = ["account", "is_enabled", "card_label", "declines", "rests_until", "stopped_because"]
    list_filter = ["is_enabled", "stopped_because"]
    list_select_related = ["account__user"]


@admin.register(StripeEvent)
class StripeEventAdmin(ReadOnly, ModelAdmin):
    list_display = ["received_at", "type", "id", "processed_at", "attempts", "refusal"]
    list_filter = [
        "type",
        "is_live",
        ("processed_at", admin.EmptyFieldListFilter),
        ("refusal", admin.EmptyFieldListFilter),
    ]
    search_fields = ["=id"]
    ordering = ["-received_at"]
    show_full_result_count = False
    actions_detail = ["process_again"]

    @action(description=gettext_lazy("Traiter de nouveau"), url_path="retraiter")
    def process_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        _require_operator(request, "billing.change_stripeevent")
        event = get_object_or_404(StripeEvent, pk=object_id)
        if request.method == "POST":
            inbox.process_again(event_id=event.pk)
            messages.success(request, _("L’événement a été traité de nouveau."))
            return redirect("admin:billing_stripeevent_change", event.pk)
        return _confirm(request, event, forms.Form(), _("Traiter de nouveau"))


def _account(request: HttpRequest, object_id: str) -> Account:
    _require_operator(request, "billing.change_account")
    return get_object_or_404(Account, pk=object_id)


def _require_operator(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):
        raise PermissionDenied


def _move(
    request: HttpRequest, thing: Any, form_class: type[MoveForm], title: str, apply: Any
) -> HttpResponse:
    """Show a form for a movement, and do it when it is sent."""
    form = form_class(request.POST or None)
    if request.method == "POST" and form.is_valid():
        assert isinstance(request.user, User)
        try:
            apply(thing, form.cleaned_data, request.user.pk)
        except Fr02Error as refusal:
            form.add_error(None, refusal.detail)
        except IntegrityError:
            form.add_error(None, _("Ce mouvement est déjà enregistré."))
        except stripe.StripeError as error:
            form.add_error(None, str(error.user_message or error))
        else:
            messages.success(request, _("C’est fait."))
            return redirect(f"admin:billing_{thing._meta.model_name}_change", thing.pk)
    return _confirm(request, thing, form, title)


def _confirm(request: HttpRequest, thing: Any, form: forms.Form, title: str) -> HttpResponse:
    context = admin.site.each_context(request) | {"title": title, "form": form, "thing": thing}
    return render(request, "billing/admin_move.html", context)


def _grant(account: Account, data: dict[str, Any], actor_id: int) -> None:
    ledger.grant_credit(
        user_id=account.user_id,
        amount_micros=data["amount"],
        reason=data["reason"],
        source_id=data["once"].hex,
        actor_id=actor_id,
    )


def _adjust(account: Account, data: dict[str, Any], actor_id: int) -> None:
    ledger.adjust_credit(
        user_id=account.user_id,
        amount_micros=data["amount"],
        reason=data["reason"],
        source_id=data["once"].hex,
        actor_id=actor_id,
    )


def _refund(top_up: TopUp, data: dict[str, Any], actor_id: int) -> None:
    payments.refund_top_up(
        top_up_id=top_up.pk,
        amount_micros=data["amount"],
        reason=data["reason"],
        actor_id=actor_id,
        idempotency_key=data["once"].hex,
    )
