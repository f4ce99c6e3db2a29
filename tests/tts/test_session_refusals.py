"""What a session on the socket refuses, and that nothing is lost then."""

import asyncio
import json

import pytest

from billing.services import credit_of
from fr02.errors import RateLimited
from tests.tts.talk import talking
from tests.tts.test_session import LONG, row_of, stored_audio
from tests.tts.test_socket import assert_nothing_lost, listen
from tts.consumers import SpeechConsumer
from tts.conversation import SILENT_CHARS
from tts.session_messages import MAX_WAITING, Inbox

START = json.dumps({"event": "start"})
FIRST_MESSAGES = {
    "text before start": ({"event": "text", "text": "Oui."}, 4400, "invalid_request"),
    "stop before start": ({"event": "stop"}, 4400, "invalid_request"),
    "unknown event": ({"event": "begin"}, 4400, "invalid_request"),
    "event of another type": ({"event": 1}, 4400, "invalid_request"),
    "start with text": ({"event": "start", "text": "Oui."}, 4400, "invalid_request"),
    "unknown field": ({"event": "start", "speaker": 1}, 4400, "invalid_request"),
    "out of range": ({"event": "start", "speed": 3}, 4400, "invalid_request"),
    "unknown voice": ({"event": "start", "voice_id": "f" * 32}, 4404, "voice_not_found"),
}
LATER_MESSAGES = {
    "a second start": ({"event": "start"}, 4400, "invalid_request"),
    "unknown event": ({"event": "pause"}, 4400, "invalid_request"),
    "no event": ({"text": "Oui."}, 4400, "invalid_request"),
    "event of another type": ({"event": ["text"]}, 4400, "invalid_request"),
    "not an object": (["text"], 4400, "invalid_request"),
    "malformed": ("{", 4400, "invalid_request"),
    "binary": (b'{"event": "stop"}', 4400, "invalid_request"),
    "text without text": ({"event": "text"}, 4400, "invalid_request"),
    "text of another type": ({"event": "text", "text": 5}, 4400, "invalid_request"),
    "null text": ({"event": "text", "text": None}, 4400, "invalid_request"),
    "surrogate": ('{"event": "text", "text": "\\udfff"}', 4400, "invalid_request"),
    "unknown field": ({"event": "flush", "now": True}, 4400, "invalid_request"),
    "text on stop": ({"event": "stop", "text": "Oui."}, 4400, "invalid_request"),
    "10001 characters": ({"event": "text", "text": "a" * 10_001}, 4413, "text_too_long"),
    "65 KiB": ({"event": "text", "text": "", "x": "b" * 65 * 1024}, 4413, "file_too_large"),
}


def sent(message):
    return message if isinstance(message, str | bytes) else json.dumps(message)


def assert_error(text, code):
    error = json.loads(text)
    assert (error["event"], error["code"]) == ("error", code)
    assert error["detail"]
    assert error["request_id"]
    assert "Traceback" not in text


@pytest.mark.parametrize("name", FIRST_MESSAGES)
def test_bad_first_messages(server, alice, name):
    message, close_code, code = FIRST_MESSAGES[name]
    before = credit_of(alice.user.pk).balance_micros
    sounds, texts, closed = listen(server.url, alice.headers, sent(message))
    assert (sounds, len(texts), closed) == ([], 1, close_code)
    assert_error(texts[0], code)
    assert_nothing_lost(alice, before)


@pytest.mark.parametrize("name", LATER_MESSAGES)
def test_bad_later_messages(server, alice, name):
    message, close_code, code = LATER_MESSAGES[name]
    before = credit_of(alice.user.pk).balance_micros
    sounds, texts, closed = listen(server.url, alice.headers, START, sent(message))
    assert (sounds, closed) == ([], close_code)
    assert_error(texts[-1], code)
    row = row_of(alice)
    assert (row.status, row.failure, row.cost_micros) == ("failed", code, 0)
    assert_nothing_lost(alice, before)


@pytest.mark.parametrize(
    "late", [{"event": "text", "text": "Encore."}, {"event": "flush"}, {"event": "stop"}]
)
def test_only_cancel_may_follow_stop(server, alice, late):
    with talking(server.url, alice.headers, format="pcm") as talk:
        talk.say("text", text=LONG)
        talk.say("stop")
        talk.say(**late)
        assert talk.hear_all() == 4400
    assert "cancel" in talk.events[-1]["detail"]
    assert_nothing_lost(alice, credit_of(alice.user.pk).balance_micros)


def test_messages_do_not_pile_up():
    """A client cannot make the session wait long enough for this from outside: the inbox itself is asked."""
    inbox = Inbox()
    for _ in range(MAX_WAITING):
        inbox.put({"event": "flush"})
    with pytest.raises(RateLimited):
        inbox.put({"event": "flush"})


def test_nothing_to_say(server, alice):
    before = credit_of(alice.user.pk).balance_micros
    with talking(server.url, alice.headers) as talk:
        talk.say("text", text="?! …")
        talk.say("stop")
        assert talk.hear_all() == 4400
    assert talk.events[-1]["code"] == "invalid_request"
    assert_nothing_lost(alice, before)


def test_the_text_of_a_session_is_limited_as_a_whole(server, alice):
    with talking(server.url, alice.headers, format="pcm") as talk:
        talk.say("text", text="Bonjour à tous. ")
        talk.say("flush")
        talk.hear("flushed")
        talk.say("text", text="a" * 9_985)
        assert talk.hear_all() == 4413
    row = row_of(alice)
    assert talk.events[-1]["limit_characters"] == 10_000
    assert (row.status, row.failure) == ("partial", "text_too_long")
    assert row.billed_characters == len("Bonjour à tous.") + 1
    assert len(stored_audio(server, alice, row)) == len(talk.sound)


def test_signs_that_nobody_can_speak_are_not_kept_for_ever(server, alice):
    with talking(server.url, alice.headers) as talk:
        for _ in range(90):
            talk.say("text", text="…!" * 50)
        talk.say("text", text=" Bonjour.")
        talk.say("stop")
        assert talk.hear_all() == 1000
    row = row_of(alice)
    assert row.text.endswith(" Bonjour.")
    assert row.characters == len(row.text) <= SILENT_CHARS + len(" Bonjour.")


def test_a_session_that_breaks_at_its_first_word_leaves_nothing_open(stage, alice):
    before = credit_of(alice.user.pk).balance_micros

    async def talk():
        messages = asyncio.Queue()
        messages.put_nowait({"type": "websocket.connect"})
        messages.put_nowait({"type": "websocket.receive", "text": START})

        async def send(message):
            if message["type"] != "websocket.accept":
                messages.put_nowait({"type": "websocket.disconnect", "code": 1006})
                raise ConnectionError("the client has left")

        headers = [(b"x-api-key", alice.key.encode())]
        await SpeechConsumer.as_asgi()({"type": "websocket", "headers": headers}, messages.get, send)

    asyncio.run(talk())
    assert_nothing_lost(alice, before)
    assert (row_of(alice).status, row_of(alice).failure) == ("failed", "client_left")
