"""Sessions on `WS /api/v1/tts/stream`: text bit by bit, from outside, on a real daphne with the real model."""

import concurrent.futures
import contextlib
import itertools
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from django.utils import timezone

from billing.audit import check_books
from billing.ledger import adjust_credit
from billing.pricing import price_micros
from billing.services import credit_of
from tests.recogniser import plain_words, recognise
from tests.servers import start_server
from tests.tts.sound import measure
from tests.tts.talk import talking
from tests.tts.test_socket import assert_nothing_lost, cost_once_settled
from tts.models import Generation

TEXT = (
    "Bonjour à tous, je lis ce texte pendant qu’il s’écrit. Il fait beau ce matin ! Nous partons à la plage."
)
LONG = "Cette phrase est assez longue pour durer plusieurs secondes, vraiment. " * 10


@pytest.fixture(autouse=True)
def _books_are_right(stage):
    yield
    assert [finding for finding in check_books() if finding.drifts] == []


def tokens_of(text):
    """Cut a text as a language model writes it: a word, or a part of one, at a time."""
    return re.findall(r"\s?\S{1,4}|\s", text)


def stored_audio(server, person, row):
    item = httpx.get(f"{server.url}/api/v1/tts/history/{row.pk}", headers=person.headers).json()
    return httpx.get(item["audio_url"]).content


def row_of(person):
    return Generation.objects.get(user=person.user)


@pytest.mark.parametrize("audio_format", ["mp3", "wav", "pcm", "opus"])
def test_it_works(server, alice, audio_format):
    before = credit_of(alice.user.pk).balance_micros
    with talking(server.url, alice.headers, format=audio_format, voice_id=alice.starter_id) as talk:
        for token in tokens_of(TEXT):
            talk.say("text", text=token)
        talk.say("stop")
        assert talk.hear_all() == 1000
    row = row_of(alice)
    started, done = talk.events[0], talk.events[-1]
    assert (started["event"], started["id"], started["format"]) == ("started", str(row.pk), audio_format)
    assert (started["voice_id"], started["sample_rate"]) == (alice.starter_id, row.sample_rate)
    assert done == {
        "event": "done",
        "characters": len(TEXT),
        "cost_micros": price_micros(engine="kokoro", characters=len(TEXT)),
        "balance_micros": before - row.cost_micros,
        "duration_ms": row.duration_ms,
        "first_audio_ms": row.first_audio_ms,
    }
    assert (row.status, row.source, row.text, row.size) == ("done", "socket", TEXT, len(talk.sound))
    assert (row.characters, row.billed_characters) == (len(TEXT), len(TEXT))
    segments = [
        {name: event[name] for name in ("text", "start_ms", "end_ms")} for event in talk.named("segment")
    ]
    assert segments == row.segments
    assert " ".join(segment["text"] for segment in segments) == TEXT
    # Each begins where the one before it ends, to the rounding of a millisecond.
    assert all(abs(one["end_ms"] - two["start_ms"]) <= 1 for one, two in itertools.pairwise(segments))
    seconds, peak = measure(talk.sound, audio_format)
    assert seconds == pytest.approx(row.duration_ms / 1000, rel=0.05)
    assert peak > 0.05
    assert measure(stored_audio(server, alice, row), audio_format)[0] == pytest.approx(seconds, abs=0.01)
    assert_nothing_lost(alice, before - row.cost_micros)


def test_speech_begins_while_the_text_is_still_written(server, alice):
    with talking(server.url, alice.headers, format="wav") as talk:
        tokens = iter(tokens_of(TEXT))
        sent = ""
        while len(sent) < 35:
            sent += (token := next(tokens))
            talk.say("text", text=token)
        talk.hear(1)
        assert talk.named("segment")[0]["text"] == "Bonjour à tous,"
        for token in tokens:
            talk.say("text", text=token)
        talk.say("stop")
        assert talk.hear_all() == 1000
    words = plain_words(recognise(talk.sound))
    for heard in ("bonjour à tous", "beau ce matin", "la plage"):
        assert heard in words


def test_the_example_of_the_documentation(server, alice, tmp_path):
    docs = Path(__file__).resolve().parent.parent.parent / "docs" / "api.md"
    example = re.search(r"```python\n(import asyncio, json, websockets.*?)```", docs.read_text(), re.DOTALL)
    words = "async def words():\n    for word in ['Bonjour', ' à', ' tous.']:\n        yield word\n"
    script = f"{example[1]}\n{words}\nasyncio.run(speak(words()))\n"
    script = script.replace("fr02_live_…", alice.key)
    script = script.replace("ws://localhost:8000", server.url.replace("http", "ws"))
    said = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert "'event': 'done'" in said.stdout, said.stderr
    assert measure((tmp_path / "voix.mp3").read_bytes())[0] > 0.5


def test_a_flush_speaks_what_is_not_complete(server, alice):
    with talking(server.url, alice.headers, format="pcm") as talk:
        talk.say("text", text="Un moment")
        talk.say("flush")
        talk.hear("flushed")
        seconds, peak = measure(talk.sound, "pcm")
        assert seconds > 0.5
        assert peak > 0.05
        # Its last tenths of a second are silence: no word waits in the encoder.
        assert measure(talk.sound[-4800:], "pcm")[1] < 0.02
        talk.say("flush")
        talk.hear("flushed")
        talk.say("text", text=", je cherche.")
        talk.say("stop")
        assert talk.hear_all() == 1000
    assert row_of(alice).text == "Un moment, je cherche."
    assert talk.events[-1]["characters"] == len("Un moment, je cherche.")


def test_a_flush_before_any_text_is_answered(server, alice):
    with talking(server.url, alice.headers) as talk:
        talk.say("flush")
        talk.hear("flushed")
        talk.say("stop")
        assert talk.hear_all() == 1000
    assert [event["event"] for event in talk.events] == ["started", "flushed", "done"]


@pytest.mark.parametrize("audio_format", ["mp3", "wav", "pcm", "opus"])
def test_a_cancel_stops_the_speech_and_the_session_goes_on(server, alice, audio_format):
    before = credit_of(alice.user.pk).balance_micros
    with talking(server.url, alice.headers, format=audio_format) as talk:
        talk.say("text", text=LONG)
        talk.hear(1)
        talk.say("cancel")
        talk.hear("cancelled")
        heard = len(talk.sound)
        talk.say("text", text="Bien sûr, je recommence.")
        talk.say("stop")
        assert talk.hear_all() == 1000
    row = row_of(alice)
    assert talk.events[-1]["event"] == "done"
    assert row.status == "done"
    assert row.text.endswith("Bien sûr, je recommence.")
    assert LONG.startswith(row.text.removesuffix("Bien sûr, je recommence."))
    assert row.billed_characters == row.characters == len(row.text) < len(LONG) / 2
    assert 0 < heard < row.size == len(talk.sound)
    assert row.segments[-1]["text"] == "Bien sûr, je recommence."
    assert row.segments[-2]["end_ms"] <= row.segments[-1]["start_ms"]
    assert measure(talk.sound, audio_format)[0] == pytest.approx(row.duration_ms / 1000, rel=0.08)
    if audio_format != "pcm":
        assert "recommence" in plain_words(recognise(stored_audio(server, alice, row)))
    assert_nothing_lost(alice, before - row.cost_micros)


def test_a_cancel_after_stop_ends_the_session(server, alice):
    with talking(server.url, alice.headers, format="pcm") as talk:
        talk.say("text", text=LONG)
        talk.say("stop")
        talk.hear(1)
        talk.say("cancel")
        assert talk.hear_all() == 1000
    assert [event["event"] for event in talk.events[-2:]] == ["cancelled", "done"]
    row = row_of(alice)
    assert row.status == "done"
    assert 0 < row.billed_characters < len(LONG) / 2


def test_a_cancel_when_all_was_said_goes_on_with_the_same_file(server, alice):
    with talking(server.url, alice.headers, format="opus") as talk:
        talk.say("text", text="Oui, bien sûr.")
        talk.say("flush")
        talk.hear("flushed")
        talk.say("cancel")
        talk.hear("cancelled")
        talk.say("text", text=" Et voilà.")
        talk.say("stop")
        assert talk.hear_all() == 1000
    assert talk.sound.count(b"OpusHead") == 1
    assert row_of(alice).text == "Oui, bien sûr. Et voilà."


def test_no_text_at_all_costs_nothing(server, alice):
    before = credit_of(alice.user.pk).balance_micros
    with talking(server.url, alice.headers) as talk:
        talk.say("text", text=" ")
        talk.say("stop")
        assert talk.hear_all() == 1000
    assert (talk.events[-1]["characters"], talk.events[-1]["cost_micros"]) == (0, 0)
    assert talk.sound == b""
    row = row_of(alice)
    assert (row.status, row.text, row.audio_name) == ("done", "", "")
    assert_nothing_lost(alice, before)


def test_letters_and_their_accents_may_come_apart(server, alice):
    with talking(server.url, alice.headers) as talk:
        for part in ("Un e", "\u0301te", "\u0301."):
            talk.say("text", text=part)
        talk.say("stop")
        assert talk.hear_all() == 1000
    assert row_of(alice).text == "Un été."
    assert talk.events[-1]["characters"] == len("Un été.")


def test_what_is_ignored_is_said(server, alice):
    with talking(server.url, alice.headers, temperature=1.2, fallback="local") as talk:
        talk.say("stop")
        assert talk.hear_all() == 1000
    codes = [event["code"] for event in talk.named("warning")]
    assert codes == ["temperature_ignored", "fallback_ignored"]


def test_no_credit(server, charlie):
    leave_credit(charlie, 0)
    with talking(server.url, charlie.headers) as talk:
        assert talk.hear_all() == 4402
    assert [(event["event"], event["code"]) for event in talk.events] == [("error", "insufficient_credit")]


def test_credit_that_ends_in_the_middle(server, charlie):
    said = "Bonjour à tous."
    enough = price_micros(engine="kokoro", characters=len(said))
    leave_credit(charlie, enough)
    with talking(server.url, charlie.headers, format="mp3") as talk:
        talk.say("text", text=said)
        talk.say("flush")
        talk.hear("flushed")
        talk.say("text", text=LONG)
        assert talk.hear_all() == 4402
    error, row = talk.events[-1], row_of(charlie)
    assert (error["event"], error["code"], error["available_micros"]) == ("error", "insufficient_credit", 0)
    assert error["required_micros"] > 0
    assert (row.status, row.failure, row.text) == ("partial", "insufficient_credit", said)
    assert row.cost_micros == enough
    assert len(stored_audio(server, charlie, row)) == row.size == len(talk.sound)
    assert_nothing_lost(charlie, 0)


def leave_credit(person, micros):
    credit = credit_of(person.user.pk)
    adjust_credit(
        user_id=person.user.pk,
        amount_micros=micros - credit.balance_micros,
        reason="Essai",
        actor_id=person.user.pk,
    )


def test_a_client_who_leaves_pays_for_what_was_sent(server, alice):
    before = credit_of(alice.user.pk).balance_micros
    with talking(server.url, alice.headers, format="pcm") as talk:
        talk.say("text", text=LONG)
        talk.hear(1)
    assert_nothing_lost(alice, before - cost_once_settled(alice))
    row = row_of(alice)
    assert (row.status, row.failure) == ("partial", "client_left")
    assert 0 < row.billed_characters < row.characters / 2


def test_who_leaves_at_any_moment_leaves_nothing_open(server, alice):
    before = credit_of(alice.user.pk).balance_micros
    for messages in ([], [{"text": "Bonjour à tous. Et"}], [{"text": LONG}], [{"text": LONG}, {}]):
        with talking(server.url, alice.headers) as talk:
            for message in messages:
                talk.say("text" if message else "cancel", **message)
    assert_nothing_lost(alice, before - cost_once_settled(alice))


def test_a_revoked_key_ends_its_session(server, alice):
    before = credit_of(alice.user.pk).balance_micros
    with talking(server.url, alice.headers) as talk:
        talk.say("text", text="Bonjour à tous. ")
        talk.say("flush")
        talk.hear("flushed")
        alice.user.api_keys.update(revoked_at=timezone.now())
        assert talk.hear_all(timeout=10) == 1008
    assert (talk.events[-1]["event"], talk.events[-1]["code"]) == ("error", "invalid_api_key")
    assert_nothing_lost(alice, before - cost_once_settled(alice))
    assert row_of(alice).status == "partial"


@pytest.fixture
def impatient(stage, media_dir, tmp_path):
    own = start_server(tmp_path, media_dir, SOCKET_IDLE_SECONDS="4")
    yield own
    own.stop()


def test_a_session_that_falls_silent_is_closed(impatient, alice):
    before = credit_of(alice.user.pk).balance_micros
    with talking(impatient.url, alice.headers) as talk:
        for _ in range(4):
            time.sleep(1.2)
            talk.say("text", text="Bonjour à tous. ")
        talk.say("flush")
        talk.hear("flushed")
        assert talk.hear_all(timeout=10) == 1008
    assert (talk.events[-1]["event"], talk.events[-1]["code"]) == ("error", "idle_timeout")
    row = row_of(alice)
    assert (row.status, row.failure, row.text) == ("partial", "idle_timeout", "Bonjour à tous. " * 4)
    assert_nothing_lost(alice, before - row.cost_micros)


def test_sessions_beyond_what_the_engine_can_do_are_refused(server, alice):
    """Many sessions at once: each has its first sound, or is refused before it."""
    before = credit_of(alice.user.pk).balance_micros

    def begin(_number):
        with talking(server.url, alice.headers, format="pcm") as talk:
            talk.say("text", text=LONG * 4)
            talk.say("stop")
            with contextlib.suppress(AssertionError):
                talk.hear(1)
                talk.say("cancel")
            talk.hear_all()
            return talk

    with concurrent.futures.ThreadPoolExecutor(10) as threads:
        talks = list(threads.map(begin, range(10)))
    refused = [talk for talk in talks if talk.code == 1013]
    assert refused
    assert all((talk.events[-1]["code"], talk.sound) == ("engine_busy", b"") for talk in refused)
    heard = [talk for talk in talks if talk.code == 1000]
    assert len(heard) + len(refused) == 10
    assert all(talk.sound and talk.events[-1]["characters"] < len(LONG) for talk in heard)
    assert_nothing_lost(alice, before - cost_once_settled(alice))
