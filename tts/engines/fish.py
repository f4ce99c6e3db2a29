"""The cloud engine: Fish Audio, which makes all four formats itself, so that no sound is encoded twice.

One chunk in, one chunk out. The text position of a piece is an estimate, because plain HTTP tells none: it
assumes a slow speaker, so it lies before the true position, and who goes on from the sentence around it
(failover) may repeat words but loses none. Only the last pieces say that the whole text was spoken, after the
answer ended as it should.
"""

import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

from django.conf import settings
from django.db import Error

from fr02.bridge import in_database
from tts.engines.base import (
    EngineBusy,
    EngineError,
    EngineFailed,
    EngineOrder,
    EngineUnavailable,
    Piece,
    TextNotSpeakable,
    VoiceUnknown,
    Warning,
)
from tts.engines.fish_live import FishLiveSession, open_session
from tts.engines.fish_order import checked_order, is_speakable, request_body, request_headers
from tts.engines.fish_pieces import PieceMaker
from tts.engines.fish_slots import UpstreamSlots
from tts.engines.fish_wire import FishWire
from voices import alarms
from voices.fish import FishError, FishNotFound, FishUnauthorized

logger = logging.getLogger(__name__)

OVERLOADED = 503
BUSY_RETRY_AFTER_S = 5.0
ALL_CLEAR_EVERY_S = 60.0


class FishEngine:
    """Speak orders through Fish Audio; one instance per process, one pool of connections per event loop."""

    name = "fish"

    def __init__(self) -> None:
        self._wire = FishWire()
        self._slots = UpstreamSlots()
        self._cleared_at = -ALL_CLEAR_EVERY_S

    @property
    def rest_after_s(self) -> float:
        return settings.FISH_IDLE_SECONDS

    def check(self, order: EngineOrder) -> tuple[EngineOrder, list[Warning]]:
        """Return the order as Fish Audio will speak it, and what had to be mapped."""
        return checked_order(order)

    async def stream(self, order: EngineOrder) -> AsyncGenerator[Piece]:
        """Yield the sound as it arrives; closing or cancelling it drops the upstream request at once.

        Raises EngineBusy, VoiceUnknown and TextNotSpeakable before the first piece; EngineFailed (or its
        EngineUnavailable) and EngineTimeout any time.
        """
        if not is_speakable(order.text):
            raise TextNotSpeakable("no letter and no digit")
        maker = PieceMaker(order)
        async with self._slots.taken(order.account), self._refusals():
            async with contextlib.aclosing(
                self._wire.speak(request_body(order), request_headers())
            ) as chunks:
                async for chunk in chunks:
                    for piece in maker.feed(chunk):
                        yield piece
            for piece in maker.finish():
                yield piece
            await self._all_clear()

    @contextlib.asynccontextmanager
    async def room(self, order: EngineOrder) -> AsyncIterator[EngineOrder]:
        """Hold an upstream slot for the sockets of one session, which come one after the other."""
        async with self._slots.taken(order.account):
            yield replace(order, has_room=True)

    @contextlib.asynccontextmanager
    async def live(self, order: EngineOrder) -> AsyncIterator[FishLiveSession]:
        """Open a session that takes text piece by piece; the order's own text is not spoken.

        Raises as `stream` does; the session's iterator raises EngineFailed and EngineTimeout.
        """
        slot = contextlib.nullcontext() if order.has_room else self._slots.taken(order.account)
        async with slot, self._refusals():
            async with open_session(self._wire.client, order, self._refused) as session:
                yield session
            await self._all_clear()

    async def close(self) -> None:
        """Give back connections and slots."""
        await self._wire.close()
        await self._slots.close()

    @contextlib.asynccontextmanager
    async def _refusals(self) -> AsyncIterator[None]:
        """Turn an upstream refusal into what an engine may raise."""
        try:
            yield
        except FishError as error:
            raise await self._refused(error) from error

    async def _refused(self, error: FishError) -> EngineError:
        """Return what a refusal means to the caller; tell the operator when it is theirs to mend."""
        error = _of_speech(error)
        if alarms.alarm_kind(error) is not None:
            await self._slots.see_through(in_database(alarms.raise_alarm, error=error))
        return engine_error(error)

    async def _all_clear(self) -> None:
        if time.monotonic() - self._cleared_at < ALL_CLEAR_EVERY_S:
            return
        self._cleared_at = time.monotonic()
        try:
            await self._slots.see_through(in_database(alarms.resolve_alarms))
        except Error:
            logger.exception("the alarms could not be resolved")


def engine_error(error: FishError) -> EngineError:
    """Return what an engine raises for an upstream refusal."""
    error = _of_speech(error)
    message = f"Fish Audio, status {error.status or 'none'}: {error.message}"
    if alarms.alarm_kind(error) is not None:
        return EngineUnavailable(message)
    if isinstance(error, FishNotFound):
        return VoiceUnknown(message)
    if error.status == OVERLOADED:
        return EngineBusy(error.retry_after_s or BUSY_RETRY_AFTER_S, message)
    return EngineFailed(message)


def _of_speech(error: FishError) -> FishError:
    """Return what a refusal means where speech is asked for.

    An unknown voice is a 400 or 422 there, or an event: a bare 403 or 404 is about the platform's key or address.
    """
    if error.status in (403, 404):
        return FishUnauthorized(error.message, status=error.status)
    return error
