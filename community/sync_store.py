"""Write what the mirror saw: only what is new or changed, and nothing of what moderators and customers
decided.
"""

from collections import Counter
from dataclasses import dataclass

from django.db import connection
from django.utils import timezone

from community.models import Like, SyncRun
from voices.fish import FishModel
from voices.mirror import MIRRORED_FIELDS, is_listable, mirrored_voice
from voices.models import Voice


@dataclass
class Stored:
    """Count what a page changed."""

    created_count: int = 0
    changed_count: int = 0
    skipped_count: int = 0


def store_models(models: list[FishModel]) -> Stored:
    """Bring the rows of these voices up to date. Writes nothing for a voice that is as it was.

    Customers' own voices (cloned, adopted) are left alone even when the catalogue shows them. A voice that
    is no longer public there is no longer shown here; a new one that is not public is skipped.
    """
    known = {
        public_id: (kind, bytes(digest or b""), retired_at)
        for public_id, kind, digest, retired_at in Voice.objects.filter(
            public_id__in=[model.id for model in models]
        ).values_list("public_id", "kind", "source_digest", "retired_at")
    }
    stored = Stored()
    writes: dict[str, Voice] = {}
    for model in models:
        voice = mirrored_voice(model)
        voice.retired_at = timezone.now() if model.is_taken_down else None
        if model.id in known:
            kind, digest, retired_at = known[model.id]
            is_same = digest == voice.source_digest and (retired_at is None) == (voice.retired_at is None)
            if kind != Voice.Kind.MIRRORED or is_same:
                continue
        elif not is_listable(model):
            stored.skipped_count += 1
            continue
        writes[model.id] = voice
    stored.changed_count = len(writes.keys() & known.keys())
    stored.created_count = len(writes) - stored.changed_count
    _write(list(writes.values()))
    return stored


def retire(*, fish_ids: list[str]) -> int:
    """Take voices out of the catalogue that Fish Audio no longer has. Their rows stay, with likes and
    history.
    """
    now = timezone.now()
    gone = Voice.objects.filter(public_id__in=fish_ids, kind=Voice.Kind.MIRRORED, retired_at=None)
    return gone.update(retired_at=now, updated_at=now)


def _write(voices: list[Voice]) -> None:
    # A like that is given meanwhile waits for this write, or is counted by it. In one order everywhere, so that two
    # writers wait for each other instead of deadlocking.
    public_ids = sorted(voice.public_id for voice in voices)
    rows = Voice.objects.select_for_update(no_key=True).filter(public_id__in=public_ids)
    list(rows.order_by("public_id").values_list("pk"))
    # Likes given here come on top of those given there.
    own = Counter(
        Like.objects.filter(voice__public_id__in=public_ids).values_list("voice__public_id", flat=True)
    )
    for voice in voices:
        voice.like_count += own[voice.public_id]
    Voice.objects.bulk_create(
        sorted(voices, key=lambda voice: voice.public_id),
        update_conflicts=True,
        unique_fields=["public_id"],
        update_fields=[*MIRRORED_FIELDS, "search_text", "source_digest", "retired_at", "updated_at"],
    )


def unseen_voices(*, run: SyncRun, after: int, limit: int) -> list[tuple[int, str]]:
    """Return key and id of mirrored voices that no page of a run showed, behind a key.

    Only those that were there when it began.
    """
    with connection.cursor() as cursor:
        cursor.execute(UNSEEN, [run.pk, run.started_at, after, limit])
        return cursor.fetchall()


UNSEEN = """
WITH seen AS MATERIALIZED (
    SELECT DISTINCT unnest(page.fish_ids) AS public_id
    FROM community_syncpage AS page JOIN community_syncquery AS query ON query.id = page.query_id
    WHERE query.run_id = %s
)
SELECT voice.id, voice.public_id FROM voices_voice AS voice
LEFT JOIN seen ON seen.public_id = voice.public_id
WHERE voice.kind = 'mirrored' AND voice.retired_at IS NULL AND voice.updated_at < %s AND seen.public_id IS NULL
    AND voice.id > %s
ORDER BY voice.id LIMIT %s
"""
