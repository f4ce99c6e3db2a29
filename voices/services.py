"""Which voice an account speaks with, and its starter voice."""

import logging
import re
import threading
from collections.abc import Mapping

from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from fr02.errors import Conflict, EngineBusy, unknown_voice
from voices import alarms, fish
from voices.builtin import DEFAULT_STYLE, builtin_id, sync_builtin_voices
from voices.editing import mark_deleted
from voices.mirror import can_return, store_mirrored_voice
from voices.models import Voice
from voices.words import search_text

logger = logging.getLogger(__name__)

PUBLIC_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
# Whose uses are counted here; the others bring their numbers along.
COUNTED_HERE = (Voice.Kind.BUILT_IN, Voice.Kind.STARTER, Voice.Kind.BLEND, Voice.Kind.CLONE)
LOOK_UP_SECONDS = 5.0
UNKNOWN_SECONDS = 300
# Looking up takes a database thread with it: a slow Fish Audio must not take them all.
_look_ups = threading.BoundedSemaphore(2)


def resolve_voice(*, user_id: int, voice_id: str | None) -> Voice:
    """Return the voice that an account may speak with; None asks for the default voice.

    An id that nobody knows here is asked for at Fish Audio. Raises VoiceNotFound for an unknown voice and
    for somebody else's alike, Conflict while a clone is not ready, EngineUnavailable or EngineBusy when
    Fish Audio cannot be asked.
    """
    if voice_id is None:
        return default_voice()
    if not PUBLIC_ID.fullmatch(voice_id):
        raise unknown_voice()
    audible = Voice.objects.audible_for(user_id).filter(Q(owner_id=user_id) | Q(retired_at=None))
    voice = audible.filter(public_id=voice_id).first() or look_up_voice(voice_id=voice_id)
    if voice is None:
        raise unknown_voice()
    if voice.state == Voice.State.FAILED:
        raise Conflict(_("La préparation de cette voix a échoué. Supprimez-la et recommencez."))
    if voice.state != Voice.State.TRAINED:
        raise Conflict(_("Cette voix est encore en préparation. Réessayez dans quelques secondes."))
    return voice


def find_public_voice(*, voice_id: str) -> Voice | None:
    """Return a voice that the community shows, looked up at Fish Audio when nobody knows it here."""
    if not PUBLIC_ID.fullmatch(voice_id):
        return None
    voice = Voice.objects.public().filter(public_id=voice_id).first() or look_up_voice(voice_id=voice_id)
    return voice if voice and voice.visibility == Voice.Visibility.PUBLIC else None


def look_up_voice(*, voice_id: str) -> Voice | None:
    """Ask Fish Audio for a voice that has no row here, and keep it. None when it does not know it either.

    A voice with a row is never looked up: it is private, hidden or deleted for a reason. Only the mirror may have
    retired it by mistake; it comes back. Unknown ids are remembered for five minutes. Raises EngineUnavailable
    and EngineBusy.
    """
    unknown = f"fish-unknown:{voice_id}"
    known = Voice.objects.exclude(can_return()).filter(public_id=voice_id)
    if not fish.is_configured() or cache.get(unknown) or known.exists():
        return None
    if not _look_ups.acquire(blocking=False):
        raise EngineBusy(retry_after_s=1)
    try:
        with fish.FishClient(timeout_s=LOOK_UP_SECONDS, attempts=1) as client:
            model = client.get_model(voice_id)
    except (fish.FishNotFound, fish.FishForbidden):
        model = None
    except fish.FishError as error:
        alarms.raise_alarm(error=error)
        logger.warning("A voice could not be looked up: %s (status %s)", type(error).__name__, error.status)
        raise fish.refusal(error) from error
    finally:
        _look_ups.release()
    voice = store_mirrored_voice(model=model) if model else None
    if voice is None:
        cache.set(unknown, True, UNKNOWN_SECONDS)
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


@transaction.atomic
def note_uses(*, counts: Mapping[int, int]) -> int:
    """Store how often voices spoke, by their key. Returns how many of these counts are new."""
    voices = Voice.objects.select_for_update(no_key=True).filter(pk__in=counts, kind__in=COUNTED_HERE)
    changed = [voice for voice in voices.order_by("public_id") if voice.task_count != counts[voice.pk]]
    for voice in changed:
        voice.task_count = counts[voice.pk]
    Voice.objects.bulk_update(changed, ["task_count"], batch_size=1_000)
    return len(changed)


@transaction.atomic
def forget_account(*, user_id: int) -> None:
    """Delete every voice of an account and what was said of them; its clones are deleted upstream too."""
    for voice in Voice.objects.select_for_update().private_of(user_id):
        mark_deleted(voice)
    Voice.objects.filter(owner_id=user_id).update(
        title=_("Voix supprimée"),
        description="",
        author_nickname="",
        tags=[],
        search_text="",
        sample_url="",
        sample_text="",
        failure="",
    )
