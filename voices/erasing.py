"""Erase what a clone no longer needs: its voice at Fish Audio, its recordings, its consents.

Each part is tried whatever becomes of the others, and the reference to the voice upstream goes last: a clone that still
has something to erase can always be found, by the sweep (`take_up_erasures`) and by the alarm of the operator.
"""

import contextlib
from datetime import datetime, timedelta

from django.core.files.storage import storages
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import ngettext

from voices import alarms, fish
from voices.jobs import defer_once
from voices.models import Consent, Recording, UpstreamAlarm, Voice

# After the retries of the task itself.
ERASED_WITHIN = timedelta(hours=6)
OVERDUE_AFTER = timedelta(days=1)
AT_ONCE = 500


def mark(voice: Voice) -> str:
    """Return the tag under which a clone is found at Fish Audio, even when its id was never written down."""
    return f"fr02-{voice.public_id}"


def erase_clone(*, voice_key: int) -> None:
    """Erase what a deleted, failed or ready clone left behind. Raises FishError, or what the storage raises."""
    voice = Voice.objects.filter(pk=voice_key, kind=Voice.Kind.CLONE).first()
    if voice is None or (voice.state in Voice.UNFINISHED and not voice.deleted_at):
        return
    is_gone = bool(voice.deleted_at) or voice.state == Voice.State.FAILED
    try:
        _erase_upstream(voice, kept="" if is_gone else voice.reference.get("id", ""))
    finally:
        _drop_recordings(voice)
    if voice.deleted_at:
        Consent.objects.filter(voice=voice).delete()
    if is_gone:
        Voice.objects.filter(pk=voice.pk).update(reference={}, updated_at=timezone.now())


def take_up_erasures() -> None:
    """Go on with erasures that were lost with their worker, and tell the operator of those that take too long."""
    now = timezone.now()
    left = _with_something_left()
    take_up("erase_clone", left.filter(updated_at__lt=now - ERASED_WITHIN), now)
    overdue = left.filter(
        Q(deleted_at__lt=now - OVERDUE_AFTER) | Q(deleted_at=None, created_at__lt=now - 2 * OVERDUE_AFTER)
    ).count()
    if overdue:
        detail = ngettext(
            "{count} clone n’est pas effacé en entier depuis plus d’un jour",
            "{count} clones ne sont pas effacés en entier depuis plus d’un jour",
            overdue,
        )
        alarms.ring(kind=UpstreamAlarm.Kind.ERASURE, detail=detail.format(count=overdue))
    else:
        alarms.resolve(kind=UpstreamAlarm.Kind.ERASURE)


def take_up(task: str, voices: QuerySet[Voice], now: datetime) -> None:
    """Plan a task for each of these voices, and note that it is planned: the next sweep leaves them alone."""
    keys = list(voices.order_by("updated_at").values_list("pk", flat=True)[:AT_ONCE])
    Voice.objects.filter(pk__in=keys).update(updated_at=now)
    for voice_key in keys:
        defer_once(task, voice_key=voice_key)


def _with_something_left() -> QuerySet[Voice]:
    is_gone = Q(deleted_at__isnull=False) | Q(state=Voice.State.FAILED)
    has_recordings = Exists(Recording.objects.filter(voice=OuterRef("pk")))
    has_consents = Exists(Consent.objects.filter(voice=OuterRef("pk")))
    return Voice.objects.filter(
        is_gone & Q(reference__has_key="id")
        | (is_gone | Q(state=Voice.State.TRAINED)) & has_recordings
        | Q(deleted_at__isnull=False) & has_consents,
        kind=Voice.Kind.CLONE,
        owner__isnull=False,
    )


def _erase_upstream(voice: Voice, *, kept: str) -> None:
    """Delete at Fish Audio every voice of this clone but the one that is kept.

    There are several when a request was repeated whose first answer was lost.
    """
    if not (voice.reference or fish.is_configured()):
        return
    try:
        with fish.FishClient() as client:
            known = voice.reference.get("id", "")
            if known != kept:
                _delete(client, known)
            page = client.list_models(is_own=True, tag=mark(voice), sort_by="created_at")
            found = {model.id for model in page.items if mark(voice) in model.tags}
            for upstream_id in found - {known}:
                _delete(client, upstream_id)
    except fish.FishError as error:
        alarms.raise_alarm(error=error)
        raise


def _delete(client: fish.FishClient, upstream_id: str) -> None:
    # It may have been deleted by an earlier try whose answer was lost, or by the operator.
    with contextlib.suppress(fish.FishNotFound):
        client.delete_model(upstream_id)


def _drop_recordings(voice: Voice) -> None:
    """Delete each file, then its row: a row says that there is a file."""
    for row in voice.recordings.select_related("voice"):
        storages["default"].delete(row.audio_name)
        row.delete()
