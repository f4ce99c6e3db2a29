"""What an owner changes of a voice, whatever its kind: title, description, tags, visibility, deletion."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from fr02.errors import Conflict, Forbidden, InvalidRequest, VoiceNotFound
from voices.consent import NO_CONSENT, ConsentGiven, check_publication_consent
from voices.jobs import defer_once
from voices.mirror import clean_text
from voices.models import Voice
from voices.words import search_text

MAX_TITLE, MAX_DESCRIPTION, MAX_TAGS, MAX_TAG = 200, 5_000, 20, 64
# What is its owner's own work: only that may be shown to others.
SHAREABLE = (Voice.Kind.BLEND, Voice.Kind.CLONE)


@dataclass(frozen=True)
class VoiceFields:
    """What an owner says of a new voice, fit to store and to show."""

    title: str
    description: str = ""
    tags: tuple[str, ...] = ()
    visibility: str = Voice.Visibility.PRIVATE


def clean_fields(
    *, title: str, description: str = "", tags: Iterable[str] = (), visibility: str = ""
) -> VoiceFields:
    """Return the fields of a new voice. Raises InvalidRequest with one pointer per bad field."""
    values = _cleaned(
        {
            "title": title,
            "description": description,
            "tags": list(tags),
            "visibility": visibility or "private",
        }
    )
    return VoiceFields(**values | {"tags": tuple(values["tags"])})


@transaction.atomic
def update_voice(
    *, user_id: int, voice_id: str, changes: Mapping[str, Any], consent: ConsentGiven = NO_CONSENT
) -> Voice:
    """Change title, description, tags or visibility of an own voice; what is not given stays.

    A clone is renamed upstream too, in the background; to share it takes the consent of whoever speaks. Raises
    VoiceNotFound, InvalidRequest, Conflict for an adopted or starter voice that is to be shared, Forbidden for one
    that a moderator hid.
    """
    values = _cleaned(changes)
    voice = lock_own_voice(user_id=user_id, voice_id=voice_id)
    if values.get("visibility", Voice.Visibility.PRIVATE) != Voice.Visibility.PRIVATE:
        check_shareable(voice)
        check_publication_consent(voice, user_id=user_id, given=consent)
    for name, value in values.items():
        setattr(voice, name, value)
    voice.updated_at = timezone.now()
    voice.search_text = search_text(
        title=voice.title, author=voice.author_nickname, tags=voice.tags, languages=voice.languages
    )
    voice.save(update_fields=[*values, "search_text", "updated_at"])
    if voice.kind == Voice.Kind.CLONE and voice.reference and set(values) - {"visibility"}:
        defer_once("describe_clone", voice_key=voice.pk)
    return voice


@transaction.atomic
def delete_voice(*, user_id: int, voice_id: str) -> None:
    """Delete an own voice. A clone is deleted upstream too, in the background; an adopted voice lives on there."""
    voice = lock_own_voice(user_id=user_id, voice_id=voice_id)
    mark_deleted(voice)


def mark_deleted(voice: Voice) -> None:
    """Mark a locked voice as deleted and have its traces upstream erased."""
    now = timezone.now()
    Voice.objects.filter(pk=voice.pk).update(
        deleted_at=now, updated_at=now, visibility=Voice.Visibility.PRIVATE
    )
    if voice.kind == Voice.Kind.CLONE:
        defer_once("erase_clone", voice_key=voice.pk)


def lock_own_voice(*, user_id: int, voice_id: str) -> Voice:
    """Return an own voice, locked until the transaction ends. Raises VoiceNotFound, for somebody else's too."""
    voice = Voice.objects.select_for_update().private_of(user_id).filter(public_id=voice_id).first()
    if voice is None:
        raise VoiceNotFound()
    return voice


def check_shareable(voice: Voice) -> None:
    """Raise Forbidden or Conflict when others may not be given this voice."""
    if voice.is_hidden:
        raise Forbidden(_("La modération a masqué cette voix\u00a0: elle ne peut pas être partagée."))
    if voice.kind not in SHAREABLE:
        raise Conflict(_("Seuls vos mélanges et vos clones peuvent être partagés."))


def check_quota(*, user_id: int) -> None:
    """Raise Conflict when the account has all the voices that it may have. Needs a transaction: it locks."""
    User.objects.select_for_update(no_key=True).get(pk=user_id)
    if Voice.objects.private_of(user_id).count() >= settings.VOICES_PER_ACCOUNT:
        detail = _("Vous avez déjà {count} voix privées. Supprimez-en une.")
        raise Conflict(detail.format(count=settings.VOICES_PER_ACCOUNT))


def _cleaned(changes: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    pointers = []
    if "title" in changes:
        values["title"] = clean_text(changes["title"], MAX_TITLE + 1)
        if not 1 <= len(values["title"]) <= MAX_TITLE:
            pointers.append(("/title", _("Donnez un titre de 1 à {most} caractères.").format(most=MAX_TITLE)))
    if "description" in changes:
        values["description"] = clean_text(changes["description"], MAX_DESCRIPTION, keeps_lines=True)
    if "tags" in changes:
        tags = dict.fromkeys(tag for item in changes["tags"] if (tag := clean_text(item, MAX_TAG)))
        values["tags"] = list(tags)
        if len(tags) > MAX_TAGS:
            pointers.append(("/tags", _("Au plus {most} étiquettes.").format(most=MAX_TAGS)))
    if "visibility" in changes:
        values["visibility"] = changes["visibility"]
        if values["visibility"] not in (Voice.Visibility.PRIVATE, Voice.Visibility.UNLISTED):
            detail = _(
                "Valeurs possibles\u00a0: private, unlist. Pour publier\u00a0: POST /api/v1/voices/{id}/publish."
            )
            pointers.append(("/visibility", detail))
    if pointers:
        raise InvalidRequest(" ".join(detail for _pointer, detail in pointers), pointers=pointers)
    return values
