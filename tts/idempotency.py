"""Same `Idempotency-Key` and body: same result, one debit.

The key stands on the Generation row with a unique constraint, so the first request wins whatever the timing; the
others wait for its answer and give it again. A failed attempt frees its key.
"""

import asyncio
import time
from datetime import timedelta

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from fr02.bridge import in_database
from fr02.errors import Conflict, IdempotencyConflict, InvalidRequest
from tts.models import Generation

HEADER = "Idempotency-Key"
# For the OpenAPI schema: printable ASCII.
FORM = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"}
WAIT_SECONDS = 60.0
POLL_SECONDS = 0.1
ANSWER_GRACE = timedelta(seconds=2)


def read_key(request: HttpRequest) -> str | None:
    """Return the idempotency key of a request, or None. Raises InvalidRequest when it is malformed."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not 1 <= len(key) <= 255 or not key.isascii() or not key.isprintable():
        raise InvalidRequest(
            _("L’en-tête Idempotency-Key doit contenir de 1 à 255 caractères ASCII imprimables."),
            pointers=[(f"/headers/{HEADER}", _("1 à 255 caractères ASCII."))],
        )
    return key


async def find_result(user_id: int, key: str, fingerprint: str) -> Generation | None:
    """Return the finished synthesis of this key, waiting for it while it runs; None when the key is free.

    Raises IdempotencyConflict when the key was used for another request.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        found = await in_database(Generation.objects.filter(user_id=user_id, idempotency_key=key).first)
        if found is None:
            return None
        if found.fingerprint != fingerprint:
            raise IdempotencyConflict()
        if found.status == Generation.Status.DONE and (found.response is not None or _is_settled(found)):
            return found
        await asyncio.sleep(POLL_SECONDS)
    raise Conflict(
        _("La première requête avec cette clé d’idempotence n’est pas encore finie."), retry_after_s=5
    )


def _is_settled(generation: Generation) -> bool:
    """Tell whether no answer is to come any more: the first request streamed its audio, or died answering."""
    return generation.finished_at is not None and timezone.now() - generation.finished_at > ANSWER_GRACE
