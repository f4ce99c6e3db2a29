"""Catch a set-up that is legal Python and wrong in production, before the first customer does."""

from typing import Any

from django.conf import settings
from django.core.checks import Error, Tags, register

MIN_SECRET_LENGTH = 32


@register(Tags.security)
def check_production(app_configs: Any, **kwargs: Any) -> list[Error]:
    """Refuse to start in production with what is only good for a laptop."""
    errors = [
        Error(f"{name} est trop court.", hint="Donnez au moins 32 caractères aléatoires.", id="fr02.E001")
        for name in ("SECRET_KEY", "MEDIA_SIGNING_KEY")
        if len(getattr(settings, name)) < MIN_SECRET_LENGTH
    ]
    if any(len(pepper) < MIN_SECRET_LENGTH for pepper in settings.API_KEY_PEPPERS.values()):
        errors.append(
            Error(
                "API_KEY_PEPPER est trop court.",
                hint="Donnez au moins 32 caractères aléatoires.",
                id="fr02.E002",
            )
        )
    if not settings.IS_PRODUCTION:
        return errors
    if settings.DEBUG:
        errors.append(Error("DEBUG est actif en production.", hint="Enlevez DEBUG=True.", id="fr02.E003"))
    if not settings.SITE_URL.startswith("https://"):
        errors.append(
            Error("SITE_URL n’est pas en https.", hint="Donnez l’adresse publique du site.", id="fr02.E004")
        )
    if settings.STRIPE_SECRET_KEY.startswith("sk_live_") and settings.STRIPE_API_BASE:
        errors.append(
            Error(
                "Une clé Stripe réelle parle à une autre adresse.",
                hint="Enlevez STRIPE_API_BASE.",
                id="fr02.E005",
            )
        )
    return errors
