"""What happens in the community: likes, reports, moderation, publishing, the upkeep of the search index."""

from collections.abc import Iterable

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from community.models import LEXEMES, Like, Report
from fr02.errors import Conflict, Forbidden, VoiceNotFound
from voices.mirror import clean_text
from voices.models import Voice
from voices.words import search_text

PUBLISHABLE = (Voice.Kind.BLEND, Voice.Kind.CLONE)
# A tier's level, the share of the catalogue that it holds, and the least number of voices worth an index of
# its own.
TIERS = ((3, 64, 2_000), (2, 16, 8_000), (1, 4, 32_000))


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

    The mirror never shows a hidden voice again: it does not write this field.
    """
    keys, now = list(voice_keys), timezone.now()
    changed = Voice.objects.filter(pk__in=keys, is_hidden=False).update(is_hidden=True, updated_at=now)
    Report.objects.filter(voice__in=keys, resolved_at=None).update(
        outcome=Report.Outcome.HIDDEN, resolved_at=now, moderator_id=moderator_id
    )
    return changed


def unhide_voices(*, voice_keys: Iterable[int]) -> int:
    """Show voices again. Returns how many changed."""
    hidden = Voice.objects.filter(pk__in=list(voice_keys), is_hidden=True)
    return hidden.update(is_hidden=False, updated_at=timezone.now())


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
    voice = _lock_own_voice(user_id, voice_id)
    if voice.is_hidden:
        raise Forbidden(_("La modération a masqué cette voix\u00a0: elle ne peut pas être publiée."))
    if voice.kind not in PUBLISHABLE:
        raise Conflict(_("Seuls vos mélanges et vos clones peuvent être publiés."))
    if voice.state != Voice.State.TRAINED:
        raise Conflict(_("Cette voix n’est pas encore prête\u00a0: elle ne peut pas être publiée."))
    author = clean_text(author_nickname, 100) or voice.author_nickname or _("Anonyme")
    return _set_visibility(voice, Voice.Visibility.PUBLIC, author)


@transaction.atomic
def unpublish_voice(*, user_id: int, voice_id: str) -> Voice:
    """Take an own voice back: others can no longer speak with it. Twice is not an error."""
    voice = _lock_own_voice(user_id, voice_id)
    return _set_visibility(voice, Voice.Visibility.PRIVATE, voice.author_nickname)


def refresh_index() -> None:
    """Put each voice into its tier again and count the words: after large changes, and nightly.

    Between two refreshes new voices get their tier from the limits of the last one, which stays right, only
    less even.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        # A row written by the old limits after this began would be in the wrong tier.
        cursor.execute("LOCK TABLE community_listing IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute("SELECT count(*) FROM community_listing")
        (total,) = cursor.fetchone()
        cursor.execute("DELETE FROM community_tier")
        for level, share, least in TIERS:
            cursor.execute(
                "INSERT INTO community_tier (level, task_count, voice_id) SELECT %s, task_count, voice_id"
                " FROM community_listing ORDER BY task_count DESC, voice_id DESC OFFSET %s LIMIT 1",
                [level, max(0, min(total, max(total // share, least)) - 1)],
            )
        cursor.execute(RETIER)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(COUNT_WORDS)
    _vacuum()


RETIER = """
UPDATE community_listing AS listing SET tier = wanted.tier
FROM (
    SELECT voice_id, (
        SELECT count(*) FROM community_tier
        WHERE (l.task_count, l.voice_id) >= (community_tier.task_count, community_tier.voice_id)
    ) AS tier
    FROM community_listing AS l
) AS wanted
WHERE wanted.voice_id = listing.voice_id AND listing.tier <> wanted.tier
"""
COUNT_WORDS = f"""
WITH counted AS (
    SELECT word, ndoc FROM ts_stat($$SELECT {LEXEMES} FROM community_listing$$)
    WHERE length(word) BETWEEN 3 AND 32 AND word !~ '^[@#0-9]'
), gone AS (
    DELETE FROM community_word WHERE word NOT IN (SELECT word FROM counted)
)
INSERT INTO community_word AS known (word, frequency) SELECT word, ndoc FROM counted ORDER BY word
ON CONFLICT (word) DO UPDATE SET frequency = excluded.frequency WHERE known.frequency <> excluded.frequency
"""  # noqa: S608


def _vacuum() -> None:
    """Sort new rows into the inverted indexes, let index-only walks trust the pages, tell the planner the
    numbers.
    """
    if connection.in_atomic_block:
        return
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) community_listing, community_word, voices_voice")


def _lock_public_voice(voice_id: str) -> Voice:
    voice = Voice.objects.select_for_update().filter(public_id=voice_id)
    found = voice.public().first()
    if found is None:
        raise VoiceNotFound()
    return found


def _lock_own_voice(user_id: int, voice_id: str) -> Voice:
    voice = Voice.objects.select_for_update().private_of(user_id).filter(public_id=voice_id).first()
    if voice is None:
        raise VoiceNotFound()
    return voice


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
