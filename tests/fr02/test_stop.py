"""A server that is told to stop ends by itself, with a good exit code, whatever it is doing."""

import contextlib
import threading

import httpx
import pytest
from httpx_ws import connect_ws

from billing.models import Hold
from tests.servers import start_server
from tests.tts.test_socket import PATH, say
from tests.tts.test_speak import URL
from tts.models import Generation

TEXT = "Voici une phrase assez longue pour durer, vraiment. " * 30
ABORTED = "terminate called"


@pytest.fixture
def stopping(stage, media_dir, tmp_path):
    server = start_server(tmp_path, media_dir)
    yield server
    server.stop()


def stop(server):
    server.process.terminate()
    assert server.process.wait(10) == 0, server.log.read_text()
    log = server.log.read_text()
    assert ABORTED not in log
    assert "Traceback" not in log


def test_it_works(stopping, alice):
    """The model speaks on every core at the moment of the signal."""
    heard = threading.Barrier(4)

    def listen():
        with (
            contextlib.suppress(httpx.TransportError),
            httpx.stream(
                "POST",
                stopping.url + URL,
                json={"text": TEXT, "format": "pcm"},
                headers=alice.headers | {"Accept": "audio/*"},
                timeout=60,
            ) as response,
        ):
            for number, _data in enumerate(response.iter_bytes()):
                if number == 0:
                    heard.wait(60)

    listeners = [threading.Thread(target=listen) for _number in range(3)]
    for listener in listeners:
        listener.start()
    heard.wait(60)
    stop(stopping)
    for listener in listeners:
        listener.join(10)
        assert not listener.is_alive()


def test_what_was_delivered_is_settled_before_the_end(stopping, alice):
    with httpx.Client(base_url=stopping.url, timeout=60) as client:
        ask = {"url": URL, "json": {"text": TEXT, "format": "pcm"}}
        headers = alice.headers | {"Accept": "audio/*"}
        with client.stream("POST", **ask, headers=headers) as response:
            next(response.iter_bytes())
            with connect_ws(PATH, client, headers=alice.headers) as socket:
                socket.send_text(say(TEXT, format="pcm"))
                socket.receive_bytes(timeout=30)
                stop(stopping)
    assert not Hold.objects.open().exists()
    rows = Generation.objects.filter(user=alice.user).values_list("status", "failure")
    assert list(rows) == [("partial", "client_left")] * 2


def test_while_the_model_is_being_loaded(stopping):
    stop(stopping)
