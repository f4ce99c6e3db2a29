"""Close an account: what it said, sounded like and logged in with goes; what it paid stays, under no name."""

from allauth.account.decorators import reauthentication_required
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django import forms
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.models import ApiKey, StreamTicket, User
from billing.models import AutoTopUp
from billing.services import credit_of
from community.services import forget_likes
from tts.services import forget_account as forget_speech
from voices.models import Voice
from voices.services import forget_account as forget_voices

# A domain that can never exist (RFC 2606): no mail goes there, nobody can sign up with it.
NOWHERE = "compte-ferme.invalid"


class ClosingForm(forms.Form):
    """Have the account's own address typed: nobody does that by mistake."""

    email = forms.CharField(
        label=gettext_lazy("Votre adresse e-mail, pour confirmer"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, user: User, data: object = None) -> None:
        super().__init__(data)  # type: ignore[arg-type]
        self.user = user

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"].strip()
        if email.casefold() != self.user.email.casefold():
            raise ValidationError(_("Ce n’est pas l’adresse de ce compte."))
        return email


@never_cache
@login_required
@reauthentication_required
@require_http_methods(["GET", "HEAD", "POST"])
def close(request: HttpRequest) -> HttpResponse:
    """Explain what closing does, and do it once it is confirmed. Who logged in long ago does so again first."""
    user = request.user
    assert isinstance(user, User)
    form = ClosingForm(user, request.POST if request.method == "POST" else None)
    if request.method == "POST" and not user.is_staff and form.is_valid():
        close_account(user=user)
        logout(request)
        messages.success(request, _("Votre compte est fermé et ses données sont effacées."))
        return redirect("developers")
    context = {
        "form": form,
        "credit": credit_of(user.pk),
        "voice_count": Voice.objects.private_of(user.pk).count(),
    }
    return render(request, "fr02/close_account.html", context, status=400 if form.errors else 200)


@transaction.atomic
def close_account(*, user: User) -> None:
    """Erase an account: voices (clones upstream too), texts, audio, keys, sessions, likes, name and address.

    The ledger's entries stay, as the law wants; they lead to a row without a name. Nobody can undo it.
    """
    now = timezone.now()
    forget_voices(user_id=user.pk)
    forget_speech(user_id=user.pk)
    forget_likes(user_id=user.pk)
    AutoTopUp.objects.filter(account__user=user).update(is_enabled=False)
    ApiKey.objects.filter(user=user, revoked_at=None).update(revoked_at=now)
    ApiKey.objects.filter(user=user).update(name=_("clé d’un compte fermé"))
    for logs_in in (StreamTicket, EmailAddress, Authenticator):
        logs_in.objects.filter(user=user).delete()
    user.set_unusable_password()
    User.objects.filter(pk=user.pk).update(
        # The password is part of what a session is signed with: all of them end.
        password=user.password,
        email=f"{user.pk}-{get_random_string(8).lower()}@{NOWHERE}",
        is_active=False,
        last_login=None,
    )
