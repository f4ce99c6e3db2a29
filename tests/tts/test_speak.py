"""`POST /api/v1/tts/`, from outside, on a real server."""

import io
import json
import time
import wave
from decimal import Decimal
from urllib.parse import urlsplit

import httpx
import pytest
from django.utils import timezone

from accounts.keys import generate_key
from billing.ledger import adjust_credit
from billing.models import Hold
from billing.services import credit_of
from tests.tts.sound import measure
from tts.audio.wav import HEADER_BYTES
from tts.models import Generation

URL = "/api/v1/tts/"
HELLO = {"text": "Bonjour à tous, il est quinze heures trente."}
# What no customer may ever read.
INSIDE = ("Traceback", 'File "', ".py", "django", "psycopg", "SELECT ")


def speak(server, person, body, **headers):
    return httpx.post(server.url + URL, json=body, headers=person.headers | headers, timeout=60)


def assert_problem(response, status, code):
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/problem+json")
    problem = response.json()
    assert problem["code"] == code
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["X-Request-Id"]
    assert problem["detail"]
    assert not any(word in response.text for word in INSIDE)
    return problem


def assert_nothing_lost(person, balance_micros):
    """No credit gone, none held, no row in limbo."""
    credit = credit_of(person.user.pk)
    assert (credit.balance_micros, credit.held_micros) == (balance_micros, 0)
    assert not Generation.objects.filter(user=person.user, status="pending").exists()
    assert not Hold.objects.open().exists()


def test_it_works(server, alice):
    before = credit_of(alice.user.pk).balance_micros
    response = speak(server, alice, HELLO)
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {
        *(
            "id",
            "status",
            "voice_id",
            "format",
            "sample_rate",
            "duration_ms",
            "size",
            "characters",
            "cost_micros",
        ),
        *("balance_micros", "audio_url", "audio_url_expires_at", "warnings", "created_at"),
    }
    assert (body["status"], body["format"], body["characters"]) == ("done", "mp3", len(HELLO["text"]))
    assert body["cost_micros"] > 0
    assert body["balance_micros"] == before - body["cost_micros"] == credit_of(alice.user.pk).balance_micros
    audio = httpx.get(body["audio_url"])
    assert audio.headers["Content-Type"] == "audio/mpeg"
    assert len(audio.content) == body["size"]
    seconds, peak = measure(audio.content)
    assert seconds == pytest.approx(body["duration_ms"] / 1000, rel=0.05)
    assert 1.5 < seconds < 6
    assert peak > 0.05
    row = Generation.objects.get(pk=body["id"])
    assert (row.status, row.source, row.billed_characters, row.api_key.user) == (
        "done",
        "rest",
        44,
        alice.user,
    )
    assert row.segments[0]["start_ms"] == 0
    assert " ".join(segment["text"] for segment in row.segments) == HELLO["text"]


@pytest.mark.parametrize("audio_format", ["mp3", "wav", "pcm", "opus"])
def test_it_streams_every_format(server, alice, audio_format):
    body = HELLO | {"format": audio_format}
    with httpx.stream(
        "POST", server.url + URL, json=body, headers=alice.headers | {"Accept": "audio/*"}
    ) as response:
        assert response.status_code == 200
        data = b"".join(response.iter_raw())
    row = Generation.objects.get(pk=response.headers["X-Generation-Id"])
    assert response.headers["X-Characters"] == "44"
    assert response.headers["X-Cost-Micros"] == str(row.cost_micros)
    deadline = time.monotonic() + 5
    while row.status == "pending" and time.monotonic() < deadline:
        row.refresh_from_db()
    assert row.status == "done"
    assert row.size == len(data)
    seconds, peak = measure(data, audio_format)
    assert seconds == pytest.approx(row.duration_ms / 1000, rel=0.05)
    assert peak > 0.05
    stored = httpx.get(
        httpx.get(f"{server.url}/api/v1/tts/history", headers=alice.headers).json()["history"][0]["audio_url"]
    )
    assert measure(stored.content, audio_format)[0] == pytest.approx(seconds, rel=0.01)


def test_both_spellings_answer(server, alice):
    for path in ("/api/v1/tts", "/api/v1/tts/"):
        assert (
            httpx.post(
                server.url + path, json={"text": "Oui."}, headers=alice.headers, timeout=30
            ).status_code
            == 200
        )


def test_bearer_is_accepted(server, alice):
    response = httpx.post(
        server.url + URL, json={"text": "Oui."}, headers={"Authorization": f"Bearer {alice.key}"}, timeout=30
    )
    assert response.status_code == 200


BAD_BODIES = {
    "no text": ({}, 400, "invalid_request", "/text"),
    "null text": ({"text": None}, 400, "invalid_request", "/text"),
    "empty": ({"text": ""}, 400, "invalid_request", "/text"),
    "spaces only": ({"text": " \u00a0\u202f\n"}, 400, "invalid_request", "/text"),
    "number as text": ({"text": 12}, 400, "invalid_request", "/text"),
    "nothing to say": ({"text": "…!"}, 400, "invalid_request", "/text"),
    "2001 characters": ({"text": "a" * 2001}, 413, "text_too_long", "/text"),
    "unknown field": ({"text": "a", "vitesse": 1}, 400, "invalid_request", "/vitesse"),
    "unknown field with signs": ({"text": "a", "a/b~c": 1}, 400, "invalid_request", "/a~1b~0c"),
    "unknown format": ({"text": "a", "format": "flac"}, 400, "invalid_request", "/format"),
    "null format": ({"text": "a", "format": None}, 400, "invalid_request", "/format"),
    "speed too high": ({"text": "a", "speed": 2.01}, 400, "invalid_request", "/speed"),
    "speed too low": ({"text": "a", "speed": 0.49}, 400, "invalid_request", "/speed"),
    "speed as text": ({"text": "a", "speed": "1"}, 400, "invalid_request", "/speed"),
    "speed as boolean": ({"text": "a", "speed": True}, 400, "invalid_request", "/speed"),
    "volume": ({"text": "a", "volume": 20.5}, 400, "invalid_request", "/volume"),
    "temperature": ({"text": "a", "temperature": 0}, 400, "invalid_request", "/temperature"),
    "latency": ({"text": "a", "latency": "fast"}, 400, "invalid_request", "/latency"),
    "voice as number": ({"text": "a", "voice_id": 7}, 400, "invalid_request", "/voice_id"),
    "unknown voice": ({"text": "a", "voice_id": "0" * 32}, 404, "voice_not_found", "/voice_id"),
    "odd voice": ({"text": "a", "voice_id": "../etc"}, 404, "voice_not_found", "/voice_id"),
    "a list": ([1], 400, "invalid_request", None),
    "speed beyond floats": ({"text": "a", "speed": 10**400}, 400, "invalid_request", "/speed"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_bad_bodies(server, alice, name):
    body, status, code, pointer = BAD_BODIES[name]
    before = credit_of(alice.user.pk).balance_micros
    problem = assert_problem(speak(server, alice, body), status, code)
    if pointer:
        assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert_nothing_lost(alice, before)


RAW_BODIES = {
    "malformed": b'{"text": ',
    "NaN": b'{"text": "a", "speed": NaN}',
    "infinity": b'{"text": "a", "speed": Infinity}',
    "overflowing number": b'{"text": "a", "speed": 1e999}',
    "lone surrogate": b'{"text": "a\\ud800b"}',
    "lone surrogate as a name": b'{"text": "a", "\\ud800": 1}',
    "NUL": b'{"text": "a\\u0000b"}',
    "not UTF-8": b'{"text": "\xff\xfe"}',
    "bottomless": b'{"text": ' + b"[" * 50_000,
    "endless integer": b'{"text": "a", "speed": ' + b"9" * 10_000 + b"}",
    "empty body": b"",
}


@pytest.mark.parametrize("name", RAW_BODIES)
def test_raw_bodies(server, alice, name):
    headers = alice.headers | {"Content-Type": "application/json"}
    before = credit_of(alice.user.pk).balance_micros
    response = httpx.post(server.url + URL, content=RAW_BODIES[name], headers=headers, timeout=30)
    assert_problem(response, 400, "invalid_request")
    assert_nothing_lost(alice, before)


def test_ten_megabytes(server, alice):
    started = time.monotonic()
    response = speak(server, alice, {"text": "a" * 10_000_000})
    assert_problem(response, 413, "file_too_large")
    assert time.monotonic() - started < 10
    assert_nothing_lost(alice, credit_of(alice.user.pk).balance_micros)


BAD_KEYS = {
    "none": {},
    "garbage": {"X-API-Key": "n'importe quoi"},
    "endless": {"X-API-Key": "fr02_live_" + "a" * 5000},
    "SQL": {"X-API-Key": "' OR 1=1; SELECT pg_sleep(10) --"},
    "well formed, unknown": {"X-API-Key": "unknown"},
    "in the address": {},
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_bad_keys(server, alice, name):
    headers = {
        key: generate_key() if value == "unknown" else value.encode() for key, value in BAD_KEYS[name].items()
    }
    query = f"?api_key={alice.key}" if name == "in the address" else ""
    response = httpx.post(server.url + URL + query, json=HELLO, headers=headers)
    assert_problem(response, 401, "invalid_api_key")


def test_revoked_and_expired_keys(server, alice, bob):
    now = timezone.now()
    alice.user.api_keys.update(revoked_at=now)
    bob.user.api_keys.update(expires_at=now)
    revoked, expired = speak(server, alice, HELLO), speak(server, bob, HELLO)
    assert_problem(revoked, 401, "invalid_api_key")
    assert_problem(expired, 401, "invalid_api_key")
    assert revoked.json() | {"request_id": ""} == expired.json() | {"request_id": ""}


def test_somebody_elses_voice(server, alice, bob):
    response = speak(server, alice, HELLO | {"voice_id": bob.starter_id})
    assert_problem(response, 404, "voice_not_found")


def test_no_credit(server, charlie, settings):
    credit = credit_of(charlie.user.pk)
    adjust_credit(
        user_id=charlie.user.pk,
        amount_micros=-credit.balance_micros,
        reason="Essai",
        actor_id=charlie.user.pk,
    )
    problem = assert_problem(speak(server, charlie, HELLO), 402, "insufficient_credit")
    assert problem["required_micros"] > 0
    assert problem["available_micros"] == 0
    assert_nothing_lost(charlie, 0)


def test_other_methods(server, alice):
    response = httpx.get(server.url + URL, headers=alice.headers)
    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == "POST"


def test_a_client_who_leaves_pays_for_what_was_sent(server, alice):
    text = "Cette phrase est assez longue pour durer plusieurs secondes, vraiment. " * 20
    before = credit_of(alice.user.pk).balance_micros
    body = {"text": text, "format": "pcm"}
    with httpx.stream(
        "POST", server.url + URL, json=body, headers=alice.headers | {"Accept": "audio/*"}, timeout=60
    ) as response:
        next(response.iter_raw())
    row = Generation.objects.get(pk=response.headers["X-Generation-Id"])
    deadline = time.monotonic() + 10
    while row.status == "pending" and time.monotonic() < deadline:
        time.sleep(0.05)
        row.refresh_from_db()
    assert (row.status, row.failure) == ("partial", "client_left")
    assert 0 < row.billed_characters < row.characters
    assert_nothing_lost(alice, before - row.cost_micros)
    assert (
        Decimal(row.cost_micros) / row.billed_characters
        == Decimal(int(response.headers["X-Cost-Micros"])) / row.characters
    )


def test_idempotency(server, alice):
    before = credit_of(alice.user.pk).balance_micros
    first = speak(server, alice, HELLO, **{"Idempotency-Key": "commande-7"})
    again = speak(server, alice, HELLO, **{"Idempotency-Key": "commande-7"})
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert Generation.objects.filter(user=alice.user).count() == 1
    assert_nothing_lost(alice, before - first.json()["cost_micros"])
    other = speak(server, alice, {"text": "Autre chose."}, **{"Idempotency-Key": "commande-7"})
    assert_problem(other, 409, "idempotency_conflict")


def test_an_idempotency_key_of_another_account_is_its_own(server, alice, bob):
    first = speak(server, alice, {"text": "Oui."}, **{"Idempotency-Key": "k"}).json()
    second = speak(server, bob, {"text": "Oui."}, **{"Idempotency-Key": "k"}).json()
    assert first["id"] != second["id"]


def test_a_bad_idempotency_key(server, alice):
    assert_problem(speak(server, alice, HELLO, **{"Idempotency-Key": "a" * 256}), 400, "invalid_request")


def test_quote_is_exact(server, alice):
    quote = httpx.post(f"{server.url}/api/v1/tts/quote", json=HELLO, headers=alice.headers).json()
    spoken = speak(server, alice, HELLO).json()
    assert quote["cost_micros"] == spoken["cost_micros"]
    assert quote["balance_after_micros"] == spoken["balance_micros"]
    assert json.dumps(quote)


@pytest.mark.parametrize("path", ["/api/v1/tts/quote", "/api/v1/voices/"])
@pytest.mark.parametrize("name", ["bottomless", "lone surrogate as a name", "NaN"])
def test_raw_bodies_at_the_other_doors(server, alice, path, name):
    headers = alice.headers | {"Content-Type": "application/json"}
    assert_problem(
        httpx.post(server.url + path, content=RAW_BODIES[name], headers=headers), 400, "invalid_request"
    )


def test_a_stored_wav_has_its_real_sizes(server, alice):
    spoken = speak(server, alice, HELLO | {"format": "wav"}).json()
    stored = httpx.get(spoken["audio_url"]).content
    with wave.open(io.BytesIO(stored)) as audio:
        assert audio.getnframes() * 2 == len(stored) - HEADER_BYTES
    assert int.from_bytes(stored[4:8], "little") == len(stored) - 8 == spoken["size"] - 8


def test_the_link_is_signed(server, alice):
    url = speak(server, alice, {"text": "Oui."}).json()["audio_url"]
    parts = urlsplit(url)
    assert httpx.get(url, headers={"Range": "bytes=0-99"}).status_code == 206
    for tampered in (
        url[:-1] + ("A" if url[-1] != "A" else "B"),
        url.replace("expires=1", "expires=2"),
        url.replace(parts.path, parts.path.replace(".mp3", ".wav")),
        url.split("?")[0],
        url + "0",
    ):
        assert_problem(httpx.get(tampered), 403, "forbidden")
