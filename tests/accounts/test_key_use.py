"""What opens the API and what does not."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.keys import generate_key
from accounts.models import ApiKey, User

URL = "/api/v1/voices/"


def assert_refused(response):
    assert response.status_code == 401
    assert response["Content-Type"] == "application/problem+json"
    assert response["WWW-Authenticate"].startswith("ApiKey")
    assert response.json()["code"] == "invalid_api_key"


def test_it_works(client, alice):
    assert client.get(URL, HTTP_X_API_KEY=alice.key).status_code == 200
    assert client.get(URL, HTTP_AUTHORIZATION=f"Bearer {alice.key}").status_code == 200


@pytest.mark.parametrize("raw", ["", "n’importe quoi", "fr02_live_" + "0" * 49, "x" * 10_000])
def test_garbage_is_refused(client, alice, raw):
    assert_refused(client.get(URL, headers={"X-API-Key": raw.encode().decode("latin-1")}))


def test_no_key_is_refused(client, db):
    assert_refused(client.get(URL))


def test_an_unknown_key_is_refused(client, alice):
    assert_refused(client.get(URL, HTTP_X_API_KEY=generate_key()))


def test_an_expired_key_is_refused(client, alice):
    ApiKey.objects.update(expires_at=timezone.now())
    assert_refused(client.get(URL, HTTP_X_API_KEY=alice.key))


def test_the_key_of_a_closed_account_is_refused(client, alice):
    User.objects.update(is_active=False)
    assert_refused(client.get(URL, HTTP_X_API_KEY=alice.key))


def test_a_key_in_the_address_is_not_looked_at(client, alice):
    assert_refused(client.get(URL, {"api_key": alice.key, "X-API-Key": alice.key}))


def test_a_typing_error_costs_no_query(client, alice, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert_refused(
            client.get(URL, HTTP_X_API_KEY=alice.key[:-1] + ("0" if alice.key[-1] != "0" else "1"))
        )


def test_last_use_is_noted_at_most_once_a_minute(client, alice):
    client.get(URL, HTTP_X_API_KEY=alice.key)
    first = ApiKey.objects.get().last_used_at
    client.get(URL, HTTP_X_API_KEY=alice.key)
    assert ApiKey.objects.get().last_used_at == first
    ApiKey.objects.update(last_used_at=first - timedelta(seconds=61))
    client.get(URL, HTTP_X_API_KEY=alice.key)
    assert ApiKey.objects.get().last_used_at > first


def test_the_portals_session_opens_with_its_token_only(alice):
    portal = Client(enforce_csrf_checks=True)
    portal.force_login(alice.user)
    assert portal.get(URL).status_code == 200
    portal.get("/developpeurs/")
    body, form = '{"text": "Bonjour."}', {"content_type": "application/json"}
    refusal = portal.post("/api/v1/tts/quote", body, **form)
    assert (refusal.status_code, refusal.json()["code"]) == (403, "forbidden")
    token = portal.cookies["csrftoken"].value
    assert portal.post("/api/v1/tts/quote", body, HTTP_X_CSRFTOKEN=token, **form).status_code == 200
