"""What the portal asks for to make a key."""

from datetime import date, datetime, time, timedelta

from django import forms
from django.core.validators import MaxValueValidator
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

NOT_UNDERSTOOD = _("Écrivez la date comme 31/12/2027.")


class KeyForm(forms.Form):
    """A name, and the last day on which the key opens (none: it never expires)."""

    name = forms.CharField(
        label=_("Nom"),
        label_suffix="",
        max_length=80,
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": _("Mon projet")}),
        error_messages={"required": _("Donnez un nom à la clé.")},
    )
    expires_on = forms.DateField(
        label=_("Dernier jour de validité (facultatif)"),
        label_suffix="",
        required=False,
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        validators=[MaxValueValidator(date(2999, 12, 31), NOT_UNDERSTOOD)],
        error_messages={"invalid": NOT_UNDERSTOOD},
    )

    @property
    def expires_at(self) -> datetime | None:
        """The end of the last day, in the portal's time zone."""
        day = self.cleaned_data["expires_on"]
        return timezone.make_aware(datetime.combine(day + timedelta(days=1), time.min)) if day else None
