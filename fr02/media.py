"""Keep audio in a folder and hand it out by FR02's own signed links.

The S3 storage signs its links itself; both are reached through Django's storage interface, so nothing else knows
which one is in use.
"""

import base64
import contextlib
import hashlib
import hmac
import logging
import re
import time
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlencode

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files.storage import FileSystemStorage, storages
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from fr02.bridge import in_thread
from fr02.errors import Forbidden, NotFound, RangeNotSatisfiable, StorageUnavailable, problem_response
from fr02.typography import number

logger = logging.getLogger(__name__)

# What a storage may fail with, the folder's or S3's.
STORAGE_ERRORS = (OSError, BotoCoreError, ClientError, Boto3Error)
CHUNK_BYTES = 64 * 1024
CONTENT_TYPES = {".mp3": "audio/mpeg", ".wav": "audio/wav", ".pcm": "audio/pcm", ".opus": "audio/ogg"}
# One range. Several, another unit or nonsense are passed over, as RFC 9110 (14.2) allows: the whole file is sent.
RANGE = re.compile(r"bytes=(?!-$)(\d{0,18})-(\d{0,18})")


@contextlib.contextmanager
def storage_at_work() -> Iterator[None]:
    """Raise StorageUnavailable for what the storage fails with; FileNotFoundError goes through."""
    try:
        yield
    except FileNotFoundError:
        raise
    except STORAGE_ERRORS as error:
        logger.exception("the storage failed")
        raise StorageUnavailable() from error


class SignedFileStorage(FileSystemStorage):
    """Store files in a private folder; `url` is a link that expires and that only FR02 can make."""

    def url(
        self, name: str | None, parameters: dict[str, str] | None = None, expire: int | None = None
    ) -> str:
        """Return a signed link, valid for `expire` seconds (default AUDIO_LINK_SECONDS)."""
        expires = int(time.time()) + (settings.AUDIO_LINK_SECONDS if expire is None else expire)
        query = urlencode({"expires": expires, "signature": sign(name or "", expires)})
        return f"{settings.SITE_URL}/media/{quote(name or '')}?{query}"


def sign(name: str, expires: int) -> str:
    """Return the signature of a link: HMAC-SHA-256 of name and expiry (Unix seconds), base64url."""
    digest = hmac.digest(settings.MEDIA_SIGNING_KEY.encode(), f"{expires}:{name}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@require_safe
def serve_signed(request: HttpRequest, name: str) -> HttpResponseBase:
    """Send the file of a signed link, in whole or by one range. Tampered or expired: 403."""
    expires = request.GET.get("expires", "")
    signature = request.GET.get("signature", "")
    is_signed = (
        expires.isascii()
        and expires.isdecimal()
        and len(expires) < 12
        and hmac.compare_digest(signature.encode(), sign(name, int(expires)).encode())
    )
    if not is_signed:
        return problem_response(Forbidden(_("Ce lien n’est pas valide.")), request)
    if int(expires) < time.time():
        return problem_response(
            Forbidden(_("Ce lien a expiré. Demandez-en un nouveau dans l’historique.")), request
        )
    try:
        file = storages["default"].open(name)
    except FileNotFoundError:
        return problem_response(NotFound(), request)
    return _send(request, file, Path(name))


class Chunks:
    """Read a file from where it stands, at most `remaining` bytes, piece by piece; the response closes it."""

    def __init__(self, file: IO[bytes], remaining: int | None = None) -> None:
        self._file, self._remaining = file, remaining

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        while data := await in_thread(self._read):
            yield data

    def close(self) -> None:
        self._file.close()

    def _read(self) -> bytes:
        if self._remaining is None:
            return self._file.read(CHUNK_BYTES)
        data = self._file.read(min(CHUNK_BYTES, self._remaining))
        self._remaining -= len(data)
        return data


def _send(request: HttpRequest, file: IO[bytes], name: Path) -> HttpResponseBase:
    size = file.size  # type: ignore[attr-defined]
    content_type = CONTENT_TYPES.get(name.suffix, "application/octet-stream")
    asked = RANGE.fullmatch(request.headers.get("Range", "").strip())
    span = _span(asked, size) if asked else (0, size - 1)
    if span is None:
        file.close()
        detail = _("Le fichier a {size} octets\u202f; la plage demandée n’en contient aucun.").format(
            size=number(size)
        )
        refusal = problem_response(RangeNotSatisfiable(detail), request)
        refusal["Content-Range"] = f"bytes */{size}"
        refusal["Accept-Ranges"] = "bytes"
        return refusal
    start, end = span
    file.seek(start)
    response = StreamingHttpResponse(Chunks(file, end - start + 1), content_type=content_type)
    response["Content-Length"] = str(end - start + 1)
    if asked:
        response.status_code = 206
        response["Content-Range"] = f"bytes {start}-{end}/{size}"
    response["Accept-Ranges"] = "bytes"
    response["Cache-Control"] = f"private, max-age={settings.AUDIO_LINK_SECONDS}"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Disposition"] = f'inline; filename="fr02{name.suffix}"'
    return response


def _span(asked: re.Match[str], size: int) -> tuple[int, int] | None:
    """Return the first and last byte that a range means, or None where it cannot be satisfied (RFC 9110)."""
    first, last = asked.groups()
    if not first:
        return (max(0, size - int(last)), size - 1) if int(last) and size else None
    start, end = int(first), min(int(last) if last else size - 1, size - 1)
    return (start, end) if start <= end else None
