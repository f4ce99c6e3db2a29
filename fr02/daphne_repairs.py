"""Two things that daphne must do for the contract to hold. Other servers do them by themselves.

Close codes: Autobahn's `sendClose`, which daphne calls, is meant for applications: it takes 1000 and 3000 to 4999 only,
and raises for 1008, 1011 and 1013; the socket then stays open for ever. The frame itself may carry them (RFC 6455,
section 7.4.1).

Broken streams: when an application fails after its first byte, daphne tries to answer 500, which is too late, and leaves
the connection open; the client waits for ever. The connection is dropped instead, without the last chunk, so that
the client knows that the body is not whole (RFC 9112, section 8).
"""

from daphne.http_protocol import WebRequest
from daphne.ws_protocol import WebSocketProtocol

_answer_500 = WebRequest.handle_exception


def repair_daphne() -> None:
    """Put the two repairs in place, once per process."""
    WebSocketProtocol.serverClose = _close_with_any_code
    WebRequest.handle_exception = _answer_or_drop


def _close_with_any_code(self: WebSocketProtocol, code: int | None = None) -> None:
    self.sendCloseFrame(code=1000 if code is None else code)


def _answer_or_drop(self: WebRequest, exception: BaseException) -> None:
    if self._response_started:
        self.channel.transport.loseConnection()
    else:
        _answer_500(self, exception)
