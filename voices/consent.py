"""The consent that a clone may leave its owner's account: whoever speaks permits it, in words that are kept."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from fr02.errors import InvalidRequest
from voices.models import Consent, Voice


@dataclass(frozen=True)
class ConsentGiven:
    """What the owner said at the door, and from where."""

    is_given: bool = False
    ip_address: str | None = None


NO_CONSENT = ConsentGiven()


def publication_statement() -> str:
    """Return the words that the owner of a clone agrees to before others may speak with it."""
    return _(
        "Je certifie que la personne qui parle permet que tous les comptes de FR02 fassent dire ce qu’ils "
        "veulent à cette voix."
    )


def check_publication_consent(voice: Voice, *, user_id: int, given: ConsentGiven) -> None:
    """Record the consent to share a clone; raise InvalidRequest when there is none, now or from before."""
    if voice.kind != Voice.Kind.CLONE:
        return
    if given.is_given:
        Consent.objects.get_or_create(
            voice=voice,
            purpose=Consent.Purpose.PUBLICATION,
            defaults={
                "user_id": user_id,
                "statement": publication_statement(),
                "ip_address": given.ip_address,
            },
        )
    elif not voice.consents.filter(purpose=Consent.Purpose.PUBLICATION).exists():
        detail = _("Partager un clone demande votre accord\u00a0: «\u202f{words}\u202f»").format(
            words=publication_statement()
        )
        raise InvalidRequest(detail, pointers=[("/consent", detail)], reason="consent")
