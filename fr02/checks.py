"""Catch a set-up that is legal Python and wrong in production, before the first customer does."""

from typing import Any

from django.conf import settings
from django.core.checks import Error, Tags, register

from voices.builtin import STYLES

MIN_SECRET_LENGTH = 32
ENOUGH = "Donnez au moins 32 caractères aléatoires."


@register()
def check_default_voice(app_configs: Any, **kwargs: Any) -> list[Error]:
    """Refuse a default voice that nobody has: every request without a voice would fail."""
    style = settings.KOKORO_DEFAULT_VOICE
    if style in STYLES:
        return []
    hint = f"Voix possibles\u00a0: {', '.join(STYLES)}."
    return [
        Error(f"KOKORO_DEFAULT_VOICE nomme une voix inconnue, «\u202f{style}\u202f».", hint, id="fr02.E007")
    ]


@register(Tags.security)
def check_secrets(app_configs: Any, **kwargs: Any) -> list[Error]:
    """Refuse secrets that can be guessed."""
    errors = [
        Error(f"{name} est trop court.", ENOUGH, id="fr02.E001")
        for name in (
            "SECRET_KEY",
            "MEDIA_SIGNING_KEY",
            *(["METRICS_TOKEN"] if settings.METRICS_TOKEN else []),
        )
        if len(getattr(settings, name)) < MIN_SECRET_LENGTH
    ]
    if any(len(pepper) < MIN_SECRET_LENGTH for pepper in settings.API_KEY_PEPPERS.values()):
        errors.append(Error("API_KEY_PEPPER est trop court.", ENOUGH, id="fr02.E002"))
    return errors


@register(Tags.security)
def check_production(app_configs: Any, **kwargs: Any) -> list[Error]:
    """Refuse to start in production with what is only good for a laptop."""
    if not settings.IS_PRODUCTION:
        return []
    is_real_stripe_elsewhere = settings.STRIPE_SECRET_KEY.startswith("sk_live_") and settings.STRIPE_API_BASE
    wrong = (
        (settings.DEBUG, "DEBUG est actif en production.", "Enlevez DEBUG=True.", "E003"),
        (
            not settings.SITE_URL.startswith("https://"),
            "SITE_URL n’est pas en https.",
            "Donnez l’adresse publique du site.",
            "E004",
        ),
        (
            is_real_stripe_elsewhere,
            "Une clé Stripe réelle parle à une autre adresse.",
            "Enlevez STRIPE_API_BASE.",
            "E005",
        ),
        (
            not settings.EMAIL_HOST,
            "EMAIL_HOST manque\u00a0: confirmations et mots de passe oubliés s’écriraient dans le journal.",
            "Donnez le serveur SMTP qui envoie les e-mails.",
            "E006",
        ),
    )
    return [Error(sentence, hint, id=f"fr02.{code}") for is_wrong, sentence, hint, code in wrong if is_wrong]
