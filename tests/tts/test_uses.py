"""How often a voice spoke shows in the community, a night later."""

import pytest

from billing.services import hold_credit
from tts.models import Generation
from tts.tasks import count_uses
from tts.uses import count_voice_uses
from voices.models import Voice


@pytest.fixture
def make_uses(alice):
    def make(voice, *statuses):
        for status in statuses:
            hold = hold_credit(user_id=alice.user.pk, amount_micros=1, life_s=60)
            Generation.objects.create(
                user=alice.user, hold=hold, voice=voice, voice_title=voice.title, engine=voice.engine,
                source="rest", status=status, text="Bonjour", format="mp3", sample_rate=44_100, characters=7,
            )  # fmt: skip

    return make


@pytest.fixture
def voice(alice) -> Voice:
    return Voice.objects.create(
        owner=alice.user, kind="blend", engine="kokoro", title="Zéphyrine", visibility="public"
    )


def test_it_works(client, alice, voice, make_uses):
    make_uses(voice, "done", "partial", "failed", "pending", "done")
    count_uses(timestamp=0)
    path = f"/api/v1/community/models/{voice.public_id}"
    assert client.get(path, headers=alice.headers).json()["task_count"] == 3
    assert count_voice_uses() == 0


def test_what_is_deleted_from_the_history_counts_on(client, alice, voice, make_uses):
    make_uses(voice, "done", "done")
    generation = Generation.objects.first()
    client.delete(f"/api/v1/tts/history/{generation.pk}", headers=alice.headers)
    assert count_voice_uses() == 1
    voice.refresh_from_db()
    assert voice.task_count == 2


@pytest.mark.parametrize("kind", ["mirrored", "seeded", "adopted"])
def test_voices_that_bring_a_number_along_keep_it(voice, make_uses, kind):
    Voice.objects.filter(pk=voice.pk).update(kind=kind, task_count=70)
    make_uses(voice, "done")
    assert count_voice_uses() == 0
    voice.refresh_from_db()
    assert voice.task_count == 70
