"""Same `Idempotency-Key` and body: same result, one debit.

The key stands on the Generation row with a unique constraint, so the first request wins whatever the timing; the
others wait for its answer and give it again. A failed attempt frees its key.
"""

import asyncio
import time
from collections import Counter
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
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 1.0
# In one process; more than an account may have syntheses, so that nobody is refused who asks again in earnest.
WAITERS_PER_ACCOUNT = 64
ANSWER_GRACE = timedelta(seconds=2)

_polls: dict[tuple[asyncio.AbstractEventLoop, int, str], asyncio.Future[Generation | None]] = {}
_waiting: Counter[int] = Counter()


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

    Raises IdempotencyConflict when the key was used for another request, Conflict when too many wait or too long.
    """
    found = await _look(user_id, key)
    if found is not None and found.fingerprint == fingerprint and not _is_answered(found):
        found = await _wait(user_id, key)
    if found is None:
        return None
    if found.fingerprint != fingerprint:
        raise IdempotencyConflict()
    if not _is_answered(found):
        raise _not_yet()
    return found


async def _look(user_id: int, key: str) -> Generation | None:
    return await in_database(Generation.objects.filter(user_id=user_id, idempotency_key=key).first)


async def _wait(user_id: int, key: str) -> Generation | None:
    """Wait for the end of a synthesis with everybody else who waits for it: one of all asks the database."""
    if _waiting[user_id] >= WAITERS_PER_ACCOUNT:
        raise _not_yet()
    name = (asyncio.get_running_loop(), user_id, key)
    if name not in _polls:
        _polls[name] = asyncio.ensure_future(_poll(user_id, key))
        _polls[name].add_done_callback(lambda _task: _polls.pop(name))
    _waiting[user_id] += 1
    try:
        return await asyncio.shield(_polls[name])
    finally:
        _waiting[user_id] -= 1
        if not _waiting[user_id]:
            del _waiting[user_id]


async def _poll(user_id: int, key: str) -> Generation | None:
    """Return the synthesis once it is answered, or as it is after a minute; None once the key is free."""
    deadline, pause_s = time.monotonic() + WAIT_SECONDS, FIRST_PAUSE_S
    while True:
        await asyncio.sleep(pause_s)
        found = await _look(user_id, key)
        if found is None or _is_answered(found) or time.monotonic() > deadline:
            return found
        pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)


def _not_yet() -> Conflict:
    return Conflict(
        _("La première requête avec cette clé d’idempotence n’est pas encore finie."), retry_after_s=5
    )


def _is_answered(generation: Generation) -> bool:
    is_done = generation.status == Generation.Status.DONE
    return is_done and (generation.response is not None or _is_settled(generation))


def _is_settled(generation: Generation) -> bool:
    """Tell whether no answer is to come any more: the first request streamed its audio, or died answering."""
    return generation.finished_at is not None and timezone.now() - generation.finished_at > ANSWER_GRACE
