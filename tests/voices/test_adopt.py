"""`POST /api/v1/voices/adopt`: a voice made at Fish Audio itself joins an account by its id."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections
from django.test import Client

from community.services import hide_voices, unhide_voices
from tests.conftest import make_person
from tests.fish_stand_in.catalogue import model_entity
from tests.fish_stand_in.models import Clone
from voices.models import Voice


def make_upstream(fish, visibility="private", key="cle-de-la-plateforme", state="trained"):
    upstream_id = uuid.uuid4().hex
    entity = model_entity(
        _id=upstream_id,
        title="Faite ailleurs",
        description="",
        state=state,
        tags=["avant"],
        languages=["fr"],
        visibility=visibility,
        created_at="2026-01-01T00:00:00Z",
        updated_at="2026-01-01T00:00:00Z",
        author={"_id": "0" * 32, "nickname": "Une autre", "avatar": ""},
    )
    trained_at = 0.0 if state == "trained" else 1e12
    fish.app.models.clones[upstream_id] = Clone(key, entity, trained_at)
    return upstream_id


def adopt(client, person, upstream_id):
    body = {"fish_audio_id": upstream_id}
    return client.post("/api/v1/voices/adopt", body, "application/json", headers=person.headers)


def test_it_works(client, alice, fish):
    assert alice.starter_id
    upstream_id = make_upstream(fish)
    answer = adopt(client, alice, upstream_id)
    assert answer.status_code == 200, answer.content
    assert answer.json() | {"created_at": ""} == {
        "fish_audio_model_id": upstream_id,
        "title": "Faite ailleurs",
        "description": "",
        "languages": ["fr"],
        "tags": ["avant"],
        "state": "trained",
        "visibility": "private",
        "engine": "fish",
        "failure": "",
        "preview_url": "",
        "created_at": "",
    }
    listed = client.get("/api/v1/voices/", headers=alice.headers).json()["voices"]
    assert listed[0]["fish_audio_model_id"] == upstream_id


def test_twice_is_once(client, alice, fish):
    upstream_id = make_upstream(fish)
    first, second = adopt(client, alice, upstream_id).json(), adopt(client, alice, upstream_id).json()
    assert first == second
    assert Voice.objects.filter(kind="adopted").count() == 1


def test_one_that_all_may_use_stays_for_all(client, alice, bob, fish):
    upstream_id = make_upstream(fish, visibility="unlist")
    voice_id = adopt(client, alice, upstream_id).json()["fish_audio_model_id"]
    assert voice_id != upstream_id
    assert Voice.objects.get(public_id=voice_id).reference == {"id": upstream_id}
    quote = {"text": "Bonjour", "voice_id": upstream_id}
    answer = client.post("/api/v1/tts/quote", quote, "application/json", headers=bob.headers)
    assert answer.status_code == 200


def test_one_that_all_may_use_may_be_adopted_by_all(client, alice, bob, fish):
    upstream_id = make_upstream(fish, visibility="public")
    ids = [adopt(client, person, upstream_id).json()["fish_audio_model_id"] for person in (alice, bob, alice)]
    assert ids[0] == ids[2] != ids[1]
    assert Voice.objects.filter(kind="adopted", reference={"id": upstream_id}).count() == 2


def test_one_that_became_private_keeps_its_adopters_and_takes_no_more(client, alice, bob, fish):
    upstream_id = make_upstream(fish, visibility="public")
    voice_id = adopt(client, alice, upstream_id).json()["fish_audio_model_id"]
    fish.app.models.clones[upstream_id].entity["visibility"] = "private"
    assert adopt(client, bob, upstream_id).status_code == 404
    assert adopt(client, alice, upstream_id).json()["fish_audio_model_id"] == voice_id


def test_of_many_at_once_one_has_a_private_voice(client, fish, stage):
    upstream_id = make_upstream(fish)
    people = [make_person(f"personne-{number}", 0) for number in range(4)]

    def take(person):
        try:
            return adopt(Client(), person, upstream_id).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(take, people)) == [200, 404, 404, 404]
    assert Voice.objects.filter(kind="adopted").count() == 1


def test_somebody_elses_is_refused_as_if_it_did_not_exist(client, alice, charlie, fish):
    upstream_id = make_upstream(fish)
    assert adopt(client, alice, upstream_id).status_code == 200
    taken, unknown = adopt(client, charlie, upstream_id), adopt(client, charlie, "f" * 32)
    assert taken.status_code == unknown.status_code == 404
    assert taken.json() | {"request_id": ""} == unknown.json() | {"request_id": ""}


def test_a_clone_of_somebody_else_is_refused_even_deleted(client, alice, charlie, fish):
    upstream_id = make_upstream(fish)
    clone = Voice.objects.create(
        owner=alice.user, kind="clone", engine="fish", title="Clone", reference={"id": upstream_id}
    )
    assert adopt(client, charlie, upstream_id).status_code == 404
    client.delete(f"/api/v1/voices/{clone.public_id}", headers=alice.headers)
    assert adopt(client, charlie, upstream_id).status_code == 404


def test_deleting_it_leaves_it_upstream_and_free_to_adopt(client, alice, bob, fish, stage):
    upstream_id = make_upstream(fish)
    adopt(client, alice, upstream_id)
    assert client.delete(f"/api/v1/voices/{upstream_id}", headers=alice.headers).status_code == 204
    assert upstream_id in fish.app.models.clones
    assert adopt(client, bob, upstream_id).json()["fish_audio_model_id"] == upstream_id
    assert client.get(f"/api/v1/voices/{upstream_id}", headers=alice.headers).status_code == 404


def look_up(client, person, upstream_id):
    quote = {"text": "Bonjour", "voice_id": upstream_id}
    return client.post("/api/v1/tts/quote", quote, "application/json", headers=person.headers)


def test_one_that_a_moderator_hid_is_refused(client, alice, bob, fish):
    upstream_id = make_upstream(fish, visibility="public")
    assert look_up(client, alice, upstream_id).status_code == 200
    original = Voice.objects.get(public_id=upstream_id)
    hide_voices(voice_keys=[original.pk], moderator_id=bob.user.pk)
    assert adopt(client, alice, upstream_id).status_code == 404
    assert not Voice.objects.filter(kind="adopted").exists()
    unhide_voices(voice_keys=[original.pk])
    assert adopt(client, alice, upstream_id).status_code == 200


def test_hiding_a_voice_silences_what_was_adopted_of_it(client, alice, bob, fish):
    upstream_id = make_upstream(fish, visibility="public")
    assert look_up(client, alice, upstream_id).status_code == 200
    adopted_id = adopt(client, alice, upstream_id).json()["fish_audio_model_id"]
    assert look_up(client, alice, adopted_id).status_code == 200
    original = Voice.objects.get(public_id=upstream_id)
    assert hide_voices(voice_keys=[original.pk], moderator_id=bob.user.pk) == 1
    assert look_up(client, alice, adopted_id).status_code == 404
    assert client.get(f"/api/v1/voices/{adopted_id}", headers=alice.headers).status_code == 200
    assert unhide_voices(voice_keys=[original.pk]) == 1
    assert look_up(client, alice, adopted_id).status_code == 200


def test_it_must_be_ours_to_use(client, alice, fish):
    assert adopt(client, alice, make_upstream(fish, key="une-autre-plateforme")).status_code == 404


def test_it_must_be_ready(client, alice, fish):
    assert adopt(client, alice, make_upstream(fish, state="training")).status_code == 409


@pytest.mark.parametrize("wrong", ["", "abc", "A" * 32, "../../wallet/self/api-credit", None, 7, {"$ne": 1}])
def test_it_must_look_like_an_id(client, alice, fish, wrong):
    assert adopt(client, alice, wrong).status_code == 400
    assert fish.asked("model") == []


def test_it_cannot_be_published_or_shared(client, alice, fish):
    upstream_id = make_upstream(fish)
    adopt(client, alice, upstream_id)
    path = f"/api/v1/voices/{upstream_id}"
    assert client.post(f"{path}/publish", {}, "application/json", headers=alice.headers).status_code == 409
    shared = client.patch(path, {"visibility": "unlist"}, "application/json", headers=alice.headers)
    assert shared.status_code == 409


def test_without_fish_it_says_so(client, alice):
    answer = adopt(client, alice, "0" * 32)
    assert (answer.status_code, answer.json()["code"]) == (503, "engine_unavailable")


def test_an_upstream_that_fails_is_not_the_customers_fault(client, alice, fish):
    fish.fail("status", where="model", status=401, message="Invalid Token", times=None)
    assert adopt(client, alice, "0" * 32).status_code == 503


def test_the_form_adopts_too(client, alice, fish):
    client.force_login(alice.user)
    upstream_id = make_upstream(fish)
    assert client.post("/voix/adopter", {"fish_audio_id": f" {upstream_id} "}).status_code == 302
    answer = client.post("/voix/adopter", {"fish_audio_id": "f" * 32})
    assert answer.status_code == 404
    assert "n’existe pas" in answer.content.decode()
