"""Slow daphne's applications down to what their clients read.

Daphne's `send` returns at once, whatever its client reads: a client that reads slowly, or not at all, would have whole
files wait in memory, and would lose their end when the connection is closed around them. With these, `send` waits
while Twisted's buffer is full, as it does on other servers, so that hardly anything is left when the end comes. A
client that stands still for long is dropped; it has left, for all that the application sees.
"""

import asyncio
import socket
from typing import Any

from daphne.http_protocol import WebRequest
from daphne.server import Server
from daphne.ws_protocol import WebSocketProtocol
from django.conf import settings

# The kernel's own buffer can grow to 4 MB: a client at the pace of speech would seem to stand still for minutes.
SEND_BUFFER_BYTES = 128 * 1024
# How long the answer to a close frame may take: it comes once everything before the frame was read.
CLOSE_S = 60.0
ABORT_S = 15.0  # what is still not sent so long after the end was asked for is lost; Twisted's own for HTTP

_reply = Server.handle_reply


def repair_flow() -> None:
    """Put it in place, once per process."""
    Server.handle_reply = _reply_at_its_pace
    WebSocketProtocol.closeHandshakeTimeout = CLOSE_S
    WebSocketProtocol.onCloseHandshakeTimeout = _end_unanswered


class _Flow:
    """Follow the buffer of one connection: a push producer, which Twisted tells when it is full, empty, or gone."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._patience: asyncio.TimerHandle | None = None
        transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    async def room(self) -> None:
        await self._has_room.wait()

    def pauseProducing(self) -> None:
        self._has_room.clear()
        if self._patience is None:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(settings.CLIENT_STILL_SECONDS, self._transport.abortConnection)

    def resumeProducing(self) -> None:
        self._has_room.set()
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    stopProducing = resumeProducing


async def _reply_at_its_pace(self: Server, protocol: Any, message: dict[str, Any]) -> None:
    flow = _flow_of(protocol)
    is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
    if flow is None:
        await _reply(self, protocol, message)
    elif is_last:
        # The end is told apart: time-outs run from there.
        await _reply(self, protocol, message | {"more_body": True})
        await flow.room()
        if protocol.channel is not None:
            protocol.unregisterProducer()
        await _reply(self, protocol, {"type": "http.response.body"})
    else:
        await _reply(self, protocol, message)
        await flow.room()


def _flow_of(protocol: Any) -> _Flow | None:
    """Return what follows the connection, from the first answer on; None while there is nothing to follow."""
    flow: _Flow | None = getattr(protocol, "flow", None)
    if flow is not None:
        return flow
    if isinstance(protocol, WebRequest):
        if not protocol.finished and protocol.channel is not None:
            protocol.flow = _Flow(protocol.channel.transport)
            protocol.registerProducer(protocol.flow, True)
    elif protocol.state == WebSocketProtocol.STATE_OPEN:
        protocol.flow = _Flow(protocol.transport)
        protocol.unregisterProducer()  # the HTTP that it was
        protocol.registerProducer(protocol.flow, True)
    return getattr(protocol, "flow", None)


def _end_unanswered(self: WebSocketProtocol) -> None:
    """End a socket whose close frame got no answer, without taking back what the kernel still has to send."""
    self.closeHandshakeTimeoutCall = None
    if self.state != WebSocketProtocol.STATE_CLOSED:
        self.dropConnection(abort=False)
        asyncio.get_running_loop().call_later(ABORT_S, self.transport.abortConnection)
