"""How large a body may be, at every door that takes JSON."""

import http.client
import json

import pytest

JSON_DOORS = [
    "/api/v1/tts/",
    "/api/v1/tts/quote",
    "/api/v1/tts/blend-preview",
    "/api/v1/voices/",
    "/api/v1/voices/adopt",
]


def assert_too_large(status, answer, limit):
    assert (status, answer["code"], answer["limit_bytes"]) == (413, "file_too_large", limit)
    assert answer["detail"] == f"Le corps de la requête dépasse {limit // 1024} Kio."


@pytest.mark.parametrize("door", JSON_DOORS)
def test_it_works(stage, client, alice, settings, door):
    """JSON of more than 256 KiB is refused before it is parsed, where recordings come too."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    for body, is_refused in (
        (b'{"text": "' + b"x" * limit + b'"}', True),
        (b" " * (limit - 1) + b"1", False),
    ):
        answer = client.post(door, body, content_type="application/json", headers=alice.headers)
        if is_refused:
            assert_too_large(answer.status_code, answer.json(), limit)
        else:
            assert answer.json()["code"] != "file_too_large"


def test_only_a_form_may_carry_recordings(server, alice):
    """Two megabytes of JSON are not even received."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.putrequest("POST", "/api/v1/voices/")
    connection.putheader("X-API-Key", alice.key)
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(2 * 2**20))
    connection.endheaders()
    answer = connection.getresponse()
    assert_too_large(answer.status, json.loads(answer.read()), 2**20)
    connection.close()
