"""Revoking a key on the portal: `POST /developpeurs/cles/<id>/revoquer`."""

import uuid

from django.test import Client

from accounts.models import ApiKey
from accounts.services import create_api_key


def revoke(client: Client, key_id: uuid.UUID):
    return client.post(f"/developpeurs/cles/{key_id}/revoquer")


def test_it_works(client, alice):
    client.force_login(alice.user)
    key, secret = create_api_key(user=alice.user, name="Perdue")
    assert Client().get("/api/v1/voices/", HTTP_X_API_KEY=secret).status_code == 200
    assert revoke(client, key.pk).status_code == 302
    refusal = Client().get("/api/v1/voices/", HTTP_X_API_KEY=secret)
    assert (refusal.status_code, refusal.json()["code"]) == (401, "invalid_api_key")
    assert Client().get("/api/v1/voices/", HTTP_X_API_KEY=alice.key).status_code == 200


def test_the_list_says_so_and_offers_nothing_more(client, alice):
    client.force_login(alice.user)
    key = ApiKey.objects.get()
    revoke(client, key.pk)
    page = client.get("/developpeurs/cles").content.decode()
    assert "Révoquée" in page
    assert f"/developpeurs/cles/{key.pk}/revoquer" not in page


def test_it_says_which_key_is_revoked(client, alice):
    client.force_login(alice.user)
    key, _secret = create_api_key(user=alice.user, name="Perdue")
    said = "La clé « Perdue » est révoquée."
    assert said in client.get(revoke(client, key.pk)["Location"]).content.decode()
    for other in (ApiKey.objects.exclude(pk=key.pk).get().pk, "n’importe quoi", ""):
        assert "est révoquée" not in client.get("/developpeurs/cles", {"revoked": other}).content.decode()


def test_once_more_changes_nothing(client, alice):
    client.force_login(alice.user)
    key = ApiKey.objects.get()
    revoke(client, key.pk)
    first = ApiKey.objects.get().revoked_at
    assert revoke(client, key.pk).status_code == 302
    assert ApiKey.objects.get().revoked_at == first


def test_somebody_elses_key_is_not_found(client, alice, bob):
    client.force_login(bob.user)
    response = revoke(client, ApiKey.objects.get(user=alice.user).pk)
    assert response.status_code == 404
    assert ApiKey.objects.filter(revoked_at=None).count() == 2


def test_an_unknown_key_is_not_found(client, alice):
    client.force_login(alice.user)
    assert revoke(client, uuid.uuid4()).status_code == 404


def test_a_visitor_revokes_nothing(client, alice):
    assert revoke(client, ApiKey.objects.get().pk)["Location"].startswith("/compte/login/")
    assert ApiKey.objects.get().revoked_at is None


def test_reading_the_address_revokes_nothing(client, alice):
    client.force_login(alice.user)
    key = ApiKey.objects.get()
    assert client.get(f"/developpeurs/cles/{key.pk}/revoquer").status_code == 405
    assert ApiKey.objects.get().revoked_at is None
