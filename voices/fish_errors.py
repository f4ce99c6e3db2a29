"""Every way Fish Audio can refuse or fail, one class per kind, and what tells them apart on the wire."""

import json
import math
import unicodedata
from typing import Any

import httpx

MAX_MESSAGE_CHARACTERS = 500


class FishError(Exception):
    """Stand for every way Fish Audio can refuse or fail. `status` is 0 when no answer came."""

    def __init__(self, message: str, *, status: int = 0, retry_after_s: float | None = None):
        super().__init__(message)
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s


class FishUnauthorized(FishError):
    """The platform's key is missing, wrong or revoked (401)."""


class FishOutOfCredit(FishError):
    """The platform's API wallet is empty (402). Platform credit is another wallet and does not help."""


class FishForbidden(FishError):
    """The voice belongs to somebody else and is private (403)."""


class FishNotFound(FishError):
    """There is no such voice (404, or 400 or 422 `Reference not found` on speech)."""


class FishConcurrency(FishError):
    """More requests are in flight than the platform's account may have (429)."""


class FishInvalid(FishError):
    """The request is not acceptable (400, 413, 422); the message says why, in English."""


class FishUnavailable(FishError):
    """The service is overloaded, unreachable, too slow, or answers what it should not."""


class FishNotConnected(FishUnavailable):
    """Nothing was sent: even a write may be repeated."""


def error_from(status: int, answer_headers: httpx.Headers, body: bytes) -> FishError:
    """Return the error that an answer stands for: an object with `message`, an array (422) or plain text."""
    message = _message(body) or f"status {status}"
    after_s = _retry_after_s(answer_headers.get("retry-after"))
    kind: type[FishError]
    if status in _KINDS:
        kind = _KINDS[status]
    elif status in (400, 422) and message.startswith("Reference not found"):
        kind = FishNotFound
    elif 400 <= status < 500:
        kind = FishInvalid
    else:
        kind = FishUnavailable
    return kind(message, status=status, retry_after_s=after_s)


def error_from_text(message: str) -> FishError:
    """Return the error that a text stands for where there is no status: in the socket's events."""
    for part, status, kind in _TEXTS:
        if part in message.lower():
            return kind(message, status=status)
    return FishUnavailable(message or "no reason")


_KINDS: dict[int, type[FishError]] = {
    401: FishUnauthorized,
    402: FishOutOfCredit,
    403: FishForbidden,
    404: FishNotFound,
    408: FishUnavailable,
    429: FishConcurrency,
}

# The credit before the key: one wording names both.
_TEXTS: tuple[tuple[str, int, type[FishError]], ...] = (
    ("reference not found", 400, FishNotFound),
    ("concurrency", 429, FishConcurrency),
    ("insufficient", 402, FishOutOfCredit),
    ("invalid token", 401, FishUnauthorized),
    ("invalid api key", 401, FishUnauthorized),
    ("no permission", 401, FishUnauthorized),
)


def _message(body: bytes) -> str:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return clean_line(body[: 4 * MAX_MESSAGE_CHARACTERS].decode(errors="replace"))
    if isinstance(value, dict):
        return clean_line(value.get("message") or value.get("detail"))
    if isinstance(value, list):
        faults = (_field_error(item) for item in value[:20] if isinstance(item, dict))
        return clean_line("; ".join(faults))
    return clean_line(value)


def _field_error(item: dict[str, Any]) -> str:
    found = item.get("loc")
    place = ".".join(str(part) for part in found) if isinstance(found, list) else ""
    return f"{place}: {clean_text(item.get('msg'))}"


def _retry_after_s(value: str | None) -> float | None:
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def clean_text(value: object) -> str:
    """Return the value if it is a text, else an empty one, without what a database or a log cannot hold."""
    # PostgreSQL keeps no NUL, and a lone surrogate cannot be written at all.
    return value.replace("\0", "").encode(errors="replace").decode() if isinstance(value, str) else ""


def clean_line(value: object) -> str:
    """Return a message as one line of bounded length, whatever the service wrote into it."""
    text = clean_text(value)[:MAX_MESSAGE_CHARACTERS]
    return "".join(" " if unicodedata.category(sign) == "Cc" else sign for sign in text).strip()
