"""`POST|DELETE /api/v1/voices/{id}/publish`: an own voice is shown to the community, and taken back."""

import pytest
from django.urls import reverse

from voices.models import Consent, Voice
from voices.services import resolve_voice


@pytest.fixture
def voice(alice) -> Voice:
    styles = {"styles": [["ff_siwis", 1.0]], "language": "fr-fr"}
    return Voice.objects.create(
        owner=alice.user, kind="blend", engine="kokoro", title="Zéphyrine", reference=styles
    )


def publish(client, person, voice, **body):
    path = f"/api/v1/voices/{voice.public_id}/publish"
    return client.post(path, body, "application/json", headers=person.headers)


def found(client, person):
    answer = client.get("/api/v1/community/models?search=zephyrine", headers=person.headers)
    return [model["fish_audio_id"] for model in answer.json()["models"]]


def test_it_works(client, alice, bob, voice):
    answer = publish(client, alice, voice, author_nickname="Alix")
    assert (answer.status_code, answer.json()["visibility"]) == (200, "public")
    assert found(client, bob) == [voice.public_id]
    assert resolve_voice(user_id=bob.user.pk, voice_id=voice.public_id) == voice


def test_unpublishing_takes_it_back(client, alice, bob, voice):
    publish(client, alice, voice)
    answer = client.delete(f"/api/v1/voices/{voice.public_id}/publish", headers=alice.headers)
    assert (answer.status_code, answer.json()["visibility"]) == (200, "private")
    assert found(client, bob) == []


def test_a_clone_needs_the_consent_of_who_speaks(client, alice, voice):
    Voice.objects.filter(pk=voice.pk).update(kind="clone", engine="fish", reference={"id": "c" * 32})
    answer = publish(client, alice, voice)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/consent"
    voice.refresh_from_db()
    assert voice.visibility == "private"
    assert publish(client, alice, voice, consent=True).status_code == 200
    assert publish(client, alice, voice, consent=True).status_code == 200
    consent = Consent.objects.get(voice=voice)
    assert (consent.purpose, consent.ip_address) == ("publication", "127.0.0.1")


def test_a_clone_is_not_unlisted_without_it_either(client, alice, bob, voice):
    Voice.objects.filter(pk=voice.pk).update(kind="clone", engine="fish", reference={"id": "c" * 32})
    path = f"/api/v1/voices/{voice.public_id}"

    def patch(**changes):
        return client.patch(path, changes, "application/json", headers=alice.headers)

    answer = patch(visibility="unlist")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/consent"
    assert "la personne qui parle permet" in answer.json()["detail"]
    assert patch(visibility="unlist", consent=True).status_code == 200
    assert Consent.objects.get(voice=voice).purpose == "publication"
    # The word that was given stays given.
    assert patch(visibility="private").status_code == patch(visibility="unlist").status_code == 200
    assert publish(client, alice, voice).status_code == 200
    assert resolve_voice(user_id=bob.user.pk, voice_id=voice.public_id) == voice


@pytest.mark.parametrize(("proxies", "address"), [(0, "127.0.0.1"), (1, "203.0.113.7")])
@pytest.mark.parametrize("door", ["api", "portal"])
def test_the_consent_notes_the_address_behind_the_proxies(
    client, alice, voice, settings, door, proxies, address
):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    client.defaults["HTTP_X_FORWARDED_FOR"] = "198.51.100.1, 203.0.113.7"
    Voice.objects.filter(pk=voice.pk).update(kind="clone", engine="fish", reference={"id": "c" * 32})
    if door == "api":
        assert publish(client, alice, voice, consent=True).status_code == 200
    else:
        client.force_login(alice.user)
        form = {"is_public": "True", "consent": "true"}
        assert client.post(reverse("voice-publish", args=[voice.public_id]), form).status_code == 302
    assert Consent.objects.get(voice=voice).ip_address == address


def test_a_voice_that_is_not_ready_is_not_shown(client, alice, voice):
    Voice.objects.filter(pk=voice.pk).update(kind="clone", state="training")
    assert publish(client, alice, voice, consent=True).status_code == 409


def test_a_hidden_voice_stays_hidden(client, alice, voice):
    Voice.objects.filter(pk=voice.pk).update(is_hidden=True)
    assert publish(client, alice, voice).status_code == 403
    path = f"/api/v1/voices/{voice.public_id}"
    shared = client.patch(path, {"visibility": "unlist"}, "application/json", headers=alice.headers)
    assert shared.status_code == 403


def test_somebody_elses_is_not_there(client, alice, charlie, voice):
    assert publish(client, charlie, voice).status_code == 404
    publish(client, alice, voice)
    answer = client.delete(f"/api/v1/voices/{voice.public_id}/publish", headers=charlie.headers)
    assert answer.status_code == 404
    voice.refresh_from_db()
    assert voice.visibility == "public"


def test_the_page_publishes_too(client, alice, voice):
    client.force_login(alice.user)
    client.post(f"/voix/{voice.public_id}/publier", {"is_public": "True", "author_nickname": "Alix"})
    voice.refresh_from_db()
    assert (voice.visibility, voice.author_nickname) == ("public", "Alix")
    client.post(f"/voix/{voice.public_id}/publier", {"is_public": "False"})
    voice.refresh_from_db()
    assert voice.visibility == "private"
