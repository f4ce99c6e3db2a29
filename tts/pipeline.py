"""The one way from a text to charged, streamed, stored speech. Only this module knows the order.

resolve the voice -> price -> hold (with the PENDING row) -> engine -> yield -> store -> capture what was delivered,
release the rest, close the row. Every door goes through here: POST, socket, playground.
"""

import asyncio
import contextlib
import hashlib
import io
import json
import logging
import tempfile
import time
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import asdict
from typing import Any

from django.core.files import File
from django.core.files.storage import storages
from django.db import Error
from django.utils.translation import gettext as _

from accounts.services import Caller
from billing.pricing import price_micros
from billing.services import Settlement
from fr02 import errors
from fr02.bridge import in_database, in_thread
from fr02.media import STORAGE_ERRORS
from tts.audio.wav import HEADER_BYTES, wav_header
from tts.checkpoints import checkpoints
from tts.conversation import CANCELLED, Answer, Conversation
from tts.engines import base
from tts.engines.registry import engine_named
from tts.failover import stream_with_failover
from tts.models import Generation
from tts.request import SpeechRequest
from tts.services import Delivery, close_generation, keep_text, open_generation
from tts.session_messages import Inbox
from voices.models import Voice
from voices.services import resolve_voice

logger = logging.getLogger(__name__)

SAMPLE_RATE = 24_000
SPOOL_BYTES = 1024 * 1024
# A database that restarts is back by then; what takes longer is settled by the sweeper, at the last checkpoint.
CLOSE_AGAIN_S = (0.5, 2.0, 5.0)

_finishing: set[asyncio.Task[Any]] = set()


class Synthesis:
    """One synthesis: open it, iterate `stream()`, then read `generation`, `cost_micros` and `balance_micros`.

    `stream()` yields encoded audio, each piece at most 64 KiB; it may be closed or cancelled at any moment. When it
    ends, however it ends, the credit is settled and the row is closed. `pieces()` is the same for who wants to know
    what each piece says; it also brings what a conversation answers.
    """

    def __init__(
        self,
        generation: Generation,
        order: base.EngineOrder,
        *,
        may_fail_over: bool,
        conversation: Conversation | None = None,
    ) -> None:
        self.generation = generation
        self.order = order
        self.may_fail_over = may_fail_over
        self.conversation = conversation
        self.delivery = Delivery(warnings=list(generation.warnings))
        self.balance_micros = self.cost_micros = 0
        self.is_stored = False
        self.is_hold_lost = False

    async def stream(self, *, is_live: bool = True) -> AsyncGenerator[bytes]:
        """Yield the audio as it is made; see `pieces`."""
        async with contextlib.aclosing(self.pieces(is_live=is_live)) as pieces:
            async for piece in pieces:
                if piece.data:
                    yield piece.data

    async def pieces(self, *, is_live: bool = True) -> AsyncGenerator[base.Piece]:
        """Yield the pieces as they are made.

        Live audio counts as delivered piece by piece; otherwise all of it counts once the file is stored, because
        that is what the caller hands out. Raises an `errors.EngineError` when the engine fails, and whatever ends
        a conversation.
        """
        status, failure = Generation.Status.PARTIAL, "client_left"
        started = time.monotonic()
        checkpoints.add(self.generation, lambda: self.delivery if is_live else Delivery(), self._lose_hold)
        spool = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115  `_finish` closes it, even after a cancellation
        try:
            async with contextlib.aclosing(self._source()) as pieces:
                async for engine, piece in pieces:
                    if piece.data:
                        spool.write(piece.data)
                        if self.delivery.first_audio_ms is None:
                            self.delivery.first_audio_ms = self._waited_ms(started)
                        self.delivery.engines.add(engine)
                    yield piece
                    self._count(engine, piece)
                    if self.is_hold_lost:
                        raise base.EngineTimeout("the hold was settled while the stream stood still")
            status, failure = Generation.Status.DONE, ""
        except base.EngineError as error:
            refusal = translate(error)
            failure = refusal.code
            logger.error("generation %s: %s: %s", self.generation.pk, failure, error)
            raise refusal from error
        except errors.Fr02Error as refusal:
            failure = refusal.code
            raise
        except (GeneratorExit, asyncio.CancelledError):
            raise
        except BaseException:
            failure = "internal_error"
            raise
        finally:
            await _see_through(self._finish(status, failure, spool, is_live=is_live))
        if not is_live and not self.is_stored:
            raise errors.EngineError(_("L’audio n’a pas pu être enregistré. Rien ne vous est facturé."))

    async def abandon(self) -> None:
        """Close what nobody will iterate: nothing of it was heard."""
        await _see_through(self._close(Generation.Status.FAILED, "client_left"))

    def _lose_hold(self) -> None:
        """Take note that the sweeper settled this synthesis: what is delivered from now on would be free."""
        self.is_hold_lost = True

    def _source(self) -> AsyncGenerator[tuple[str, base.Piece]]:
        if self.conversation is not None:
            return self.conversation.pieces()
        return stream_with_failover(
            self.order, self.generation.engine, may_fail_over=self.may_fail_over, warn=self._warn
        )

    def _waited_ms(self, started: float) -> int:
        """Return how long the first sound took: since it was asked for, or since a conversation's first text."""
        asked_at = self.conversation.first_text_at if self.conversation is not None else None
        return round((time.monotonic() - (asked_at or started)) * 1000)

    def _count(self, engine: str, piece: base.Piece) -> None:
        self.delivery.size += len(piece.data)
        self.delivery.duration_ms = piece.duration_ms
        if self.delivery.size:  # nothing is paid for before something was heard
            spoken_by_others = sum(n for name, n in self.delivery.characters.items() if name != engine)
            self.delivery.characters[engine] = max(0, piece.characters - spoken_by_others)
        if piece.segment:
            self.delivery.segments.append(asdict(piece.segment))
        if isinstance(piece, Answer) and piece.event == CANCELLED:
            self._cut_last_segment()

    def _warn(self, warning: base.Warning) -> None:
        if all(known["code"] != warning.code for known in self.delivery.warnings):
            self.delivery.warnings.append(asdict(warning))

    def _cut_last_segment(self) -> None:
        """End the subtitle of what was cancelled where its sound ends."""
        for segment in self.delivery.segments[-1:]:
            segment["end_ms"] = min(segment["end_ms"], self.delivery.duration_ms)

    async def _finish(self, status: str, failure: str, spool: Any, *, is_live: bool) -> None:
        """Store, then settle: the last thing that happens to a synthesis, whatever came before."""
        with spool:
            if self.delivery.size and (is_live or status == Generation.Status.DONE):
                self.is_stored = await in_thread(_store, self.generation, spool)
        if not is_live and not self.is_stored:
            status, failure = (
                Generation.Status.FAILED,
                failure if status != Generation.Status.DONE else "storage_error",
            )
            self.delivery = Delivery(warnings=self.delivery.warnings, engines=self.delivery.engines)
        if not self.delivery.total_characters and status != Generation.Status.DONE:
            status = Generation.Status.FAILED
        try:
            settlement = await self._close(status, failure)
        finally:
            # As long as it is noted its hold lives: what could not be closed is left to the sweeper.
            checkpoints.remove(self.generation)
        self.generation.status = status
        if settlement is not None:
            self.balance_micros = settlement.balance_micros
            self.cost_micros = settlement.captured_micros
        elif self.is_stored:
            self.is_stored = False
            await in_thread(storages["default"].delete, self.generation.audio_name)

    async def _close(self, status: str, failure: str) -> Settlement | None:
        """Close the row, again and again while the database fails for a moment."""
        for wait_s in (*CLOSE_AGAIN_S, None):
            try:
                return await in_database(
                    close_generation,
                    generation=self.generation,
                    status=status,
                    failure=failure,
                    delivery=self.delivery,
                    is_stored=self.is_stored,
                )
            except Error:
                logger.exception("generation %s: not closed", self.generation.pk)
                if wait_s is None:
                    raise
                await asyncio.sleep(wait_s)
        raise AssertionError


async def open_synthesis(
    request: SpeechRequest, caller: Caller, *, source: str, idempotency_key: str | None = None
) -> Synthesis:
    """Resolve the voice, price the text and hold the credit.

    Raises VoiceNotFound, InsufficientCredit, TooManyStreams, RateLimited, EngineUnavailable; and
    `tts.services.IdempotencyKeyTaken`. Who leaves meanwhile leaves nothing open.
    """
    return await _opened(in_database(_open, request, caller, source, idempotency_key))


async def open_session(request: SpeechRequest, caller: Caller, inbox: Inbox) -> Synthesis:
    """Open a synthesis whose text comes afterwards, through the inbox; its hold grows with it.

    One character is held from the start, so that who has no credit learns it at once. Raises as `open_synthesis`.
    """
    return await _opened(in_database(_open_session, request, caller, inbox))


async def _opened(work: Coroutine[Any, Any, Synthesis]) -> Synthesis:
    opening = asyncio.get_running_loop().create_task(work)
    _finishing.add(opening)
    opening.add_done_callback(_finishing.discard)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_abandon)
        raise


def fingerprint(request: SpeechRequest) -> str:
    """Return what two requests must share to be the same one."""
    return hashlib.sha256(json.dumps(asdict(request), sort_keys=True).encode()).hexdigest()


def order_for(request: SpeechRequest, voice: Voice, caller: Caller) -> base.EngineOrder:
    """Return what the engine of a voice is asked for."""
    return base.EngineOrder(
        text=request.text,
        voice_ref=voice.reference,
        format=request.format,
        sample_rate=SAMPLE_RATE,
        speed=request.speed,
        volume_db=request.volume,
        temperature=request.temperature,
        latency=request.latency,
        account=str(caller.user_id),
    )


def translate(error: base.EngineError) -> errors.Fr02Error:
    """Return what a customer is told of an engine's failure."""
    if isinstance(error, base.EngineBusy):
        return errors.EngineBusy(retry_after_s=error.retry_after_s)
    if isinstance(error, base.EngineUnavailable):
        return errors.EngineUnavailable()
    if isinstance(error, base.VoiceUnknown):
        return errors.unknown_voice()
    if isinstance(error, base.EngineTimeout):
        return errors.EngineTimeout()
    if isinstance(error, base.TextNotSpeakable):
        detail = _("Ce texte ne contient rien à prononcer.")
        return errors.InvalidRequest(detail, pointers=[("/text", detail)])
    return errors.EngineError()


def _open(request: SpeechRequest, caller: Caller, source: str, idempotency_key: str | None) -> Synthesis:
    voice = resolve_voice(user_id=caller.user_id, voice_id=request.voice_id)
    engine = engine_named(voice.engine)
    order, warnings = engine.check(order_for(request, voice, caller))
    may_fail_over = engine.name != "kokoro" and (caller.allows_failover or request.fallback == "local")
    priced = {engine.name, "kokoro"} if may_fail_over else {engine.name}
    generation = open_generation(
        caller=caller,
        request=request,
        order=order,
        voice=voice,
        engine=engine.name,
        source=source,
        hold_micros=max(price_micros(engine=name, characters=request.characters) for name in priced),
        warnings=[asdict(warning) for warning in warnings],
        idempotency_key=idempotency_key,
        fingerprint=fingerprint(request),
    )
    return Synthesis(generation, order, may_fail_over=may_fail_over)


def _open_session(request: SpeechRequest, caller: Caller, inbox: Inbox) -> Synthesis:
    voice = resolve_voice(user_id=caller.user_id, voice_id=request.voice_id)
    engine = engine_named(voice.engine)
    order, warnings = engine.check(order_for(request, voice, caller))
    if request.fallback:
        detail = _(
            "Le secours local ne sert pas dans une session\u00a0: «\u202ffallback\u202f» est sans effet."
        )
        warnings = [*warnings, base.Warning("fallback_ignored", detail)]
    generation = open_generation(
        caller=caller,
        request=request,
        order=order,
        voice=voice,
        engine=engine.name,
        source=Generation.Source.SOCKET,
        hold_micros=price_micros(engine=engine.name, characters=1),
        warnings=[asdict(warning) for warning in warnings],
    )

    async def keep(text: str) -> bool:
        return await in_database(keep_text, generation=generation, text=text)

    conversation = Conversation(engine, order, inbox, keep)
    return Synthesis(generation, order, may_fail_over=False, conversation=conversation)


def _store(generation: Generation, spool: Any) -> bool:
    """Store the audio under the name of its generation; tell whether it is there.

    Live audio was delivered already: a storage that fails then costs the customer the replay, not the synthesis.
    """
    if generation.format == "wav":
        size = spool.seek(0, io.SEEK_END)
        spool.seek(0)
        spool.write(wav_header(sample_rate=generation.sample_rate, data_bytes=size - HEADER_BYTES))
    spool.seek(0)
    try:
        storages["default"].save(generation.audio_name, File(spool))
    except STORAGE_ERRORS:
        logger.exception("generation %s: audio not stored", generation.pk)
        return False
    return True


def _abandon(opening: asyncio.Task[Synthesis]) -> None:
    """Close what nobody waits for any more."""
    if opening.cancelled() or opening.exception() is not None:
        return
    closing = opening.get_loop().create_task(
        in_database(
            close_generation,
            generation=opening.result().generation,
            status=Generation.Status.FAILED,
            failure="client_left",
            delivery=Delivery(),
            is_stored=False,
        )
    )
    _finishing.add(closing)
    closing.add_done_callback(_finishing.discard)


async def _see_through(work: Coroutine[Any, Any, object]) -> None:
    """Run work to its end even when the task that wants it is cancelled meanwhile."""
    task = asyncio.get_running_loop().create_task(work)
    _finishing.add(task)
    task.add_done_callback(_finishing.discard)
    await asyncio.shield(task)
