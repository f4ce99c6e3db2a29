"""Let daphne close a socket with every code that servers may send.

Autobahn's `sendClose`, which daphne calls, is meant for applications: it takes 1000 and 3000 to 4999 only, and raises
for 1008, 1011 and 1013; the socket then stays open for ever. The frame itself may carry them (RFC 6455, section 7.4.1).
"""

from daphne.ws_protocol import WebSocketProtocol


def server_close(self: WebSocketProtocol, code: int | None = None) -> None:
    """Send the close frame of an application that says `websocket.close`."""
    self.sendCloseFrame(code=1000 if code is None else code)


def allow_every_close_code() -> None:
    """Replace daphne's `serverClose`; servers other than daphne are not touched."""
    WebSocketProtocol.serverClose = server_close
