"""HTTP/1.1 and WebSocket on asyncio streams, with every byte in the caller's hands."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import h11
import wsproto
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.utilities import generate_accept_token

MAX_BODY_BYTES = 50 * 1024 * 1024
READ_BYTES = 256 * 1024

Handler = Callable[["Exchange"], Awaitable[None]]


@dataclass
class Request:
    """What a client asked."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes = b""
    is_too_long: bool = False

    def values(self, name: str) -> list[str]:
        """Return every value of a query parameter."""
        return [value for key, value in self.query if key == name]

    def value(self, name: str, default: str = "") -> str:
        """Return the last value of a query parameter."""
        return (self.values(name) or [default])[-1]

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_upgrade(self) -> bool:
        return self.headers.get("upgrade", "").lower() == "websocket"


@dataclass
class Exchange:
    """One request and the means to answer it."""

    request: Request
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    http: h11.Connection
    common_headers: Callable[[], dict[str, str]] = dict
    is_open: bool = field(default=True)

    async def answer(
        self, status: int, body: bytes = b"", content_type: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Send a complete answer."""
        known = {"content-length": str(len(body))} | ({"content-type": content_type} if content_type else {})
        await self._send(self._head(status, known | (headers or {})))
        await self._send(h11.Data(data=body))
        await self._send(h11.EndOfMessage())

    async def answer_json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        """Send a JSON answer."""
        body = json.dumps(value, ensure_ascii=False).encode()
        await self.answer(status, body, "application/json; charset=utf-8", headers)

    async def begin(self, content_type: str, status: int = 200) -> None:
        """Begin a chunked answer."""
        await self._send(self._head(status, {"content-type": content_type, "transfer-encoding": "chunked"}))

    async def chunk(self, data: bytes) -> None:
        """Send one chunk, as one chunk."""
        if data:
            await self._send(h11.Data(data=data))

    async def cut_chunk(self, data: bytes) -> None:
        """Send the first half of a chunk, an odd number of bytes, under the length of the whole."""
        chunk = self.http.send(h11.Data(data=data)) or b""
        start = chunk.index(b"\r\n") + 2
        self.writer.write(chunk[: start + (len(data) // 2 | 1)])
        await self.writer.drain()

    async def end(self) -> None:
        """End a chunked answer."""
        await self._send(h11.EndOfMessage())

    def abort(self) -> None:
        """Cut the connection in the middle of whatever is being sent."""
        self.is_open = False
        self.writer.close()

    async def accept_socket(self) -> "Socket":
        """Answer 101 and return the socket."""
        self.is_open = False
        token = generate_accept_token(self.request.headers["sec-websocket-key"].encode())
        headers = self.common_headers() | {
            "upgrade": "websocket",
            "connection": "Upgrade",
            "sec-websocket-accept": token.decode(),
        }
        lines = ["HTTP/1.1 101 Switching Protocols", *(f"{name}: {value}" for name, value in headers.items())]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        await self.writer.drain()
        socket = Socket(self.reader, self.writer)
        socket.feed(self.http.trailing_data[0])
        return socket

    def _head(self, status: int, headers: dict[str, str]) -> h11.Response:
        every = self.common_headers() | headers
        return h11.Response(status_code=status, headers=list(every.items()))

    async def _send(self, event: Any) -> None:
        data = self.http.send(event)
        if data:
            self.writer.write(data)
            await self.writer.drain()


class Socket:
    """A server's WebSocket. It reads, and answers pings, whatever its owner is doing."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._reader, self._writer = reader, writer
        self._connection = wsproto.Connection(wsproto.ConnectionType.SERVER)
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._partial = b""
        self.pongs = 0
        self.is_gone = False
        self._reading = asyncio.create_task(self._read())

    async def receive(self) -> bytes | None:
        """Return the next binary message, or None once the client is gone."""
        return await self._messages.get()

    async def send(self, data: bytes) -> None:
        """Send a binary message."""
        await self._send(BytesMessage(data))

    async def ping(self) -> None:
        """Send a ping, which the client is to answer while it waits for sound."""
        await self._send(Ping(b"alive"))

    async def send_text(self, text: str) -> None:
        """Send a text frame, which no client of this protocol expects."""
        await self._send(TextMessage(text))

    async def close(self, code: int | None) -> None:
        """Close with a code; 1005 sends a close frame without any."""
        if not self.is_gone:
            with contextlib.suppress(wsproto.utilities.LocalProtocolError):
                await self._send(CloseConnection(code or 1000))
            # Closing at once would reset the connection, and the client would lose what it had not read yet.
            await asyncio.wait([self._reading], timeout=1)
        self._stop()

    def drop(self) -> None:
        """Let the TCP connection go without a close frame."""
        self._stop()

    def feed(self, data: bytes) -> None:
        """Take what came right behind the upgrade request."""
        if data:
            self._take(data)

    def _stop(self) -> None:
        self.is_gone = True
        self._reading.cancel()
        self._writer.close()

    async def _send(self, event: Any) -> None:
        if self.is_gone:
            return
        self._writer.write(self._connection.send(event))
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def _read(self) -> None:
        try:
            while data := await self._reader.read(READ_BYTES):
                self._take(data)
                if self.is_gone:
                    break
        except (ConnectionError, wsproto.utilities.RemoteProtocolError):
            pass
        finally:
            self.is_gone = True
            self._messages.put_nowait(None)

    def _take(self, data: bytes) -> None:
        self._connection.receive_data(data)
        for event in self._connection.events():
            if isinstance(event, Ping):
                self._writer.write(self._connection.send(event.response()))
            elif isinstance(event, Pong):
                self.pongs += event.payload == b"alive"
            elif isinstance(event, CloseConnection):
                with contextlib.suppress(wsproto.utilities.LocalProtocolError):
                    self._writer.write(self._connection.send(event.response()))
                self.is_gone = True
            elif isinstance(event, BytesMessage):
                self._partial += event.data
                if event.message_finished:
                    self._messages.put_nowait(self._partial)
                    self._partial = b""


async def serve_connection(
    handler: Handler,
    common_headers: Callable[[], dict[str, str]],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Serve one TCP connection until it ends."""
    http = h11.Connection(h11.SERVER)
    try:
        while request := await _next_request(http, reader, writer):
            exchange = Exchange(request, reader, writer, http, common_headers)
            await handler(exchange)
            if not exchange.is_open or http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                break
            http.start_next_cycle()
    except (ConnectionError, h11.ProtocolError):
        pass
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await writer.wait_closed()


async def _next_request(
    http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Request | None:
    request: Request | None = None
    body = bytearray()
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            if http.they_are_waiting_for_100_continue:
                go_on = http.send(h11.InformationalResponse(status_code=100, headers=[]))
                writer.write(go_on or b"")
            http.receive_data(await reader.read(READ_BYTES))
        elif isinstance(event, h11.Request):
            request = _request(event)
        elif isinstance(event, h11.Data) and request is not None:
            body += event.data
            if len(body) > MAX_BODY_BYTES:
                request.is_too_long = True
                body.clear()
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            request.body = bytes(body)
            return request
        elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
            return request if event is h11.PAUSED and request is not None else None


def _request(event: h11.Request) -> Request:
    target = urlsplit(event.target.decode())
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in event.headers}
    query = parse_qsl(target.query, keep_blank_values=True)
    return Request(event.method.decode(), target.path, query, headers)
