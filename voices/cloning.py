"""Clone a voice at Fish Audio: recorded consent, checked recordings, then one step after another in the background.

created -> training -> trained or failed. Each step is a task of its own (voices.tasks), so that nobody sleeps
in a worker. Upstream a clone is always private and carries a mark: when a worker dies between asking for the
clone and writing down its id, the next one finds it by the mark and makes no second one. Publishing is FR02's
own matter; Fish Audio's community never sees these voices.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core.files import File
from django.core.files.storage import storages
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from procrastinate.contrib.django import app

from fr02.errors import EngineUnavailable, InvalidRequest
from fr02.media import storage_at_work
from voices import alarms, fish
from voices.editing import VoiceFields, check_quota
from voices.models import Consent, Recording, Voice
from voices.uploads import CleanRecording, clean_recordings, only_check
from voices.words import search_text

logger = logging.getLogger(__name__)

UNFINISHED = (Voice.State.CREATED, Voice.State.TRAINING)
# A step that left no trace for so long was lost with its worker.
LOST_AFTER = timedelta(minutes=5)
ERASED_WITHIN = timedelta(hours=6)
RETRY_S, LATE_RETRY_S = 15.0, 600.0


@dataclass(frozen=True)
class CloneOrder:
    """What the owner asks for: uploads as they came, and the words of each as far as they are known."""

    fields: VoiceFields
    files: Sequence[UploadedFile]
    texts: Sequence[str] = ()
    has_consent: bool = False
    ip_address: str | None = None


def consent_statement() -> str:
    """Return the words that the owner agrees to."""
    return _(
        "Je certifie que cette voix est la mienne, ou que la personne qui parle m’a permis par écrit de la "
        "cloner et de l’employer avec FR02."
    )


def check_available() -> None:
    """Raise EngineUnavailable where the platform has no key for Fish Audio."""
    if not fish.is_configured():
        detail = _(
            "Le clonage demande Fish Audio, qui n’est pas configuré sur ce serveur. Les mélanges restent possibles."
        )
        raise EngineUnavailable(detail)


def clone_voice(*, user_id: int, order: CloneOrder) -> Voice:
    """Check the recordings, store them with the consent, and have the clone made. Returns it, not ready yet.

    Raises EngineUnavailable without a key, Conflict at the quota, RateLimited, and what `clean_recordings` raises.
    """
    check_available()
    if not order.has_consent:
        detail = _("Votre accord est requis\u00a0: «\u202f{statement}\u202f»").format(
            statement=consent_statement()
        )
        raise InvalidRequest(detail, pointers=[("/consent", detail)], reason="consent")
    with transaction.atomic():
        check_quota(user_id=user_id)  # before the work; what counts is the check in `_store`
    with only_check(user_id), clean_recordings(order.files, order.texts) as recordings:
        return _store(user_id, order, recordings)


@transaction.atomic
def _store(user_id: int, order: CloneOrder, recordings: Sequence[CleanRecording]) -> Voice:
    check_quota(user_id=user_id)
    fields = order.fields
    voice = Voice.objects.create(
        owner_id=user_id,
        kind=Voice.Kind.CLONE,
        engine=Voice.Engine.FISH,
        state=Voice.State.CREATED,
        title=fields.title,
        description=fields.description,
        tags=list(fields.tags),
        visibility=fields.visibility,
        search_text=search_text(title=fields.title, tags=fields.tags),
    )
    Consent.objects.create(
        voice=voice, user_id=user_id, statement=consent_statement(), ip_address=order.ip_address
    )
    for item in recordings:
        row = Recording.objects.create(
            voice=voice, name=item.name, duration_ms=item.duration_ms, text=item.text
        )
        with item.path.open("rb") as file, storage_at_work():
            storages["default"].save(row.audio_name, File(file))
    app.configure_task("voices.tasks.advance_clone").defer(voice_key=voice.pk)
    return voice


def advance_clone(*, voice_key: int) -> float | None:
    """Do the next step of a clone; return after how many seconds the one after it is due, None: no more."""
    voice = Voice.objects.filter(pk=voice_key, kind=Voice.Kind.CLONE, state__in=UNFINISHED).first()
    if voice is None:
        return None
    if voice.deleted_at and voice.state == Voice.State.CREATED:
        return _fail(voice, "")
    now = timezone.now()
    is_late = voice.created_at < now - timedelta(seconds=settings.CLONE_DEADLINE_SECONDS)
    is_asked = voice.state == Voice.State.TRAINING and not voice.reference
    if is_late and not is_asked:
        return _fail(voice, _("Fish Audio n’a pas préparé la voix à temps. Recommencez plus tard."))
    Voice.objects.filter(pk=voice.pk).update(updated_at=now)
    try:
        with fish.FishClient(account=str(voice.owner_id)) as client:
            if voice.state == Voice.State.CREATED:
                return _ask_for_clone(client, voice)
            return _recover(client, voice) if is_asked else _follow(client, voice)
    except (fish.FishInvalid, fish.FishForbidden) as error:
        reason = _("Fish Audio refuse ces enregistrements\u00a0: {message}").format(message=error.message)
        return _fail(voice, reason)
    except fish.FishError as error:
        alarms.raise_alarm(error=error)
        logger.warning("clone %s: %s (status %s)", voice.public_id, type(error).__name__, error.status)
        return LATE_RETRY_S if is_late else RETRY_S


def erase_clone(*, voice_key: int) -> None:
    """Delete upstream what a deleted or failed clone left there, and its recordings here. Raises FishError."""
    voice = Voice.objects.filter(pk=voice_key, kind=Voice.Kind.CLONE).first()
    if voice is None or not (voice.deleted_at or voice.state == Voice.State.FAILED):
        return
    if upstream_id := voice.reference.get("id"):
        try:
            with fish.FishClient() as client:
                client.delete_model(upstream_id)
        except fish.FishNotFound:
            pass  # deleted by an earlier try whose answer was lost, or by the operator
        except fish.FishError as error:
            alarms.raise_alarm(error=error)
            raise
    Voice.objects.filter(pk=voice.pk).update(reference={}, updated_at=timezone.now())
    if voice.deleted_at:
        _drop_audio(voice)
        Consent.objects.filter(voice=voice).delete()
        Recording.objects.filter(voice=voice).delete()


def describe_clone(*, voice_key: int) -> None:
    """Give the clone upstream the title, description and tags that it has here. Raises FishError."""
    voice = Voice.objects.filter(pk=voice_key, kind=Voice.Kind.CLONE, deleted_at=None).first()
    if voice is None or not voice.reference:
        return
    try:
        with fish.FishClient() as client:
            client.update_model(
                voice.reference["id"],
                title=voice.title,
                description=voice.description,
                tags=[*voice.tags, _mark(voice)],
            )
    except fish.FishNotFound:
        logger.warning("clone %s is gone upstream", voice.public_id)


def take_up_lost_clones() -> None:
    """Go on with what was lost with its worker: clones not ready, and upstream voices not erased."""
    now = timezone.now()
    clones = Voice.objects.filter(kind=Voice.Kind.CLONE, owner__isnull=False)
    _defer("voices.tasks.advance_clone", clones.filter(state__in=UNFINISHED, updated_at__lt=now - LOST_AFTER))
    gone = clones.filter(Q(deleted_at__isnull=False) | Q(state=Voice.State.FAILED), reference__has_key="id")
    _defer("voices.tasks.erase_clone", gone.filter(updated_at__lt=now - ERASED_WITHIN))


def _defer(task: str, voices: QuerySet[Voice]) -> None:
    for voice_key in voices.order_by("pk").values_list("pk", flat=True)[:500]:
        app.configure_task(task).defer(voice_key=voice_key)


def _ask_for_clone(client: fish.FishClient, voice: Voice) -> float | None:
    is_mine = Voice.objects.filter(pk=voice.pk, state=Voice.State.CREATED).update(
        state=Voice.State.TRAINING, updated_at=timezone.now()
    )
    if not is_mine:
        return None
    rows = list(voice.recordings.order_by("pk"))
    texts = [row.text for row in rows]
    model = client.create_model(
        title=voice.title,
        description=voice.description,
        recordings=[_sent(row) for row in rows],
        # Fish Audio listens itself when it is told no words, or not all.
        texts=texts if all(texts) else [],
        tags=[*voice.tags, _mark(voice)],
        visibility="private",
    )
    return _take_over(voice, model)


def _recover(client: fish.FishClient, voice: Voice) -> float | None:
    """Find out what became of a request whose answer never came."""
    page = client.list_models(is_own=True, tag=_mark(voice), sort_by="created_at")
    found = next((model for model in page.items if _mark(voice) in model.tags), None)
    if found:
        return _take_over(voice, found)
    Voice.objects.filter(pk=voice.pk, state=Voice.State.TRAINING, reference={}).update(
        state=Voice.State.CREATED, updated_at=timezone.now()
    )
    return 0.0


def _follow(client: fish.FishClient, voice: Voice) -> float | None:
    try:
        return _settle(voice, client.get_model(voice.reference["id"]))
    except fish.FishNotFound:
        return _fail(voice, _("Fish Audio ne connaît plus cette voix. Recommencez."))


def _take_over(voice: Voice, model: fish.FishModel) -> float | None:
    """Write down the id upstream, whatever happened to the voice here meanwhile."""
    voice.reference = {"id": model.id}
    Voice.objects.filter(pk=voice.pk).update(reference=voice.reference, updated_at=timezone.now())
    return _settle(voice, model)


def _settle(voice: Voice, model: fish.FishModel) -> float | None:
    voice.refresh_from_db(fields=["deleted_at", "title", "tags", "author_nickname"])
    if voice.deleted_at:
        return _fail(voice, "")
    if model.state == Voice.State.FAILED or model.is_taken_down:
        return _fail(
            voice, _("Fish Audio n’a pas pu apprendre cette voix. Essayez d’autres enregistrements.")
        )
    now = timezone.now()
    unfinished = Voice.objects.filter(pk=voice.pk, state__in=UNFINISHED)
    if model.state != Voice.State.TRAINED:
        unfinished.update(state=Voice.State.TRAINING, updated_at=now)
        return settings.CLONE_POLL_SECONDS
    languages = [language.lower()[:16] for language in model.languages[:10]]
    words = search_text(title=voice.title, author=voice.author_nickname, tags=voice.tags, languages=languages)
    unfinished.update(state=Voice.State.TRAINED, languages=languages, search_text=words, updated_at=now)
    _drop_audio(voice)
    return None


def _fail(voice: Voice, reason: str) -> float | None:
    """Close a clone that will not be ready, and have whatever is left upstream erased."""
    with transaction.atomic():
        Voice.objects.filter(pk=voice.pk, state__in=UNFINISHED).update(
            state=Voice.State.FAILED, failure=reason[:500], updated_at=timezone.now()
        )
        app.configure_task("voices.tasks.erase_clone").defer(voice_key=voice.pk)
    _drop_audio(voice)
    return None


def _sent(row: Recording) -> fish.FishRecording:
    with storages["default"].open(row.audio_name) as file:
        return fish.FishRecording(f"{row.pk}.flac", file.read(), "audio/flac")


def _drop_audio(voice: Voice) -> None:
    for row in voice.recordings.select_related("voice"):
        storages["default"].delete(row.audio_name)


def _mark(voice: Voice) -> str:
    return f"fr02-{voice.public_id}"
