"""The writes of a synthesis: opened with its hold, checkpointed while it speaks, closed with its capture."""

import contextlib
import functools
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.core.files.storage import storages
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from procrastinate.contrib.django import app

from accounts.services import Caller
from billing.models import Hold
from billing.pricing import price_micros
from billing.services import Settlement, Usage, credit_of, extend_holds, grow_hold, hold_credit, settle_hold
from fr02.errors import Conflict, NotFound, StorageUnavailable
from fr02.media import storage_at_work
from tts.engines.base import EngineOrder
from tts.models import Generation
from tts.request import SpeechRequest
from voices.models import Voice

# How long a hold outlives the last sign of life of the process that took it.
HOLD_LIFE_S = 120
ERASED_AT_ONCE = 500
# Django's bulk_update spells out every value of every row: for two hundred rows it holds up the event loop.
CHECKPOINT = """
    UPDATE tts_generation AS row
    SET billed_characters = now.characters, cost_micros = now.cost_micros,
        duration_ms = now.duration_ms, size = now.size
    FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
        AS now (id, characters, cost_micros, duration_ms, size)
    WHERE row.id = now.id AND row.id IN (
        SELECT id FROM tts_generation WHERE id = now.id AND status = 'pending' FOR UPDATE SKIP LOCKED
    )
"""
INTERRUPTED = "interrupted"
EXTENSIONS = {"mp3": "mp3", "wav": "wav", "pcm": "pcm", "opus": "opus"}


class IdempotencyKeyTaken(Exception):
    """Another request of this account was first with this idempotency key."""


@dataclass
class Delivery:
    """What has reached the customer so far. Costs follow from `characters`, by the engine that spoke them.

    `engines` are those that gave any sound, delivered or not.
    """

    characters: dict[str, int] = field(default_factory=dict)
    duration_ms: int = 0
    size: int = 0
    first_audio_ms: int | None = None
    segments: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[dict[str, str]] = field(default_factory=list)
    engines: set[str] = field(default_factory=set)

    @property
    def total_characters(self) -> int:
        return sum(self.characters.values())

    def cost_micros(self, at: Any) -> int:
        """Return the price of what was delivered, by the price list of the moment it was asked for."""
        return sum(_price(engine, at) * count for engine, count in self.characters.items())


def open_generation(
    *,
    caller: Caller,
    request: SpeechRequest,
    order: EngineOrder,
    voice: Voice,
    engine: str,
    source: str,
    hold_micros: int,
    warnings: list[dict[str, str]],
    idempotency_key: str | None = None,
    fingerprint: str = "",
) -> Generation:
    """Hold the credit and write the PENDING row, in one transaction: neither exists without the other.

    Raises InsufficientCredit, TooManyStreams, RateLimited; IdempotencyKeyTaken when the key is in use.
    """
    generation_id = uuid.uuid4()
    try:
        with transaction.atomic():
            hold = hold_credit(user_id=caller.user_id, amount_micros=hold_micros, life_s=HOLD_LIFE_S)
            return Generation.objects.create(
                id=generation_id,
                user_id=caller.user_id,
                api_key_id=caller.key_id,
                voice=voice,
                voice_title=voice.title,
                hold=hold,
                engine=engine,
                source=source,
                text=request.text,
                parameters={
                    "speed": request.speed,
                    "volume": request.volume,
                    "temperature": request.temperature,
                    "latency": request.latency,
                },
                format=request.format,
                sample_rate=order.sample_rate,
                characters=request.characters,
                warnings=warnings,
                audio_name=f"{caller.user_id}/{generation_id.hex}.{EXTENSIONS[request.format]}",
                idempotency_key=idempotency_key,
                fingerprint=fingerprint,
            )
    except IntegrityError as error:
        if "generation_idempotency" not in str(error):
            raise
        raise IdempotencyKeyTaken from error


def keep_text(*, generation: Generation, text: str) -> bool:
    """Make this the text of a synthesis that is going on, and hold what it costs, in one transaction.

    A text that became shorter, because its rest was cancelled, keeps its hold for what comes next. Returns False
    when somebody (the sweeper) closed the synthesis. Raises InsufficientCredit; then nothing has changed.
    """
    needed_micros = price_micros(engine=generation.engine, characters=len(text), at=generation.created_at)
    by_micros = needed_micros - generation.hold.amount_micros
    with transaction.atomic():
        if by_micros > 0 and not grow_hold(hold_id=generation.hold_id, by_micros=by_micros):
            return False
        Generation.objects.filter(pk=generation.pk).update(text=text, characters=len(text))
    generation.hold.amount_micros += max(0, by_micros)
    generation.text, generation.characters = text, len(text)
    return True


def checkpoint_generations(*, progress: list[tuple[Generation, Delivery]]) -> list[Generation]:
    """Note what was delivered so far, and that the process lives: a crash later is charged up to here.

    A row that is being closed at this moment is passed over. Return those whose hold is no longer open.
    """
    extend_holds(hold_ids=[generation.hold_id for generation, _ in progress], life_s=HOLD_LIFE_S)
    rows = [
        (
            generation.pk,
            delivery.total_characters,
            delivery.cost_micros(generation.created_at),
            delivery.duration_ms,
            delivery.size,
        )
        for generation, delivery in progress
    ]
    with connection.cursor() as cursor:
        cursor.execute(CHECKPOINT, [list(column) for column in zip(*rows, strict=True)])
    noted = {generation.pk: generation for generation, _ in progress}
    closed = Generation.objects.filter(pk__in=noted).exclude(hold__state=Hold.State.OPEN)
    return [noted[pk] for pk in closed.values_list("pk", flat=True)]


def close_generation(
    *, generation: Generation, status: str, failure: str, delivery: Delivery, is_stored: bool
) -> Settlement | None:
    """Capture what was delivered, release the rest and close the row, in one transaction.

    Returns None when somebody (the sweeper) closed it before. An attempt whose answer was lost may be made again.
    """
    cost_micros = delivery.cost_micros(generation.created_at)
    upstream_bytes = upstream_bytes_of(generation) if "fish" in delivery.engines else 0
    with transaction.atomic():
        settlement = settle_hold(
            hold_id=generation.hold_id,
            amount_micros=cost_micros,
            source_type="generation",
            source_id=generation.pk.hex,
            usage=_usage(
                generation, _speaker(generation, delivery), delivery.total_characters, upstream_bytes
            ),
        )
        if settlement is None:
            return _settled_before(generation)
        Generation.objects.filter(pk=generation.pk).update(
            status=status,
            failure=failure,
            billed_characters=delivery.total_characters,
            cost_micros=settlement.captured_micros,
            upstream_bytes=upstream_bytes,
            duration_ms=delivery.duration_ms,
            size=delivery.size,
            first_audio_ms=delivery.first_audio_ms,
            segments=delivery.segments,
            warnings=delivery.warnings,
            audio_name=generation.audio_name if is_stored else "",
            finished_at=timezone.now(),
            # A failed attempt must not bar its key: the customer may try again.
            idempotency_key=generation.idempotency_key if status == Generation.Status.DONE else None,
        )
    return settlement


def _settled_before(generation: Generation) -> Settlement | None:
    """Return what an earlier attempt to close a synthesis settled, or None when the sweeper did."""
    row = Generation.objects.filter(pk=generation.pk).exclude(failure=INTERRUPTED).first()
    if row is None or row.status == Generation.Status.PENDING:
        return None
    credit = credit_of(row.user_id)
    return Settlement(credit.balance_micros, row.cost_micros, credit.available_micros)


def upstream_bytes_of(generation: Generation) -> int:
    """Return the UTF-8 bytes that Fish Audio bills once it speaks: the whole text, however much is heard."""
    return len(generation.text.encode()) if generation.engine == "fish" else 0


def sweep_generations() -> int:
    """Close what a crash left open, at the price of the last checkpoint. Returns how many were closed."""
    closed = 0
    stale = Generation.objects.filter(
        status=Generation.Status.PENDING,
        hold__expires_at__lt=timezone.now(),
    ).select_related("hold", "voice")
    for generation in stale.order_by("created_at")[:1000]:
        with transaction.atomic():
            is_alive = Hold.objects.open().filter(pk=generation.hold_id, expires_at__gte=timezone.now())
            if is_alive.exists():
                continue
            settlement = settle_hold(
                hold_id=generation.hold_id,
                amount_micros=generation.cost_micros,
                source_type="generation",
                source_id=generation.pk.hex,
                usage=_usage(
                    generation,
                    generation.engine,
                    generation.billed_characters,
                    upstream_bytes_of(generation),
                ),
            )
            delivered = generation.billed_characters > 0
            is_mine = Generation.objects.filter(pk=generation.pk, status=Generation.Status.PENDING).update(
                status=Generation.Status.PARTIAL if delivered else Generation.Status.FAILED,
                failure=INTERRUPTED,
                cost_micros=settlement.captured_micros if settlement else 0,
                audio_name="",
                finished_at=timezone.now(),
                idempotency_key=None,
            )
        if not is_mine:
            continue  # it was closed by its own process at the last moment, and keeps its audio
        closed += 1
        # The crash may have come between storing and closing: nobody would find that file again.
        with contextlib.suppress(StorageUnavailable), storage_at_work():
            storages["default"].delete(generation.audio_name)
    return closed


def remember_response(*, generation_id: uuid.UUID, response: dict[str, Any]) -> None:
    """Keep the answer of an idempotent request, so that the same request gets it again."""
    Generation.objects.filter(pk=generation_id).update(response=response)


def delete_generation(*, user_id: int, generation_id: uuid.UUID) -> None:
    """Take a synthesis out of the history and erase its text and its audio. What it cost stays in the ledger.

    Raises NotFound, Conflict while it is being made, and StorageUnavailable: then nothing has changed.
    """
    generation = Generation.objects.of(user_id).filter(pk=generation_id).first()
    if generation is None:
        raise NotFound(_("Cette synthèse n’existe pas."))
    if generation.status == Generation.Status.PENDING:
        raise Conflict(_("Cette synthèse est en cours. Attendez sa fin pour la supprimer."))
    if generation.audio_name:
        with storage_at_work():
            storages["default"].delete(generation.audio_name)
    Generation.objects.filter(pk=generation_id).update(
        deleted_at=timezone.now(), text="", segments=[], audio_name="", response=None, idempotency_key=None
    )


def forget_account(*, user_id: int) -> None:
    """Erase the texts of an account at once, and its audio in the background. What it cost stays in the ledger."""
    with transaction.atomic():
        Generation.objects.filter(user_id=user_id).update(**_nothing_said())
        app.configure_task("tts.tasks.erase_account_audio").defer(user_id=user_id)


def erase_account_audio(*, user_id: int) -> int:
    """Delete the audio of a closed account and what its last syntheses wrote meanwhile. Returns how many are left.

    A synthesis that was going on when the account was closed ends first, and is erased by a later call.
    """
    kept = Generation.objects.filter(user_id=user_id).exclude(audio_name="", text="", segments=[])
    closed = kept.exclude(status=Generation.Status.PENDING)
    for generation in closed.order_by("pk").only("pk", "audio_name")[:ERASED_AT_ONCE]:
        if generation.audio_name:
            with storage_at_work():
                storages["default"].delete(generation.audio_name)
        Generation.objects.filter(pk=generation.pk).update(audio_name="", **_nothing_said())
    return kept.count()


def _nothing_said() -> dict[str, Any]:
    return {
        "text": "",
        "voice_title": "",
        "segments": [],
        "response": None,
        "idempotency_key": None,
        "fingerprint": "",
        "deleted_at": timezone.now(),
    }


def _speaker(generation: Generation, delivery: Delivery) -> str:
    """Return the engine that was asked for, unless another one said everything."""
    if generation.engine in delivery.engines:
        return generation.engine
    return next(iter(delivery.engines), generation.engine)


def _usage(generation: Generation, engine: str, characters: int, upstream_bytes: int) -> Usage:
    return Usage(
        engine=engine,
        characters=characters,
        upstream_bytes=upstream_bytes,
        api_key_id=generation.api_key_id,
        voice_id=generation.voice.public_id if generation.voice else "",
        voice_title=generation.voice_title,
    )


@functools.lru_cache(maxsize=4096)
def _price(engine: str, at: datetime) -> int:
    """Return what one character costs at a moment of the past, asked for again and again while it is spoken."""
    return price_micros(engine=engine, characters=1, at=at)
