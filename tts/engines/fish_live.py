"""Fish Audio's msgpack socket, for text that comes bit by bit: `GET /v1/tts/live`.

The service has no message that ends the sound of one `flush`, so a pause tells it. It may close after
`finish` or leave the socket open, send events that nobody knows, empty audio and text frames: none of that is
an error. A close without `finish`, `finish` with `reason: error` and an `error` event are.
"""

import asyncio
import base64
import contextlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
from django.conf import settings

from tts.engines.base import EngineError, EngineFailed, EngineOrder, EngineTimeout, Piece
from tts.engines.fish_order import request_body, request_headers
from tts.engines.fish_pieces import MAX_LETTERS_PER_S, PieceMaker, least_ms
from tts.engines.fish_socket import EventSocket
from tts.engines.fish_wire import Patience, answered
from voices.fish_errors import FishConcurrency, FishError, clean_line, error_from_text

PATH = "/v1/tts/live"
UPGRADED = 101
QUIET_AFTER_SOUND_S = 0.8
# When what was flushed may already have been heard: the service speaks full chunks by itself.
QUIET_AFTER_FLUSH_S = 3.0
# While there is less sound than a fast reader needs for what was flushed, a pause is not its end.
FAST_LETTERS_PER_S = 25.0

Refused = Callable[[FishError], Awaitable[EngineError]]


class FishLiveSession:
    """Send text and iterate over the pieces, from one task or two; open it with `FishEngine.live`.

    An empty piece whose `characters` are all that was flushed marks the end of a flush. The iterator ends
    after `stop`.
    """

    def __init__(self, socket: EventSocket, order: EngineOrder, refused: Refused):
        self._socket = socket
        self._refused = refused
        self._maker = PieceMaker(order)
        self._speed = order.speed
        self._awaited = ""  # nothing, flush or stop
        self._has_unflushed = self._is_heard = self._is_heard_since_flush = False
        self._flushed_characters = self._marked_characters = self._marked_ms = 0
        self._ends_at = asyncio.get_running_loop().time() + settings.FISH_SESSION_SECONDS
        self._left_s: float | None = None
        self._waits_since = 0.0
        self._timer: asyncio.Timeout | None = None

    async def start(self, order: EngineOrder) -> None:
        """Tell voice, format and the rest; the first message of a session."""
        await self._socket.send({"event": "start", "request": request_body(replace(order, text=""))})

    async def send_text(self, text: str) -> None:
        """Add text to what is to be spoken. Pieces are put together as they are: send the spaces too."""
        self._maker.sent_text += text
        self._has_unflushed = self._has_unflushed or any(character.isalnum() for character in text)
        await self._socket.send({"event": "text", "text": text})

    async def flush(self) -> bool:
        """Have everything spoken that was sent so far. Returns False when nothing was left to speak."""
        if not self._has_unflushed or self._awaited == "stop":
            return False
        self._has_unflushed = self._is_heard_since_flush = False
        self._flushed_characters = len(self._maker.sent_text)
        self._await("flush")
        await self._socket.send({"event": "flush"})
        return True

    async def stop(self) -> None:
        """Say that no more text comes: the rest is spoken, then the iterator ends."""
        self._await("stop")
        await self._socket.send({"event": "stop"})

    async def __aiter__(self) -> AsyncGenerator[Piece]:
        while True:
            event = await self._next_event()
            if event is None:
                yield self._flushed()
            elif event["event"] == "audio":
                for piece in self._sound(event):
                    yield piece
            elif event["event"] == "finish":
                await self._check_finish(event)
                break
            elif event["event"] == "error":
                raise await self._error(event)
        if self._maker.sent_text.strip():
            for piece in self._maker.finish():
                yield piece

    async def _next_event(self) -> dict[str, Any] | None:
        """Return what comes next, or None when patience is at its end. A slow listener's time does not count."""
        loop = asyncio.get_running_loop()
        while True:
            self._waits_since = loop.time()
            try:
                async with asyncio.timeout_at(self._due_at()) as self._timer:
                    return await self._socket.receive()
            except TimeoutError:
                pass
            finally:
                self._timer = None
                if self._left_s is not None:
                    self._left_s -= loop.time() - self._waits_since
            if loop.time() >= self._ends_at:
                raise EngineTimeout(f"Fish Audio: no end within {settings.FISH_SESSION_SECONDS:.0f} s")
            # Else something else was awaited from the very moment on at which the time was up.
            if self._left_s is not None and self._left_s <= 0:
                return None

    def _sound(self, event: dict[str, Any]) -> list[Piece]:
        data = event.get("audio")
        if not isinstance(data, bytes):
            raise EngineFailed("Fish Audio sent an audio event without audio")
        if not data:
            return []
        pieces = list(self._maker.feed(data))
        self._is_heard = self._is_heard_since_flush = True
        self._be_patient()
        return pieces

    def _flushed(self) -> Piece:
        if self._awaited == "stop" or not self._is_heard or self._lacks_sound(MAX_LETTERS_PER_S):
            raise EngineTimeout(f"Fish Audio: too little sound after {self._awaited}")
        self._awaited, self._is_heard, self._left_s = "", False, None
        self._maker.mark(self._flushed_characters)
        self._marked_characters, self._marked_ms = self._flushed_characters, self._maker.duration_ms
        return Piece(b"", self._flushed_characters, self._maker.duration_ms)

    def _lacks_sound(self, letters_per_s: float) -> bool:
        text = self._maker.sent_text[self._marked_characters : self._flushed_characters]
        least = least_ms(text, self._speed, letters_per_s=letters_per_s)
        return self._maker.duration_ms - self._marked_ms < least

    def _await(self, what: str) -> None:
        self._awaited = what
        self._be_patient()

    def _be_patient(self) -> None:
        """Wait anew for what is awaited. Only sound is a reason to."""
        self._left_s, self._waits_since = self._limit_s(), asyncio.get_running_loop().time()
        if self._timer is not None and not self._timer.expired():
            self._timer.reschedule(self._due_at())

    def _due_at(self) -> float:
        return self._ends_at if self._left_s is None else min(self._ends_at, self._waits_since + self._left_s)

    def _limit_s(self) -> float | None:
        if not self._awaited:
            return None
        if not self._is_heard:
            return settings.FISH_FIRST_BYTE_SECONDS
        if self._awaited == "stop" or self._lacks_sound(FAST_LETTERS_PER_S):
            return settings.FISH_CHUNK_SECONDS
        return QUIET_AFTER_SOUND_S if self._is_heard_since_flush else QUIET_AFTER_FLUSH_S

    async def _check_finish(self, event: dict[str, Any]) -> None:
        if event.get("reason") != "stop":
            raise await self._refused(error_from_text(clean_line(event.get("message"))))
        if self._awaited != "stop":
            raise EngineFailed("Fish Audio ended the session by itself")

    async def _error(self, event: dict[str, Any]) -> EngineError:
        message = clean_line(event.get("error"))
        is_full = "max_concurrency" in event
        return await self._refused(
            FishConcurrency(message, status=429) if is_full else error_from_text(message)
        )


@contextlib.asynccontextmanager
async def open_session(
    client: httpx.AsyncClient, order: EngineOrder, refused: Refused
) -> AsyncIterator[FishLiveSession]:
    """Open the socket and start a session on it. Raises FishError when refused, EngineTimeout."""
    response = await _upgraded(client)
    socket = EventSocket(response.extensions["network_stream"])
    try:
        session = FishLiveSession(socket, replace(order, text=""), refused)
        await session.start(order)
        yield session
    finally:
        await socket.close()
        await response.aclose()


async def _upgraded(client: httpx.AsyncClient) -> httpx.Response:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": base64.b64encode(secrets.token_bytes(16)).decode(),
        "Sec-WebSocket-Version": "13",
    }
    headers = {name: value for name, value in request_headers().items() if name != "Content-Type"}

    def ask() -> httpx.Request:
        return client.build_request("GET", PATH, headers=headers | upgrade)

    return await answered(client, ask, Patience(), expected=UPGRADED)
