"""What happens in the community: likes, reports, moderation, publishing."""

from collections.abc import Iterable

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from community.models import Like, Report
from fr02.errors import Conflict, VoiceNotFound
from voices.editing import check_shareable, lock_own_voice
from voices.mirror import clean_text
from voices.models import Voice
from voices.words import search_text


@transaction.atomic
def like_voice(*, user_id: int, voice_id: str) -> Voice:
    """Like a public voice; once more changes nothing. Returns the voice with its count."""
    voice = _lock_public_voice(voice_id)
    _like, is_new = Like.objects.get_or_create(user_id=user_id, voice=voice)
    return _change_likes(voice, +1) if is_new else voice


@transaction.atomic
def unlike_voice(*, user_id: int, voice_id: str) -> Voice:
    """Take a like back; without one nothing changes. Returns the voice with its count."""
    voice = _lock_public_voice(voice_id)
    count, _rows = Like.objects.filter(user_id=user_id, voice=voice).delete()
    return _change_likes(voice, -1) if count and voice.like_count else voice


@transaction.atomic
def forget_likes(*, user_id: int) -> None:
    """Take back every like of an account."""
    liked = Like.objects.filter(user_id=user_id)
    Voice.objects.filter(likes__in=liked, like_count__gt=0).update(like_count=F("like_count") - 1)
    liked.delete()


@transaction.atomic
def report_voice(*, user_id: int, voice_id: str, reason: str, detail: str = "") -> Report:
    """Tell the moderators about a public voice. While a report of this account is open, it is changed
    instead.
    """
    voice = _lock_public_voice(voice_id)
    report, _is_new = Report.objects.update_or_create(
        user_id=user_id,
        voice=voice,
        resolved_at=None,
        defaults={"reason": reason, "detail": clean_text(detail, 2_000, keeps_lines=True)},
    )
    return report


@transaction.atomic
def hide_voices(*, voice_keys: Iterable[int], moderator_id: int) -> int:
    """Take voices out of sight of all but their owners, and settle their reports. Returns how many changed.

    What accounts adopted of them is hidden too, and not counted. The mirror never shows a hidden voice again:
    it does not write this field.
    """
    keys, now = list(voice_keys), timezone.now()
    changed = Voice.objects.filter(pk__in=keys, is_hidden=False).update(is_hidden=True, updated_at=now)
    _adopted_of(keys).filter(is_hidden=False).update(is_hidden=True, updated_at=now)
    Report.objects.filter(voice__in=keys, resolved_at=None).update(
        outcome=Report.Outcome.HIDDEN, resolved_at=now, moderator_id=moderator_id
    )
    return changed


@transaction.atomic
def unhide_voices(*, voice_keys: Iterable[int]) -> int:
    """Show voices again, and what accounts adopted of them. Returns how many of these changed."""
    keys, now = list(voice_keys), timezone.now()
    changed = Voice.objects.filter(pk__in=keys, is_hidden=True).update(is_hidden=False, updated_at=now)
    _adopted_of(keys).filter(is_hidden=True).update(is_hidden=False, updated_at=now)
    return changed


def dismiss_reports(*, report_keys: Iterable[int], moderator_id: int) -> int:
    """Close reports without consequence. Returns how many were open."""
    return Report.objects.filter(pk__in=list(report_keys), resolved_at=None).update(
        outcome=Report.Outcome.DISMISSED, resolved_at=timezone.now(), moderator_id=moderator_id
    )


@transaction.atomic
def publish_voice(*, user_id: int, voice_id: str, author_nickname: str = "") -> Voice:
    """Show an own blend or clone to the community, under a name that its owner chooses.

    Raises VoiceNotFound, Forbidden for a voice that a moderator hid, Conflict for one that is not ready or
    not its owner's own work. Publishing twice changes the name only.
    """
    voice = lock_own_voice(user_id=user_id, voice_id=voice_id)
    check_shareable(voice)
    if voice.state != Voice.State.TRAINED:
        raise Conflict(_("Cette voix n’est pas encore prête\u00a0: elle ne peut pas être publiée."))
    author = clean_text(author_nickname, 100) or voice.author_nickname or _("Anonyme")
    return _set_visibility(voice, Voice.Visibility.PUBLIC, author)


@transaction.atomic
def unpublish_voice(*, user_id: int, voice_id: str) -> Voice:
    """Take an own voice back: others can no longer speak with it. Twice is not an error."""
    voice = lock_own_voice(user_id=user_id, voice_id=voice_id)
    return _set_visibility(voice, Voice.Visibility.PRIVATE, voice.author_nickname)


def _adopted_of(voice_keys: list[int]) -> QuerySet[Voice]:
    fish_ids = Voice.objects.filter(pk__in=voice_keys, engine=Voice.Engine.FISH).values_list("reference__id")
    known = [fish_id for (fish_id,) in fish_ids if fish_id]
    return Voice.objects.of_fish(known).filter(kind=Voice.Kind.ADOPTED, owner__isnull=False)


def _lock_public_voice(voice_id: str) -> Voice:
    voice = Voice.objects.select_for_update().filter(public_id=voice_id)
    found = voice.public().first()
    if found is None:
        raise VoiceNotFound()
    return found


def _change_likes(voice: Voice, by: int) -> Voice:
    Voice.objects.filter(pk=voice.pk).update(like_count=F("like_count") + by)
    voice.refresh_from_db(fields=["like_count"])
    return voice


def _set_visibility(voice: Voice, visibility: str, author: str) -> Voice:
    voice.visibility, voice.author_nickname, voice.updated_at = visibility, author, timezone.now()
    voice.search_text = search_text(
        title=voice.title, author=author, tags=voice.tags, languages=voice.languages
    )
    voice.save(update_fields=["visibility", "author_nickname", "search_text", "updated_at"])
    return voice
