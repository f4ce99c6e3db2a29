"""Refuse bodies that are too long before they are read: Django would first keep them whole, on disk.

`limit_bodies` wraps the ASGI application, for every server. Daphne gives it a request only once its whole body has
come, so there `fr02.daphne_request` does the same a step earlier.
"""

import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.conf import settings

from fr02.errors import body_too_large, problem_text

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

FORM_BYTES = 1024 * 1024
# Recordings come here; no other address takes files.
UPLOADS = ("/api/v1/voices", "/voix/cloner")


def limit_bodies(application: Application) -> Application:
    """Return the application, behind a limit for the body of each request."""

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        length = _header(scope, b"content-length")
        limit = limit_of(scope["path"], _header(scope, b"content-type"))
        if length.isdigit() and int(length) > limit:
            await _refuse(limit, send)
            return
        has_started = False
        count = 0

        async def counted() -> Message:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > limit:
                raise _TooLong
            return message

        async def noted(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await application(scope, counted, noted)
        except _TooLong:
            if not has_started:
                await _refuse(limit, send)

    return limited


def limit_of(path: str, content_type: bytes) -> int:
    """Return how many bytes a request to this path may carry: a form with files more than anything else."""
    is_upload = path.startswith(UPLOADS) and content_type.lower().startswith(b"multipart/")
    return FORM_BYTES + (settings.CLONE_UPLOAD_BYTES if is_upload else 0)


def refusal(limit: int) -> tuple[str, bytes]:
    """Return a request id and the problem object that says the limit."""
    request_id = uuid.uuid4().hex
    return request_id, problem_text(body_too_large(limit), request_id).encode()


class _TooLong(Exception):
    """The body goes on beyond its limit."""


def _header(scope: Scope, wanted: bytes) -> bytes:
    return next((bytes(value) for name, value in scope["headers"] if name == wanted), b"")


async def _refuse(limit: int, send: Send) -> None:
    request_id, body = refusal(limit)
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", request_id.encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
