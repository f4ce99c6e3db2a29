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
from tts.engines.fish_pieces import PieceMaker
from tts.engines.fish_socket import EventSocket
from tts.engines.fish_wire import MAX_REFUSAL_BYTES, NotConnected, Patience
from voices.fish_errors import FishConcurrency, FishError, clean_text, error_from, error_from_text

PATH = "/v1/tts/live"
UPGRADED = 101
QUIET_AFTER_SOUND_S = 0.8
QUIET_AFTER_FLUSH_S = (
    3.0  # when what was flushed may already have been heard: the service speaks full chunks by itself
)

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
        self._awaited = ""  # nothing, flush or stop
        self._has_unflushed = self._is_heard = self._is_heard_since_flush = False
        self._flushed_characters = 0
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
        try:
            async with asyncio.timeout_at(self._deadline()) as self._timer:
                return await self._socket.receive()
        except TimeoutError:
            return None
        finally:
            self._timer = None

    def _sound(self, event: dict[str, Any]) -> list[Piece]:
        data = event.get("audio")
        if not isinstance(data, bytes):
            raise EngineFailed("Fish Audio sent an audio event without audio")
        if not data:
            return []
        self._is_heard = self._is_heard_since_flush = True
        return list(self._maker.feed(data))

    def _flushed(self) -> Piece:
        if self._awaited == "stop" or not self._is_heard:
            raise EngineTimeout(f"Fish Audio: no sound after {self._awaited}")
        self._awaited, self._is_heard = "", False
        return Piece(b"", self._flushed_characters, self._maker.duration_ms)

    def _await(self, what: str) -> None:
        self._awaited = what
        if self._timer is not None and not self._timer.expired():
            self._timer.reschedule(self._deadline())

    def _deadline(self) -> float | None:
        if not self._awaited:
            return None
        if not self._is_heard:
            limit_s = settings.FISH_FIRST_BYTE_SECONDS
        elif self._awaited == "stop":
            limit_s = settings.FISH_CHUNK_SECONDS
        else:
            limit_s = QUIET_AFTER_SOUND_S if self._is_heard_since_flush else QUIET_AFTER_FLUSH_S
        return asyncio.get_running_loop().time() + limit_s

    async def _check_finish(self, event: dict[str, Any]) -> None:
        if event.get("reason") != "stop":
            raise await self._refused(error_from_text(clean_text(event.get("message"))))
        if self._awaited != "stop":
            raise EngineFailed("Fish Audio ended the session by itself")

    async def _error(self, event: dict[str, Any]) -> EngineError:
        message = clean_text(event.get("error"))
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
    request = client.build_request("GET", PATH, headers=headers | upgrade)
    patience, limit_s = Patience(), settings.FISH_FIRST_BYTE_SECONDS
    try:
        response = await patience.wait(client.send(request, stream=True), limit_s, what="upgrade")
        if response.status_code == UPGRADED:
            return response
        async with contextlib.aclosing(response):
            body = await patience.wait(response.aread(), limit_s, what="refusal")
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise NotConnected(f"no connection: {error!r}") from error
    except httpx.HTTPError as error:
        raise EngineFailed(f"Fish Audio did not answer: {error!r}") from error
    raise error_from(response.status_code, response.headers, body[:MAX_REFUSAL_BYTES])
