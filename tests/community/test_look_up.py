"""Voices of Fish Audio that nobody mirrored yet, asked for by their id."""

from collections.abc import Iterator

import pytest

from tests.fish_stand_in.running import StandIn, running_stand_in
from voices.fish import parse_model
from voices.mirror import store_mirrored_voice
from voices.models import UpstreamAlarm, Voice


@pytest.fixture
def fish(settings) -> Iterator[StandIn]:
    with running_stand_in(catalogue_size=50) as stand_in:
        settings.FISH_API_KEY, settings.FISH_BASE_URL = "clef", stand_in.base_url
        yield stand_in


@pytest.fixture
def entry(fish):
    return next(iter(fish.app.models.catalogue.entries.values()))


def url(public_id):
    return f"/api/v1/community/models/{public_id}"


def quote(client, person, public_id):
    body = {"text": "Bonjour", "voice_id": public_id}
    return client.post("/api/v1/tts/quote", body, content_type="application/json", headers=person.headers)


def test_it_works(client, alice, fish, entry):
    for _time in range(2):
        answer = client.get(url(entry.id), headers=alice.headers)
        assert (answer.status_code, answer.json()["fish_audio_id"]) == (200, entry.id)
    assert len(fish.asked("model")) == 1
    voice = Voice.objects.get(public_id=entry.id)
    assert (voice.kind, voice.engine, voice.reference) == ("mirrored", "fish", {"id": entry.id})


def test_speech_finds_it_too(client, alice, entry):
    assert quote(client, alice, entry.id).status_code == 200
    assert Voice.objects.filter(public_id=entry.id).exists()


def test_an_unknown_id_is_asked_for_once(client, alice, fish):
    for _time in range(3):
        answer = client.get(url("0" * 32), headers=alice.headers)
        assert (answer.status_code, answer.json()["code"]) == (404, "voice_not_found")
        assert quote(client, alice, "0" * 32).status_code == 404
    assert len(fish.asked("model")) == 1


@pytest.mark.parametrize("public_id", ["x" * 32, "0" * 31, "0" * 33, "A" * 32, "..", "model"])
def test_what_is_no_id_is_not_asked_for(client, alice, fish, public_id):
    assert client.get(url(public_id), headers=alice.headers).status_code == 404
    assert quote(client, alice, public_id).status_code == 404
    assert not fish.asked("model")


@pytest.mark.parametrize(
    "fields", [{"is_hidden": True}, {"visibility": "private"}, {"deleted_at": "2026-01-01T00:00Z"}]
)
def test_a_voice_that_has_a_row_is_not_asked_for(client, alice, charlie, fish, entry, make_voice, fields):
    make_voice(public_id=entry.id, owner=alice.user, kind="adopted", **fields)
    assert client.get(url(entry.id), headers=charlie.headers).status_code == 404
    assert quote(client, charlie, entry.id).status_code == 404
    assert not fish.asked("model")


def test_one_that_the_mirror_retired_by_mistake_comes_back(client, alice, bob, fish, entry, make_voice):
    make_voice(public_id=entry.id, kind="mirrored", engine="fish", reference={"id": entry.id})
    for door in (client.get, lambda url, **_headers: quote(client, bob, entry.id)):
        Voice.objects.filter(public_id=entry.id).update(retired_at="2026-01-01T00:00Z")
        assert door(url(entry.id), headers=alice.headers).status_code == 200
        assert Voice.objects.public().filter(public_id=entry.id).exists()
    fish.app.models.catalogue.remove(entry.id)
    Voice.objects.filter(public_id=entry.id).update(retired_at="2026-01-01T00:00Z")
    assert quote(client, bob, entry.id).status_code == 404
    assert Voice.objects.get(public_id=entry.id).retired_at


def test_who_waits_hears_at_once_and_so_does_the_operator(client, alice, fish, settings):
    fish.fail("status", where="model", status=429, message="too many", times=None)
    assert client.get(url("0" * 32), headers=alice.headers).json()["code"] == "engine_unavailable"
    assert len(fish.asked("model")) == 1
    assert UpstreamAlarm.objects.get().kind == "concurrency"
    settings.FISH_CONCURRENCY = 0
    answer = client.get(url("0" * 32), headers=alice.headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "engine_busy")
    assert len(fish.asked("model")) == 1


def test_an_outage_is_no_absence(client, alice, fish, entry):
    fish.fail("status", where="model", status=401, message="Invalid Token")
    answer = client.get(url(entry.id), headers=alice.headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "engine_unavailable")
    assert client.get(url(entry.id), headers=alice.headers).status_code == 200


def test_without_fish_only_what_is_here_exists(client, alice, settings):
    settings.FISH_API_KEY = ""
    assert client.get(url("0" * 32), headers=alice.headers).status_code == 404


@pytest.mark.parametrize(
    ("address", "is_shown"),
    [
        ("https://platform.r2.fish.audio/a.mp3", True),
        ("https://fish.audio/a.mp3", True),
        ("https://exemple.org/a.mp3", False),
        ("https://fish.audio.exemple.org/a.mp3", False),
        ("https://fish.audio@exemple.org/a.mp3", False),
        ("https://notfish.audio/a.mp3", False),
        ("http://fish.audio/a.mp3", False),
        ("javascript:alert(1)", False),
        ("https://[x/a.mp3", False),
    ],
)
def test_samples_lead_to_fish_audio_only(db, address, is_shown):
    model = parse_model({"_id": "a" * 32, "title": "Voix", "samples": [{"audio": address}]})
    assert store_mirrored_voice(model=model).sample_url == (address if is_shown else "")
