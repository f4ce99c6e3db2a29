"""One client WebSocket that carries msgpack events, with everything that arrives bounded and checked."""

import asyncio
import contextlib
from collections import deque
from typing import Any, NoReturn

import httpcore
import msgpack
import wsproto
from wsproto.events import BytesMessage, CloseConnection, Event, Ping

from tts.engines.base import EngineFailed

MAX_EVENT_BYTES = 8 * 1024 * 1024
READ_BYTES = 64 * 1024


class EventSocket:
    """Send and receive events over an upgraded connection. One reader at a time; any number of senders.

    Pings are answered while somebody reads. Text frames and messages that are not finished are not events.
    """

    def __init__(self, stream: httpcore.AsyncNetworkStream):
        self._stream = stream
        self._connection = wsproto.Connection(wsproto.ConnectionType.CLIENT)
        self._write_lock = asyncio.Lock()
        self._events: deque[dict[str, Any]] = deque()
        self._message = bytearray()
        self._ending: EngineFailed | None = None

    async def send(self, event: dict[str, Any]) -> None:
        """Send an event. When the connection is gone it is lost: whoever reads learns why."""
        await self._write(BytesMessage(msgpack.packb(event)))

    async def receive(self) -> dict[str, Any]:
        """Return the next event. Raises EngineFailed when the connection ends or cannot be understood.

        What came before the end is handed out before the end is told, also when both came in one packet.
        """
        while not self._events:
            if self._ending is not None:
                raise self._ending
            await self._read()
        return self._events.popleft()

    async def close(self) -> None:
        """Say goodbye; what is still on its way is dropped."""
        await self._write(CloseConnection(1000))

    async def _read(self) -> None:
        try:
            data = await self._stream.read(READ_BYTES)
            self._connection.receive_data(data or None)
            for event in self._connection.events():
                await self._take(event)
        except (httpcore.NetworkError, httpcore.TimeoutException) as error:
            self._ending = EngineFailed(f"Fish Audio's socket broke: {error!r}")
        except wsproto.utilities.ProtocolError as error:
            self._ending = EngineFailed(f"Fish Audio's socket does not speak WebSocket: {error}")
        except EngineFailed as error:
            self._ending = error

    async def _take(self, event: Event) -> None:
        if isinstance(event, Ping):
            await self._write(event.response())
        elif isinstance(event, CloseConnection):
            raise EngineFailed(f"Fish Audio closed its socket without `finish`, code {int(event.code)}")
        elif isinstance(event, BytesMessage):
            self._message += event.data
            if len(self._message) > MAX_EVENT_BYTES:
                raise EngineFailed(f"Fish Audio sent an event of more than {MAX_EVENT_BYTES} bytes")
            if event.message_finished:
                frame, self._message = bytes(self._message), bytearray()
                self._events.append(unpack_event(frame))

    async def _write(self, event: Event) -> None:
        with contextlib.suppress(httpcore.NetworkError, wsproto.utilities.LocalProtocolError):
            async with self._write_lock:
                await self._stream.write(self._connection.send(event))


def unpack_event(frame: bytes) -> dict[str, Any]:
    """Return the event in a frame: a map of texts with `event` in it. Raises EngineFailed for anything else.

    Announced lengths cannot exceed the frame; extension types are refused; depth is bounded by the decoder.
    """
    try:
        value = msgpack.unpackb(frame, raw=False, strict_map_key=True, ext_hook=_refuse_extension)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise EngineFailed(f"Fish Audio sent a frame that is not msgpack: {error!r}") from error
    if not isinstance(value, dict) or not isinstance(value.get("event"), str):
        raise EngineFailed("Fish Audio sent a frame that is not an event")
    return value


def _refuse_extension(code: int, data: bytes) -> NoReturn:
    raise ValueError(f"extension type {code}")
