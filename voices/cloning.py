"""Clone a voice at Fish Audio: recorded consent, checked recordings, then one step after another in the background.

created -> training -> trained or failed. Each step is a task of its own (voices.tasks), so that nobody sleeps
in a worker; what a finished clone leaves is erased by voices.erasing. Upstream a clone is always private and carries a
mark: when a worker dies between asking for the clone and writing down its id, the next one finds it by the mark and
makes no second one. Publishing is FR02's own matter; Fish Audio's community never sees these voices.
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
from django.utils import timezone
from django.utils.translation import gettext as _

from fr02.errors import EngineUnavailable, InvalidRequest
from fr02.media import STORAGE_ERRORS, storage_at_work
from voices import alarms, fish
from voices.editing import VoiceFields, check_quota, mark_deleted
from voices.erasing import mark, take_up
from voices.jobs import defer_once
from voices.models import Consent, Recording, Voice
from voices.uploads import CleanRecording, clean_recordings, only_check
from voices.words import search_text

logger = logging.getLogger(__name__)

# So long Fish Audio may be out of reach before a clone is given up.
SENT_WITHIN = timedelta(days=1)
# A voice whose making was not answered stands in the listing by then, if it was made.
LISTED_WITHIN = timedelta(minutes=2)
RETRY_S, LATE_RETRY_S = 15.0, 600.0
# A step that left no trace for so long was lost with its worker; the longest pause between two is LATE_RETRY_S.
LOST_AFTER = timedelta(minutes=20)
# Refused before anything was made.
NOT_MADE = (fish.FishUnauthorized, fish.FishOutOfCredit, fish.FishConcurrency, fish.FishNotConnected)


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
    if order.fields.visibility != Voice.Visibility.PRIVATE:
        detail = _(
            "Un clone est d’abord privé. Partagez-le ensuite, avec l’accord de la personne qui parle\u00a0: "
            "PATCH /api/v1/voices/{id}, visibility et consent."
        )
        raise InvalidRequest(detail, pointers=[("/visibility", detail)])
    with transaction.atomic():
        check_quota(user_id=user_id)  # before the work; what counts is the check in `_store`
    with only_check(user_id), clean_recordings(order.files, order.texts) as recordings:
        return _store(user_id, order, recordings)


def _store(user_id: int, order: CloneOrder, recordings: Sequence[CleanRecording]) -> Voice:
    """Write the rows, then the files: a storage may take long, and no lock waits for it."""
    voice, rows = _create(user_id, order, recordings)
    try:
        for row, item in zip(rows, recordings, strict=True):
            with item.path.open("rb") as file, storage_at_work():
                storages["default"].save(row.audio_name, File(file))
    except Exception:
        mark_deleted(voice)
        raise
    if voice.recordings.count() < len(rows):
        # Deleted meanwhile: what was stored after that has no row that would lead to it.
        for row in rows:
            storages["default"].delete(row.audio_name)
    defer_once("advance_clone", voice_key=voice.pk)
    return voice


@transaction.atomic
def _create(
    user_id: int, order: CloneOrder, recordings: Sequence[CleanRecording]
) -> tuple[Voice, list[Recording]]:
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
        search_text=search_text(title=fields.title, tags=fields.tags),
    )
    Consent.objects.create(
        voice=voice, user_id=user_id, statement=consent_statement(), ip_address=order.ip_address
    )
    rows = [
        Recording(voice=voice, name=item.name, duration_ms=item.duration_ms, text=item.text)
        for item in recordings
    ]
    return voice, Recording.objects.bulk_create(rows)


def advance_clone(*, voice_key: int) -> float | None:
    """Do the next step of a clone; return after how many seconds the one after it is due, None: no more."""
    voice = Voice.objects.filter(pk=voice_key, kind=Voice.Kind.CLONE, state__in=Voice.UNFINISHED).first()
    if voice is None:
        return None
    if (reason := _reason_to_give_up(voice)) is not None:
        return _fail(voice, reason)
    now = timezone.now()
    is_late = voice.created_at < now - timedelta(seconds=settings.CLONE_DEADLINE_SECONDS)
    Voice.objects.filter(pk=voice.pk).update(updated_at=now)
    try:
        return _advance(voice)
    except (fish.FishInvalid, fish.FishForbidden) as error:
        reason = _("Fish Audio refuse ces enregistrements\u00a0: {message}").format(message=error.message)
        return _fail(voice, reason)
    except FileNotFoundError:
        return _fail(voice, _("Vos enregistrements n’ont pas pu être gardés. Recommencez."))
    except STORAGE_ERRORS as error:
        logger.warning("clone %s: %s of the storage", voice.public_id, type(error).__name__)
    except fish.FishError as error:
        alarms.raise_alarm(error=error)
        logger.warning("clone %s: %s (status %s)", voice.public_id, type(error).__name__, error.status)
    return LATE_RETRY_S if is_late else RETRY_S


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
                tags=[*voice.tags, mark(voice)],
            )
    except fish.FishNotFound:
        logger.warning("clone %s is gone upstream", voice.public_id)
    except fish.FishError as error:
        alarms.raise_alarm(error=error)
        raise


def take_up_lost_clones() -> None:
    """Go on with clones whose next step was lost with its worker."""
    now = timezone.now()
    clones = Voice.objects.filter(
        kind=Voice.Kind.CLONE,
        owner__isnull=False,
        state__in=Voice.UNFINISHED,
        updated_at__lt=now - LOST_AFTER,
    )
    take_up("advance_clone", clones, now)


def _reason_to_give_up(voice: Voice) -> str | None:
    now = timezone.now()
    if voice.state == Voice.State.CREATED:
        if voice.deleted_at:
            return ""
        if voice.created_at < now - SENT_WITHIN:
            return _("Fish Audio n’a pas pu être joint pendant une journée. Recommencez plus tard.")
    elif voice.reference:
        deadline = timedelta(seconds=settings.CLONE_DEADLINE_SECONDS)
        if (voice.step_at or voice.created_at) < now - deadline:
            return _("Fish Audio n’a pas préparé la voix à temps. Recommencez plus tard.")
    return None


def _advance(voice: Voice) -> float | None:
    with fish.FishClient(account=str(voice.owner_id)) as client:
        if voice.state == Voice.State.CREATED:
            return _ask_for_clone(client, voice)
        return _follow(client, voice) if voice.reference else _recover(client, voice)


def _ask_for_clone(client: fish.FishClient, voice: Voice) -> float | None:
    rows = list(voice.recordings.select_related("voice").order_by("pk"))
    recordings, texts = [_sent(row) for row in rows], [row.text for row in rows]
    now = timezone.now()
    is_mine = Voice.objects.filter(pk=voice.pk, state=Voice.State.CREATED).update(
        state=Voice.State.TRAINING, step_at=now, updated_at=now
    )
    if not is_mine:
        return None
    try:
        model = client.create_model(
            title=voice.title,
            description=voice.description,
            recordings=recordings,
            # Fish Audio listens itself when it is told no words, or not all.
            texts=texts if all(texts) else [],
            tags=[*voice.tags, mark(voice)],
            visibility="private",
        )
    except NOT_MADE:
        _ask_again(voice)
        raise
    return _take_over(voice, model)


def _recover(client: fish.FishClient, voice: Voice) -> float | None:
    """Find out what became of a request whose answer never came."""
    page = client.list_models(is_own=True, tag=mark(voice), sort_by="created_at")
    found = next((model for model in page.items if mark(voice) in model.tags), None)
    if found:
        return _take_over(voice, found)
    if (voice.step_at or voice.created_at) > timezone.now() - LISTED_WITHIN:
        return RETRY_S
    _ask_again(voice)
    return 0.0


def _ask_again(voice: Voice) -> None:
    Voice.objects.filter(pk=voice.pk, state=Voice.State.TRAINING, reference={}).update(
        state=Voice.State.CREATED, updated_at=timezone.now()
    )


def _follow(client: fish.FishClient, voice: Voice) -> float | None:
    try:
        return _settle(voice, client.get_model(voice.reference["id"]))
    except fish.FishNotFound:
        return _fail(voice, _("Fish Audio ne connaît plus cette voix. Recommencez."))


def _take_over(voice: Voice, model: fish.FishModel) -> float | None:
    """Write down the id upstream, whatever happened to the voice here meanwhile."""
    voice.reference = {"id": model.id}
    now = timezone.now()
    Voice.objects.filter(pk=voice.pk).update(reference=voice.reference, step_at=now, updated_at=now)
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
    unfinished = Voice.objects.filter(pk=voice.pk, state__in=Voice.UNFINISHED)
    if model.state != Voice.State.TRAINED:
        unfinished.update(state=Voice.State.TRAINING, updated_at=now)
        return settings.CLONE_POLL_SECONDS
    languages = [language.lower()[:16] for language in model.languages[:10]]
    words = search_text(title=voice.title, author=voice.author_nickname, tags=voice.tags, languages=languages)
    unfinished.update(state=Voice.State.TRAINED, languages=languages, search_text=words, updated_at=now)
    defer_once("erase_clone", voice_key=voice.pk)
    return None


def _fail(voice: Voice, reason: str) -> float | None:
    """Close a clone that will not be ready, and have whatever is left upstream erased."""
    Voice.objects.filter(pk=voice.pk, state__in=Voice.UNFINISHED).update(
        state=Voice.State.FAILED, failure=reason[:500], updated_at=timezone.now()
    )
    defer_once("erase_clone", voice_key=voice.pk)
    return None


def _sent(row: Recording) -> fish.FishRecording:
    with storages["default"].open(row.audio_name) as file:
        return fish.FishRecording(f"{row.pk}.flac", file.read(), "audio/flac")
