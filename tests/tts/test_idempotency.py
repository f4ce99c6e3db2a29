"""Many requests with one key while the first is still being answered; the plain cases are in test_speak.py."""

import asyncio

import pytest
from django.utils import timezone

from billing.services import hold_credit
from fr02.bridge import in_database
from fr02.errors import Conflict
from tts.idempotency import WAITERS_PER_ACCOUNT, find_result
from tts.models import Generation

KEY, FINGERPRINT = "commande-7", "f" * 64


@pytest.fixture
def running(stage, alice):
    return Generation.objects.create(
        user=alice.user,
        hold=hold_credit(user_id=alice.user.pk, amount_micros=10, life_s=60),
        engine="kokoro",
        source="rest",
        text="Bonjour.",
        format="mp3",
        sample_rate=24_000,
        characters=8,
        idempotency_key=KEY,
        fingerprint=FINGERPRINT,
    )


def test_so_many_wait_and_no_more(running, alice):
    def finish():
        Generation.objects.filter(pk=running.pk).update(
            status="done", response={"id": "x"}, finished_at=timezone.now()
        )

    async def ask():
        return await find_result(alice.user.pk, KEY, FINGERPRINT)

    async def crowd():
        waiting = [asyncio.create_task(ask()) for _ in range(WAITERS_PER_ACCOUNT + 1)]
        ended, _others = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        (refused,) = ended
        with pytest.raises(Conflict):
            refused.result()
        await in_database(finish)
        return await asyncio.gather(*(task for task in waiting if task is not refused))

    answers = asyncio.run(crowd())
    assert [answer.response for answer in answers] == [{"id": "x"}] * WAITERS_PER_ACCOUNT


def test_a_key_that_is_freed_is_free_for_who_waits(running, alice):
    async def wait():
        waiting = asyncio.create_task(find_result(alice.user.pk, KEY, FINGERPRINT))
        await asyncio.sleep(0)
        await in_database(
            Generation.objects.filter(pk=running.pk).update, status="failed", idempotency_key=None
        )
        return await waiting

    assert asyncio.run(wait()) is None
