"""The account with which a fresh FR02 is tried: credit, a starter voice and an API key."""

import secrets

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.services import create_api_key, create_verified_user
from billing.ledger import grant_credit
from voices.services import ensure_starter_voice


@transaction.atomic
def create_demo_account() -> tuple[User, str | None, str | None]:
    """Return the demo account, with its password and key in clear the first time and None afterwards."""
    existing = User.objects.filter(email=settings.DEMO_EMAIL).first()
    if existing:
        return existing, None, None
    password = secrets.token_urlsafe(9)
    user = create_verified_user(email=settings.DEMO_EMAIL, password=password)
    _key, raw = create_api_key(user=user, name=_("Démonstration"))
    ensure_starter_voice(user_id=user.pk)
    grant_credit(
        user_id=user.pk, amount_micros=settings.DEMO_CREDIT_MICROS, reason=_("Crédit de démonstration")
    )
    return user, password, raw
