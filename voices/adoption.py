"""Take in a voice that was made at Fish Audio itself, before FR02 or beside it, by its id.

One that is private upstream belongs to the platform's own account and keeps its id here: one account may have it. One
that anybody may speak with (public, unlisted) stays where it is, and each adopter gets an entry of their own, with an
id of its own, that points to it: nobody loses anything. What is adopted is neither renamed nor deleted upstream.
"""

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from fr02.errors import Conflict, EngineUnavailable, InvalidRequest, VoiceNotFound
from voices import alarms, fish
from voices.editing import check_quota
from voices.mirror import mirrored_fields
from voices.models import Voice, new_voice_id
from voices.words import search_text

LOOK_UP_SECONDS = 10.0


def adopt_voice(*, user_id: int, fish_audio_id: str) -> Voice:
    """Return the voice as one of the account's own; twice is not an error.

    Raises VoiceNotFound when Fish Audio does not know it, does not give it to us, when a moderator hid it, or
    when it is another account's; Conflict when it is not ready or at the quota; EngineUnavailable; EngineBusy;
    InvalidRequest.
    """
    if not fish.is_model_id(fish_audio_id):
        detail = _("Un identifiant Fish Audio a 32 chiffres hexadécimaux minuscules.")
        raise InvalidRequest(detail, pointers=[("/fish_audio_id", detail)])
    model = _look_up(user_id, fish_audio_id)
    if model.is_taken_down or model.state != Voice.State.TRAINED:
        raise Conflict(_("Cette voix n’est pas prête chez Fish Audio."))
    return _take_in(user_id, model)


def _look_up(user_id: int, fish_audio_id: str) -> fish.FishModel:
    if not fish.is_configured():
        detail = _("L’adoption demande Fish Audio, qui n’est pas configuré sur ce serveur.")
        raise EngineUnavailable(detail)
    try:
        with fish.FishClient(account=str(user_id), timeout_s=LOOK_UP_SECONDS, attempts=1) as client:
            return client.get_model(fish_audio_id)
    except (fish.FishNotFound, fish.FishForbidden):
        raise VoiceNotFound() from None
    except fish.FishError as error:
        alarms.raise_alarm(error=error)
        raise fish.refusal(error) from error


@transaction.atomic
def _take_in(user_id: int, model: fish.FishModel) -> Voice:
    if Voice.objects.of_fish([model.id]).filter(is_hidden=True).exists():
        raise VoiceNotFound()
    # The row of a voice, where there is one, decides who of two comes first; else its unique id.
    known = Voice.objects.select_for_update().filter(public_id=model.id).first()
    for held in _held(model.id):
        if held.owner_id == user_id and not held.deleted_at:
            return held
        # A deleted clone that is not erased upstream yet is nobody's to take, and what is private has one account.
        if held.kind == Voice.Kind.CLONE or model.visibility == Voice.Visibility.PRIVATE:
            raise VoiceNotFound()
    check_quota(user_id=user_id)
    try:
        with transaction.atomic():
            return _write(user_id, model, known)
    except IntegrityError:
        # Another request was first, in this very moment.
        raise VoiceNotFound() from None


def _held(upstream_id: str) -> list[Voice]:
    """Return the entries of accounts that this voice has; deleted clones too."""
    entries = Voice.objects.of_fish([upstream_id]).filter(owner__isnull=False)
    return list(entries.filter(Q(deleted_at=None) | Q(kind=Voice.Kind.CLONE)).order_by("pk"))


def _write(user_id: int, model: fish.FishModel, known: Voice | None) -> Voice:
    fields = _fields(user_id, model)
    if known is not None and known.kind == Voice.Kind.ADOPTED and known.deleted_at:
        Voice.objects.filter(pk=known.pk).update(**fields)
        known.refresh_from_db()
        return known
    keeps_id = known is None and model.visibility == Voice.Visibility.PRIVATE
    return Voice.objects.create(public_id=model.id if keeps_id else new_voice_id(), **fields)


def _fields(user_id: int, model: fish.FishModel) -> dict[str, Any]:
    now = timezone.now()
    fields = mirrored_fields(model)
    return fields | {
        "owner_id": user_id,
        "kind": Voice.Kind.ADOPTED,
        "engine": Voice.Engine.FISH,
        "visibility": Voice.Visibility.PRIVATE,
        "search_text": search_text(
            title=fields["title"],
            author=fields["author_nickname"],
            tags=fields["tags"],
            languages=fields["languages"],
        ),
        "like_count": 0,
        "task_count": 0,
        "created_at": now,
        "updated_at": now,
        "deleted_at": None,
    }
