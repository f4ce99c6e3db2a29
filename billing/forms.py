"""The forms of the credit page. Amounts are typed in euros and handed on in micro-euros."""

from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from billing.models import AutoTopUp
from billing.templatetags.billing_format import euros

MICROS = 1_000_000
OTHER = "other"


class EuroField(forms.DecimalField):
    """An amount in euros, with a comma or a dot; its value is micro-euros."""

    def __init__(self, *, is_signed: bool = False, **options: Any) -> None:
        least = None if is_signed else Decimal(0)
        super().__init__(max_digits=8, decimal_places=2, min_value=least, localize=True, **options)
        self.widget.attrs |= {"inputmode": "decimal", "autocomplete": "off", "size": 8}

    def clean(self, value: Any) -> Any:
        amount = super().clean(value)
        return None if amount is None else int(amount * MICROS)

    def prepare_value(self, value: Any) -> Any:
        return f"{value / MICROS:.2f}".replace(".", ",") if isinstance(value, int) else value


class TopUpForm(forms.Form):
    """One of the packs, or an amount of one's own."""

    pack = forms.ChoiceField(label=_("Montant"), widget=forms.RadioSelect)
    amount = EuroField(label=_("Autre montant (€)"), required=False)
    saves_card = forms.BooleanField(
        label=_("Enregistrer la carte pour la recharge automatique"), required=False
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        packs = [(str(micros), euros(micros)) for micros in settings.TOPUP_PACKS_MICROS]
        field = self.fields["pack"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [*packs, (OTHER, _("Autre montant"))]
        field.initial = packs[min(1, len(packs) - 1)][0]

    @property
    def amount_micros(self) -> int:
        if self.cleaned_data["pack"] == OTHER:
            return self.cleaned_data["amount"] or 0
        return int(self.cleaned_data["pack"])


class AutoTopUpForm(forms.ModelForm):
    """When the saved card may be charged, and how much a month at most."""

    threshold_micros = EuroField(label=_("Quand le solde passe sous (€)"))
    amount_micros = EuroField(label=_("Recharger de (€)"))
    monthly_cap_micros = EuroField(label=_("Au plus par mois (€)"))

    class Meta:
        model = AutoTopUp
        fields = ["is_enabled", "threshold_micros", "amount_micros", "monthly_cap_micros"]
        labels = {"is_enabled": _("Recharger automatiquement")}
