"""Sessions spoken by the cloud engine: the stand-in's own socket behind ours."""

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from billing.pricing import price_micros
from billing.services import credit_of
from tests.tts import test_failover
from tests.tts.sound import measure
from tests.tts.talk import talking
from tests.tts.test_session import LONG, TEXT, stored_audio, tokens_of
from tests.tts.test_socket import assert_nothing_lost, cost_once_settled
from tts.models import Generation
from voices.models import UpstreamSlot, Voice

# The same stage: FR02 with Fish Audio, and a voice of Alice's there.
stand_in, _own, cloud, cloud_voice = (
    test_failover.stand_in,
    test_failover._own,
    test_failover.cloud,
    test_failover.cloud_voice,
)


def sound_of(talk, audio_format):
    """Return seconds and peak; the stand-in makes pcm at 24 kHz as we do."""
    return measure(talk.sound, audio_format)


@pytest.mark.parametrize("audio_format", ["mp3", "wav", "pcm", "opus"])
def test_it_works(cloud, stand_in, alice, cloud_voice, audio_format):
    before = credit_of(alice.user.pk).balance_micros
    with talking(cloud.url, alice.headers, voice_id=cloud_voice, format=audio_format) as talk:
        for token in tokens_of(TEXT):
            talk.say("text", text=token)
        talk.say("stop")
        assert talk.hear_all() == 1000
    row = Generation.objects.get(user=alice.user)
    assert (row.status, row.engine, row.text, row.size) == ("done", "fish", TEXT, len(talk.sound))
    assert talk.events[-1]["cost_micros"] == price_micros(engine="fish", characters=len(TEXT))
    assert "".join(event["text"] for event in talk.named("segment")) == TEXT
    assert row.upstream_bytes == len(TEXT.encode())
    asked = [item["message"] for item in stand_in.asked("live") if "message" in item]
    assert "".join(message["text"] for message in asked if message["event"] == "text") == TEXT
    seconds, peak = sound_of(talk, audio_format)
    assert seconds == pytest.approx(row.duration_ms / 1000, rel=0.05)
    assert peak > 0.05
    assert_nothing_lost(alice, before - row.cost_micros)


def test_a_flush_is_answered_after_its_sound(cloud, alice, cloud_voice):
    with talking(cloud.url, alice.headers, voice_id=cloud_voice, format="pcm") as talk:
        talk.say("text", text="Un moment")
        talk.say("flush")
        talk.hear("flushed")
        assert sound_of(talk, "pcm")[0] > 0.5
        talk.say("text", text=", je cherche.")
        talk.say("stop")
        assert talk.hear_all() == 1000
    assert Generation.objects.get(user=alice.user).text == "Un moment, je cherche."


@pytest.mark.parametrize("audio_format", ["mp3", "wav", "pcm", "opus"])
def test_a_cancel_stops_the_speech_and_the_session_goes_on(cloud, stand_in, alice, cloud_voice, audio_format):
    before = credit_of(alice.user.pk).balance_micros
    stand_in.state.switches.chunk_s = 0.05
    with talking(cloud.url, alice.headers, voice_id=cloud_voice, format=audio_format) as talk:
        talk.say("text", text=LONG)
        talk.hear(1)
        talk.say("cancel")
        talk.hear("cancelled")
        talk.say("text", text="Bien sûr, je recommence.")
        talk.say("stop")
        assert talk.hear_all() == 1000
    row = Generation.objects.get(user=alice.user)
    said = row.text.removesuffix("Bien sûr, je recommence.")
    assert row.status == "done"
    assert said != row.text
    assert LONG.startswith(said)
    assert row.billed_characters == row.characters == len(row.text) < len(LONG) / 2
    assert sound_of(talk, audio_format)[0] == pytest.approx(row.duration_ms / 1000, rel=0.05)
    assert len(stored_audio(cloud, alice, row)) == row.size == len(talk.sound)
    assert_nothing_lost(alice, before - row.cost_micros)


def test_a_cancel_keeps_the_slot(cloud, stand_in, alice, cloud_voice):
    stand_in.state.switches.chunk_s = 0.05
    with talking(cloud.url, alice.headers, voice_id=cloud_voice, format="pcm") as talk:
        talk.say("text", text=LONG)
        talk.hear(1)
        slot = UpstreamSlot.objects.get()
        talk.say("cancel")
        talk.hear("cancelled")
        assert UpstreamSlot.objects.get() == slot
        fill_upstream()
        talk.say("text", text="Bien sûr.")
        talk.say("stop")
        assert talk.hear_all() == 1000
    assert starts_at(stand_in) == 2


@pytest.mark.parametrize("audio_format", ["mp3", "wav", "pcm", "opus"])
def test_a_session_with_nothing_to_say_gives_its_slot_back(cloud, stand_in, alice, cloud_voice, audio_format):
    before = credit_of(alice.user.pk).balance_micros
    with talking(cloud.url, alice.headers, voice_id=cloud_voice, format=audio_format) as talk:
        talk.say("text", text="Un moment, je cherche. ")
        talk.say("flush")
        talk.hear("flushed")
        until_no_slot_is_held()
        assert stand_in.state.in_flight == 0
        talk.say("text", text="Voici la réponse.")
        talk.say("stop")
        assert talk.hear_all() == 1000
    row = Generation.objects.get(user=alice.user)
    assert (row.status, row.text) == ("done", "Un moment, je cherche. Voici la réponse.")
    assert [event["text"] for event in talk.named("segment")] == [
        "Un moment, je cherche. ",
        "Voici la réponse.",
    ]
    assert sound_of(talk, audio_format)[0] == pytest.approx(row.duration_ms / 1000, rel=0.05)
    assert row.cost_micros == price_micros(engine="fish", characters=len(row.text))
    assert_nothing_lost(alice, before - row.cost_micros)


def test_a_session_that_rested_waits_for_a_slot(cloud, stand_in, alice, cloud_voice):
    with talking(cloud.url, alice.headers, voice_id=cloud_voice, format="pcm") as talk:
        talk.say("text", text="Un moment, je cherche. ")
        talk.say("flush")
        talk.hear("flushed")
        until_no_slot_is_held()
        fill_upstream(seconds=2, count=5)
        talk.say("text", text="Voici la réponse.")
        talk.say("stop")
        assert talk.hear_all() == 1000


def fill_upstream(seconds=300, count=4):
    until = timezone.now() + timedelta(seconds=seconds)
    UpstreamSlot.objects.bulk_create(UpstreamSlot(account="other", expires_at=until) for _ in range(count))


def starts_at(stand_in):
    messages = [item.get("message", {}) for item in stand_in.asked("live")]
    return sum(message.get("event") == "start" for message in messages)


def until_no_slot_is_held():
    deadline = time.monotonic() + 10
    while UpstreamSlot.objects.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_cancel_ends_a_take_that_speaks_on_after_its_flush(cloud, stand_in, alice, cloud_voice):
    stand_in.fail("stall", where="live", seconds=1.5, after=len(TEXT) // 9)
    with talking(cloud.url, alice.headers, voice_id=cloud_voice, format="pcm") as talk:
        talk.say("text", text=TEXT)
        talk.say("flush")
        talk.hear("flushed")
        talk.hear(len(talk.sound) + 1)
        talk.say("cancel")
        talk.hear("cancelled")
        talk.say("text", text="Bien sûr.")
        talk.say("stop")
        assert talk.hear_all() == 1000
    assert starts_at(stand_in) == 2


def test_a_failure_in_the_middle_is_charged_for_what_came(cloud, stand_in, alice, cloud_voice):
    before = credit_of(alice.user.pk).balance_micros
    stand_in.fail("close", where="live", code=1011, after=3)
    with talking(cloud.url, alice.headers, voice_id=cloud_voice, format="pcm") as talk:
        talk.say("text", text=LONG)
        talk.say("stop")
        assert talk.hear_all() == 1011
    assert (talk.events[-1]["event"], talk.events[-1]["code"]) == ("error", "engine_error")
    row = Generation.objects.get(user=alice.user)
    assert (row.status, row.failure) == ("partial", "engine_error")
    assert row.billed_characters < len(LONG)
    assert_nothing_lost(alice, before - row.cost_micros)


def test_a_refusal_upstream_costs_nothing(cloud, stand_in, alice, cloud_voice):
    before = credit_of(alice.user.pk).balance_micros
    stand_in.fail("status", where="live", status=402)
    with talking(cloud.url, alice.headers, voice_id=cloud_voice) as talk:
        talk.say("text", text=LONG)
        assert talk.hear_all() == 1011
    assert talk.events[-1]["code"] == "engine_unavailable"
    assert_nothing_lost(alice, before)


def test_a_voice_that_fish_does_not_know_is_not_found(cloud, alice):
    before = credit_of(alice.user.pk).balance_micros
    gone = Voice.objects.create(
        engine="fish", kind="adopted", owner=alice.user, reference={"id": "f" * 32}, title="Partie"
    )
    with talking(cloud.url, alice.headers, voice_id=gone.public_id) as talk:
        talk.say("text", text=LONG)
        assert talk.hear_all() == 4404
    assert talk.events[-1]["code"] == "voice_not_found"
    assert_nothing_lost(alice, before)


def test_who_leaves_gives_the_upstream_slot_back(cloud, stand_in, alice, cloud_voice):
    before = credit_of(alice.user.pk).balance_micros
    stand_in.state.switches.chunk_s = 0.05
    with talking(cloud.url, alice.headers, voice_id=cloud_voice, format="pcm") as talk:
        talk.say("text", text=LONG)
        talk.hear(1)
    assert_nothing_lost(alice, before - cost_once_settled(alice))
    until_no_slot_is_held()
