"""Speak text while it is being written: messages of the client in, pieces of one synthesis out.

One loop waits for both sides, the client's next message and the engine's next piece, so that nothing here needs a
lock. Text goes to the engine sentence by sentence, each held in credit before it is sent. A take is what lies between
two cancellations or rests: it is one file of the engine, and the takes of a session put end to end are one file again.
"""

import asyncio
import contextlib
import logging
import unicodedata
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from time import monotonic

from fr02.bridge import in_thread
from tts.audio.wav import HEADER_BYTES
from tts.engines import base
from tts.engines.base import Piece
from tts.session_messages import CANCEL, FLUSH, STOP, TEXT, Inbox, Message
from tts.text.segments import ready_length

logger = logging.getLogger(__name__)

FLUSHED, CANCELLED = "flushed", "cancelled"
# A longer text takes milliseconds to be cut: not on the event loop.
SHORT_CHARS = 500
# Of signs that nobody can speak, so many wait for the words that follow them; those before are forgotten.
SILENT_CHARS = 500
# A session that was heard already waits so long for room; a new one is refused at once.
PATIENCE_S = 8.0
ASK_AGAIN_S = 0.5


@dataclass(frozen=True)
class Answer(Piece):
    """Tell the client that what they asked for is done: `flushed` or `cancelled`. There is no sound in it."""

    event: str = ""


class Conversation:
    """Speak what comes through an inbox until it is stopped; iterate `pieces()` once.

    `keep` is told the whole text before more of it is spoken: it holds the credit, and says whether the synthesis is
    still open.
    """

    def __init__(
        self,
        engine: base.Engine,
        order: base.EngineOrder,
        inbox: Inbox,
        keep: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._engine = engine
        self._order = order
        self._inbox = inbox
        self._keep = keep
        self._tail = ""  # received, not complete
        self._text = ""  # given to the engine, without what was cancelled
        self._last = self._take_start = Piece(b"", 0, 0)
        self._has_sound = self._is_sounding = self._is_stopped = self._is_over = False
        self._flushes: deque[int] = deque()
        self._asked_to = self._marked_to = 0
        self._room, self._take = contextlib.AsyncExitStack(), contextlib.AsyncExitStack()
        self._order_in_room: base.EngineOrder | None = None
        self._idle_since: float | None = None
        self._live: base.Live | None = None
        self._sound: AsyncGenerator[Piece]
        self._making: asyncio.Future[Piece | None] | None = None
        self._skip_bytes = 0

    @property
    def first_text_at(self) -> float | None:
        """Return when the first text came, on the monotonic clock."""
        return self._inbox.first_text_at

    async def pieces(self) -> AsyncGenerator[tuple[str, Piece]]:
        """Yield (engine name, piece) until the client stopped and everything is spoken.

        Raises what the inbox failed with, what `keep` raises, and the engine's errors.
        """
        hearing = asyncio.ensure_future(self._inbox.wait())
        try:
            async with self._room, self._take:
                while not self._is_over:
                    both = [task for task in (hearing, self._making) if task is not None]
                    rest_s = self._rest_in_s()
                    await asyncio.wait(both, timeout=rest_s, return_when=asyncio.FIRST_COMPLETED)
                    if hearing.done():
                        pieces = await self._obey(self._inbox.take())
                        hearing = asyncio.ensure_future(self._inbox.wait())
                    elif self._making is not None and self._making.done():
                        pieces = self._made()
                    else:
                        pieces = await self._rest()
                    for piece in pieces:
                        yield self._engine.name, piece
        finally:
            hearing.cancel()

    async def _obey(self, message: Message) -> list[Piece]:
        if message.event == TEXT:
            return await self._add(message.text)
        if message.event == FLUSH:
            return await self._flush()
        if message.event == CANCEL:
            return await self._cancel()
        assert message.event == STOP
        return await self._stop()

    async def _add(self, text: str) -> list[Piece]:
        if not _is_speakable(text) and not _is_speakable(self._tail):
            self._tail = (self._tail + text)[-SILENT_CHARS:]
            return []
        self._tail = unicodedata.normalize("NFC", self._tail + text)
        if len(self._tail) > SHORT_CHARS:
            length = await in_thread(ready_length, self._tail, is_start=not self._text)
        else:
            length = ready_length(self._tail, is_start=not self._text)
        await self._speak(self._tail[:length])
        return []

    async def _flush(self) -> list[Piece]:
        await self._speak(self._tail)
        if self._live is not None and await self._live.flush():
            self._asked_to = len(self._text)
        if self._marked_to < self._asked_to:
            self._flushes.append(self._asked_to)
            return []
        return [self._answer(FLUSHED)]

    async def _cancel(self) -> list[Piece]:
        self._tail = ""
        self._flushes.clear()
        # A take that has nothing left to say need not end: its file goes on.
        is_speaking = self._is_sounding or self._last.characters < len(self._text)
        if self._live is not None and (self._is_stopped or is_speaking):
            await self._take.aclose()
            self._text = self._text[: self._last.characters]
            await self._keep(self._text)
        self._asked_to = self._marked_to = len(self._text)
        self._is_over = self._is_stopped
        return [self._answer(CANCELLED)]

    async def _stop(self) -> list[Piece]:
        self._is_stopped = True
        await self._speak(self._tail)
        if self._live is not None:
            await self._live.stop()
        elif self._tail.strip() and not self._text:
            raise base.TextNotSpeakable("no letter and no digit")
        else:
            self._is_over = True
        return []

    async def _speak(self, text: str) -> None:
        """Give the engine the next part. One without a letter or a digit waits for what follows it."""
        if not _is_speakable(text):
            return
        if not await self._keep(self._text + text):
            raise base.EngineTimeout("the hold was settled while the session stood still")
        if self._live is None:
            self._live = await self._open_take()
        await self._live.send_text(text)
        self._text += text
        self._tail = self._tail[len(text) :]

    async def _open_take(self) -> base.Live:
        if self._order_in_room is None:
            self._order_in_room = await self._enter_room()
        live = await self._take.enter_async_context(self._engine.live(self._order_in_room))
        self._take_start = replace(self._last, characters=len(self._text))
        # Only a session's first take brings the header of its file.
        self._skip_bytes = HEADER_BYTES if self._has_sound and self._order.format == "wav" else 0
        self._sound = aiter(live)
        self._making = asyncio.ensure_future(anext(self._sound, None))
        self._take.push_async_callback(self._close_take)
        return live

    async def _enter_room(self) -> base.EngineOrder:
        deadline = monotonic() + (PATIENCE_S if self._has_sound else 0.0)
        while True:
            try:
                return await self._room.enter_async_context(self._engine.room(self._order))
            except base.EngineBusy:
                if monotonic() >= deadline:
                    raise
            await asyncio.sleep(ASK_AGAIN_S)

    def _rest_in_s(self) -> float | None:
        """Return when the room is to be given back; None while something is to be said or nothing is held."""
        limit_s = self._engine.rest_after_s
        is_done = not self._is_stopped and self._last.characters >= len(self._text)
        if limit_s is None or self._order_in_room is None or not is_done:
            self._idle_since = None
            return None
        self._idle_since = self._idle_since or monotonic()
        return max(0.0, self._idle_since + limit_s - monotonic())

    async def _rest(self) -> list[Piece]:
        """Give the room back until there is more to say. What was said ends as one whole file."""
        pieces: list[Piece] = []
        try:
            if self._live is not None:
                await self._live.stop()
                while self._making is not None and (piece := await self._making) is not None:
                    pieces += self._heard(piece)
        except base.EngineError as error:
            logger.warning("a take with nothing left to say ended badly: %s", error)
        await self._take.aclose()
        await self._room.aclose()
        self._order_in_room = None
        return pieces

    async def _close_take(self) -> None:
        assert self._making is not None
        self._making.cancel()
        # What it may have failed with is of no interest any more.
        await asyncio.gather(self._making, return_exceptions=True)
        await self._sound.aclose()
        self._live = self._making = None
        self._is_sounding = False

    def _made(self) -> list[Piece]:
        assert self._making is not None
        piece = self._making.result()
        if piece is None and not self._is_stopped:
            raise base.EngineFailed("the speech ended by itself")
        if piece is None:
            self._is_over = True
            return [self._answer(FLUSHED) for _flush in self._flushes]
        return self._heard(piece)

    def _heard(self, piece: Piece) -> list[Piece]:
        """Take a piece in, and ask for the next one."""
        self._making = asyncio.ensure_future(anext(self._sound, None))
        self._last = self._moved(piece)
        self._is_sounding = bool(piece.data)
        self._has_sound = self._has_sound or self._is_sounding
        if piece.data:
            return [self._last]
        self._marked_to = self._last.characters
        return [self._last, *self._flushed()]

    def _flushed(self) -> list[Piece]:
        answers: list[Piece] = []
        while self._flushes and self._flushes[0] <= self._marked_to:
            self._flushes.popleft()
            answers.append(self._answer(FLUSHED))
        return answers

    def _moved(self, piece: Piece) -> Piece:
        """Return a piece of the take as a piece of the session."""
        before_ms = self._take_start.duration_ms
        data = piece.data[self._skip_bytes :]
        self._skip_bytes = max(0, self._skip_bytes - len(piece.data))
        return Piece(
            data,
            self._take_start.characters + piece.characters,
            before_ms + piece.duration_ms,
            piece.segment
            and replace(
                piece.segment,
                start_ms=before_ms + piece.segment.start_ms,
                end_ms=before_ms + piece.segment.end_ms,
            ),
        )

    def _answer(self, event: str) -> Answer:
        return Answer(b"", self._last.characters, self._last.duration_ms, event=event)


def _is_speakable(text: str) -> bool:
    return any(character.isalnum() for character in text)
