"""Nothing relies on one server: the same doors on uvicorn."""

import sys

import httpx
import pytest
from httpx_ws import WebSocketUpgradeError

from tests.servers import start_server
from tests.tts.talk import talking
from tests.tts.test_socket import BAD_MESSAGES, HELLO, assert_refused, listen, say
from tts.models import Generation

UVICORN = [sys.executable, "-m", "uvicorn", "fr02.asgi:application", "--port", "{port}", "--lifespan", "off"]


@pytest.fixture
def uvicorn_server(stage, media_dir, tmp_path):
    server = start_server(tmp_path, media_dir, UVICORN)
    yield server
    server.stop()


def test_it_works(uvicorn_server, alice):
    body = {"text": HELLO}
    answer = httpx.post(f"{uvicorn_server.url}/api/v1/tts", json=body, headers=alice.headers, timeout=30)
    assert answer.status_code == 200
    sounds, texts, closed = listen(uvicorn_server.url, alice.headers, say())
    assert (texts, closed) == ([], 1000)
    assert sum(map(len, sounds)) == Generation.objects.get(source="socket").size
    for name in ("malformed", "unknown voice", "65 KiB"):
        message, close_code, code = BAD_MESSAGES[name]
        assert_refused(listen(uvicorn_server.url, alice.headers, message), close_code, code)
    with pytest.raises(WebSocketUpgradeError) as refusal:
        listen(uvicorn_server.url, alice.headers | {"Origin": "http://["}, say())
    assert refusal.value.response.status_code == 403


def test_a_session(uvicorn_server, alice):
    with talking(uvicorn_server.url, alice.headers) as talk:
        talk.say("text", text=HELLO)
        talk.say("flush")
        talk.hear("flushed")
        talk.say("stop")
        assert talk.hear_all() == 1000
    assert len(talk.sound) == Generation.objects.get(source="socket").size
