"""The limits of an account, from outside: what an answer says of them, and what happens beyond."""

import contextlib
import json
from datetime import timedelta

import httpx
from django.conf import settings
from django.utils import timezone
from httpx_ws import connect_ws

from billing.models import Account
from billing.services import credit_of
from tests.tts.test_socket import PATH, listen, say
from tests.tts.test_speak import HELLO, assert_nothing_lost, assert_problem, speak
from tts import api_preview

PER_MINUTE = f'"requests";q={settings.REQUESTS_PER_MINUTE};w=60'


def left_of(response):
    """Return what the answer says is left of the minute, and in how many seconds all of it is there again."""
    assert response.headers["RateLimit-Policy"] == PER_MINUTE
    name, remaining, reset = response.headers["RateLimit"].split(";")
    assert name == '"requests"'
    return int(remaining.removeprefix("r=")), int(reset.removeprefix("t="))


def use_up_the_minute(person):
    credit_of(person.user.pk)
    Account.objects.filter(user=person.user).update(rate_at=timezone.now() + timedelta(seconds=65))


def test_it_works(server, alice):
    assert left_of(speak(server, alice, HELLO)) == (settings.REQUESTS_PER_MINUTE - 1, 1)
    Account.objects.filter(user=alice.user).update(rate_at=timezone.now() + timedelta(seconds=30))
    remaining, reset_s = left_of(speak(server, alice, HELLO, Accept="audio/*"))
    half = settings.REQUESTS_PER_MINUTE // 2
    assert half - 1 <= remaining < half + 50
    assert 25 <= reset_s <= 31


def test_an_answer_that_is_repeated_says_nothing_of_the_minute(server, alice):
    first = speak(server, alice, HELLO, **{"Idempotency-Key": "une-fois"})
    again = speak(server, alice, HELLO, **{"Idempotency-Key": "une-fois"})
    assert again.json()["id"] == first.json()["id"]
    assert "RateLimit" in first.headers and "RateLimit" not in again.headers


def test_too_many_requests(server, alice):
    use_up_the_minute(alice)
    before = credit_of(alice.user.pk).balance_micros
    response = speak(server, alice, HELLO)
    assert_problem(response, 429, "rate_limited")
    remaining, reset_s = left_of(response)
    assert remaining == 0
    assert 1 <= int(response.headers["Retry-After"]) <= 6 < reset_s <= 65
    assert response.json()["retry_after_s"] == int(response.headers["Retry-After"])
    assert_nothing_lost(alice, before)


def test_too_many_at_the_same_time(server, alice):
    credit_of(alice.user.pk)
    Account.objects.filter(user=alice.user).update(open_holds=settings.STREAMS_PER_ACCOUNT)
    response = speak(server, alice, HELLO)
    assert_problem(response, 429, "too_many_streams")
    assert response.headers["Retry-After"] == "1"
    policy = f'"streams";q={settings.STREAMS_PER_ACCOUNT};qu="concurrent-requests"'
    assert response.headers["RateLimit-Policy"] == policy
    assert response.headers["RateLimit"] == '"streams";r=0;t=1'


def test_too_many_requests_on_the_socket(server, alice):
    use_up_the_minute(alice)
    sounds, texts, close_code = listen(server.url, alice.headers, say(HELLO["text"]))
    assert (sounds, len(texts), close_code) == ([], 1, 4429)
    problem = json.loads(texts[0])
    assert problem["code"] == "rate_limited"
    assert 1 <= problem["retry_after_s"] <= 6


def test_too_many_sockets(server, alice):
    """After the upgrade: a browser learns nothing of a socket that is refused before it."""
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(httpx.Client(base_url=server.url))
        for _number in range(settings.SOCKETS_PER_ACCOUNT):
            stack.enter_context(connect_ws(PATH, client, headers=alice.headers))
        sounds, texts, close_code = listen(server.url, alice.headers)
    assert (sounds, len(texts), close_code) == ([], 1, 4429)
    assert json.loads(texts[0])["code"] == "too_many_streams"
    _sounds, texts, close_code = listen(server.url, alice.headers, say(HELLO["text"]))
    assert (texts, close_code) == ([], 1000)


def test_too_many_previews(stage, client, alice, monkeypatch):
    monkeypatch.setattr(api_preview, "PER_MINUTE", 0)
    body = {"blend": [{"voice_id": alice.starter_id, "weight": 1}]}
    response = client.post("/api/v1/tts/blend-preview", body, "application/json", headers=alice.headers)
    assert_problem(response, 429, "rate_limited")
    assert response.headers["Retry-After"] == "60"
    assert response.headers["RateLimit-Policy"] == '"blend-preview";q=0;w=60'
    assert response.headers["RateLimit"] == '"blend-preview";r=0;t=60'
