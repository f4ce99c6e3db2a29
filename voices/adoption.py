"""Take in a voice that was made at Fish Audio itself, before FR02 or beside it, by its id.

One that is private upstream belongs to the platform's own account and keeps its id here. One that anybody may
speak with (public, unlisted) stays where it is, and its adopter gets an entry of their own, with an id of its own,
that points to it: nobody loses anything. What is adopted is neither renamed nor deleted upstream.
"""

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.db.models.fields.json import KT
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
    if (held := _held(model.id)) is not None:
        # A deleted clone that is not erased upstream yet is nobody's to take.
        if held.owner_id != user_id or held.deleted_at:
            raise VoiceNotFound()
        return held
    check_quota(user_id=user_id)
    try:
        with transaction.atomic():
            return _write(user_id, model)
    except IntegrityError:
        # Another account was first, in this very moment (constraint `voice_one_owner_upstream`).
        raise VoiceNotFound() from None


def _held(upstream_id: str) -> Voice | None:
    """Return the entry of the account that this voice belongs to."""
    owned = Voice.objects.filter(
        Q(deleted_at=None) | Q(kind=Voice.Kind.CLONE),
        engine=Voice.Engine.FISH,
        owner__isnull=False,
        reference__has_key="id",
    )
    return owned.annotate(upstream_id=KT("reference__id")).filter(upstream_id=upstream_id).first()


def _write(user_id: int, model: fish.FishModel) -> Voice:
    fields = _fields(user_id, model)
    known = Voice.objects.filter(public_id=model.id).first()
    if known is not None and known.kind == Voice.Kind.ADOPTED:
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
