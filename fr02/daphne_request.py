"""A request of daphne's that refuses a body as soon as it is known to be too long.

Daphne reads every body to its end, to disk, before it calls the application. Twisted, below it, would then parse
forms for itself, on the event loop and in memory, and answer an unreadable one with an empty 400: only Django
parses here.
"""

from typing import Any

from daphne.http_protocol import WebRequest

from fr02.body_limit import limit_of, refusal

LINGER_S = 2.0  # long enough for a client that is still sending to hear the answer


class LimitedRequest(WebRequest):
    """Answer 413 as soon as the length is known, or passed, and throw away what still comes."""

    is_refused = False
    received = 0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, parsePOSTFormSubmission=False, **options)

    def gotLength(self, length: int | None) -> None:
        super().gotLength(length)
        path = self.channel._path.partition(b"?")[0].decode("latin-1")
        content_types = self.requestHeaders.getRawHeaders(b"content-type") or [b""]
        self.limit = limit_of(path, content_types[0])
        if length is not None and length > self.limit:
            self.refuse()

    def handleContentChunk(self, data: bytes) -> None:
        self.received += len(data)
        if self.received > self.limit and not self.is_refused:
            self.refuse()
        if not self.is_refused:
            super().handleContentChunk(data)

    def process(self) -> None:
        if not self.is_refused:
            super().process()

    def refuse(self) -> None:
        """Answer and close; the connection lingers a moment, or the answer would be lost with it."""
        self.is_refused = True
        request_id, body = refusal(self.limit)
        head = (
            "HTTP/1.1 413 Content Too Large\r\nContent-Type: application/problem+json\r\n"
            f"X-Request-Id: {request_id}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.channel.transport.write(head.encode() + body)
        self.channel.callLater(LINGER_S, self.channel.loseConnection)
