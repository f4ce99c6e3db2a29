"""What happens to voices: which one an account speaks with, and its starter voice."""

import re

from django.conf import settings
from django.utils.translation import gettext as _

from fr02.errors import Conflict, VoiceNotFound
from voices.builtin import DEFAULT_STYLE, builtin_id, sync_builtin_voices
from voices.models import Voice
from voices.words import search_text

PUBLIC_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


def resolve_voice(*, user_id: int, voice_id: str | None) -> Voice:
    """Return the voice that an account may speak with; None asks for the default voice.

    Raises VoiceNotFound for an unknown voice and for somebody else's alike, Conflict while a clone is not ready.
    """
    if voice_id is None:
        return default_voice()
    if not PUBLIC_ID.fullmatch(voice_id):
        raise VoiceNotFound()
    voice = Voice.objects.audible_for(user_id).filter(public_id=voice_id).first()
    if voice is None:
        raise VoiceNotFound()
    if voice.state == Voice.State.FAILED:
        raise Conflict(_("La préparation de cette voix a échoué. Supprimez-la et recommencez."))
    if voice.state != Voice.State.TRAINED:
        raise Conflict(_("Cette voix est encore en préparation. Réessayez dans quelques secondes."))
    return voice


def default_voice() -> Voice:
    """Return the voice that speaks when none is asked for."""
    public_id = builtin_id(settings.KOKORO_DEFAULT_VOICE)
    voice = Voice.objects.filter(public_id=public_id).first()
    if voice is None:
        sync_builtin_voices()
        voice = Voice.objects.get(public_id=public_id)
    return voice


def ensure_starter_voice(*, user_id: int) -> None:
    """Give the account its one starter voice, unless it has or had one: a deleted one does not come back."""
    if Voice.objects.filter(owner_id=user_id, kind=Voice.Kind.STARTER).exists():
        return
    title = _("Ma première voix")
    starter = Voice(
        engine=Voice.Engine.KOKORO,
        kind=Voice.Kind.STARTER,
        owner_id=user_id,
        reference={"styles": [[DEFAULT_STYLE, 1.0]], "language": "fr-fr"},
        title=title,
        description=_("Votre voix de départ\u00a0: elle parle français dès la première requête."),
        languages=["fr"],
        search_text=search_text(title=title, languages=["fr"]),
    )
    # The constraint `voice_one_starter` decides between two first requests at once.
    Voice.objects.bulk_create([starter], ignore_conflicts=True)
