"""Speak text that comes bit by bit with the local engine: each part is an order of its own, all share one file.

Every part asks for admission like a new listener, so that nobody who was admitted before loses their smoothness.
The first one is refused at once when the engine is full; a later one waits a little, because its listener still
has something to hear.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from time import monotonic

from tts.audio.joins import LAST_SILENCE_S, silence
from tts.engines.base import EngineBusy, EngineOrder, Piece, TextNotSpeakable
from tts.engines.track import SAMPLE_RATE, Tape, cut_pieces

PATIENCE_S = 8.0
ASK_AGAIN_S = 0.5
FLUSH_SILENCE_S = 0.25  # pushes the last word out of the encoder, which holds back some tenths of a second


@dataclass(frozen=True)
class Part:
    """Say where an order stands in speech that goes on. `is_end`: nothing is known to follow it."""

    tape: Tape
    starts_at_ms: int
    is_end: bool

    @property
    def is_start(self) -> bool:
        return self.starts_at_ms == 0

    @property
    def last_silence_s(self) -> float:
        return FLUSH_SILENCE_S if self.is_end else 0.0


Speak = Callable[[EngineOrder, Part], AsyncGenerator[Piece]]


class KokoroLive:
    """Speak whatever was sent as soon as what was sent before is made; see `base.Live`."""

    def __init__(self, order: EngineOrder, speak: Speak, encoding: Executor):
        self._order = order
        self._speak = speak
        self._encoding = encoding
        self._tape = Tape(order)
        self._sent = ""
        self._spoken = 0
        self._flushes: deque[int] = deque()
        self._is_stopping = False
        self._changed = asyncio.Event()

    async def send_text(self, text: str) -> None:
        """Add text to what is to be spoken; the parts are spoken as they come, so cut them at sentences."""
        self._sent += text
        self._changed.set()

    async def flush(self) -> bool:
        """Ask for a mark behind what was sent so far."""
        self._flushes.append(len(self._sent))
        self._changed.set()
        return True

    async def stop(self) -> None:
        """Say that no more text comes: the rest is spoken, then the iterator ends."""
        self._is_stopping = True
        self._changed.set()

    async def __aiter__(self) -> AsyncGenerator[Piece]:
        while True:
            if self._spoken < len(self._sent) and not self._is_at_flush:
                async with contextlib.aclosing(self._next_part()) as pieces:
                    async for piece in pieces:
                        yield piece
            elif self._is_at_flush:
                self._flushes.popleft()
                yield Piece(b"", self._spoken, self._tape.duration_ms)
            elif self._is_stopping:
                break
            else:
                self._changed.clear()
                await self._changed.wait()
        for piece in await self._end():
            yield piece

    @property
    def _is_at_flush(self) -> bool:
        return bool(self._flushes) and self._flushes[0] <= self._spoken

    async def _next_part(self) -> AsyncGenerator[Piece]:
        start, end = self._spoken, self._flushes[0] if self._flushes else len(self._sent)
        part = Part(self._tape, self._tape.duration_ms, is_end=bool(self._flushes) or self._is_stopping)
        order = replace(self._order, text=self._sent[start:end])
        async with contextlib.aclosing(self._patiently(order, part)) as pieces:
            async for piece in pieces:
                yield replace(piece, characters=start + piece.characters)
        self._spoken = end

    async def _patiently(self, order: EngineOrder, part: Part) -> AsyncGenerator[Piece]:
        deadline = monotonic() + (0.0 if part.is_start else PATIENCE_S)
        while True:
            try:
                async with contextlib.aclosing(self._speak(order, part)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except EngineBusy:
                if monotonic() >= deadline:
                    raise
            await asyncio.sleep(ASK_AGAIN_S)

    async def _end(self) -> list[Piece]:
        """Return the last pieces of the file. Raises TextNotSpeakable when there is no sound in it."""
        if not self._tape.has_sound:
            raise TextNotSpeakable("there was nothing to say in this text")
        data = await asyncio.get_running_loop().run_in_executor(self._encoding, self._last_bytes)
        return list(cut_pieces(data, self._spoken, self._tape.duration_ms))

    def _last_bytes(self) -> bytes:
        return self._tape.feed(silence(LAST_SILENCE_S, sample_rate=SAMPLE_RATE)) + self._tape.finish()
