"""Three things that daphne must do for the contract to hold. Other servers do them by themselves.

Close codes: Autobahn's `sendClose`, which daphne calls, is meant for applications: it takes 1000 and 3000 to 4999 only,
and raises for 1008, 1011 and 1013; the socket then stays open for ever. The frame itself may carry them (RFC 6455,
section 7.4.1).

Broken streams: when an application fails after its first byte, daphne tries to answer 500, which is too late, and leaves
the connection open; the client waits for ever. The connection is dropped instead, without the last chunk, so that
the client knows that the body is not whole (RFC 9112, section 8).

The end: a daphne that is told to stop cancels what its applications do; Django then leaves its own tasks behind, and a
synthesis that goes on stays unsettled until the sweeper finds it. They are told that their clients have left instead.
"""

import asyncio
from typing import Any

from daphne.http_protocol import WebRequest
from daphne.server import Server
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet.defer import Deferred

from fr02.daphne_flow import repair_flow

# What has not ended by then is cancelled. The launcher waits a little longer (fr02.run).
GOODBYE_SECONDS = 5.0

_answer_500 = WebRequest.handle_exception


def repair_daphne() -> None:
    """Put these repairs and those of `fr02.daphne_flow` in place, once per process."""
    WebSocketProtocol.serverClose = _close_with_any_code
    WebRequest.handle_exception = _answer_or_drop
    Server.kill_all_applications = _say_goodbye
    repair_flow()


def _close_with_any_code(self: WebSocketProtocol, code: int | None = None) -> None:
    self.sendCloseFrame(code=1000 if code is None else code)


def _answer_or_drop(self: WebRequest, exception: BaseException) -> None:
    if self._response_started:
        # Within a quarter of a minute, whatever the client still reads.
        self.channel.timeoutConnection()
    else:
        _answer_500(self, exception)


def _say_goodbye(self: Server) -> "Deferred[Any]":
    """Tell each application that its client has left. Twisted stops when all of them have ended."""
    ending = []
    for protocol, details in self.connections.items():
        application = details.get("application_instance")
        if application is None or application.done():
            continue
        if isinstance(protocol, WebSocketProtocol):
            protocol.application_queue.put_nowait({"type": "websocket.disconnect", "code": 1001})
        else:
            protocol.application_queue.put_nowait({"type": "http.disconnect"})
        ending.append(application)
    return Deferred.fromFuture(asyncio.ensure_future(_see_off(ending)))


async def _see_off(ending: "list[asyncio.Future[None]]") -> None:
    if not ending:
        return
    _ended, late = await asyncio.wait(ending, timeout=GOODBYE_SECONDS)
    for application in late:
        application.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
