"""A client of a session on `WS /api/v1/tts/stream`, for tests that look from outside."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
from httpx_ws import WebSocketDisconnect, WebSocketSession, connect_ws
from wsproto.events import BytesMessage, TextMessage

PATH = "/api/v1/tts/stream"


class Talk:
    """Say events and keep what comes back: `sound` is the file so far, `events` the JSON frames in their order.

    `log` tells both in the order of arrival: the name of an event, or the length of a sound.
    """

    def __init__(self, socket: WebSocketSession):
        self.socket = socket
        self.sound = b""
        self.events: list[dict[str, Any]] = []
        self.log: list[str | int] = []
        self.code: int | None = None

    def say(self, event: str, **fields: Any) -> None:
        self.socket.send_text(json.dumps({"event": event, **fields}))

    def hear(self, name: str | int, timeout: float = 30.0) -> dict[str, Any]:
        """Receive until an event of this name came and return it; an integer waits for so many bytes of sound."""
        while self.code is None:
            if isinstance(name, int) and len(self.sound) >= name:
                return {}
            self._receive(timeout)
            if self.events and self.log[-1] == name == self.events[-1]["event"]:
                return self.events[-1]
        raise AssertionError(f"closed with {self.code} before {name}: {self.events}")

    def hear_all(self, timeout: float = 60.0) -> int:
        """Receive until the server closes and return its code."""
        while self.code is None:
            self._receive(timeout)
        return self.code

    def named(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]

    def _receive(self, timeout: float) -> None:
        try:
            message = self.socket.receive(timeout=timeout)
        except WebSocketDisconnect as closed:
            self.code = closed.code
            return
        if isinstance(message, BytesMessage):
            data = bytes(message.data)
            assert 0 < len(data) <= 64 * 1024
            self.sound += data
            self.log.append(len(data))
        elif isinstance(message, TextMessage):
            self.events.append(json.loads(message.data))
            self.log.append(self.events[-1]["event"])


@contextlib.contextmanager
def talking(url: str, headers: dict[str, str], **parameters: Any) -> Iterator[Talk]:
    """Open a socket and start a session on it with these parameters."""
    with (
        httpx.Client(base_url=url, timeout=30) as client,
        connect_ws(PATH, client, session_class=WebSocketSession, headers=headers) as socket,
    ):
        talk = Talk(socket)
        talk.say("start", **parameters)
        yield talk
