"""`PATCH /api/v1/voices/{id}`: title, description, tags, visibility."""

import pytest

from voices.models import UpstreamAlarm, Voice
from voices.services import resolve_voice


@pytest.fixture
def voice(alice) -> Voice:
    styles = {"styles": [["ff_siwis", 1.0]], "language": "fr-fr"}
    return Voice.objects.create(
        owner=alice.user, kind="blend", engine="kokoro", title="Avant", reference=styles
    )


def patch(client, person, voice, **changes):
    path = f"/api/v1/voices/{voice.public_id}"
    return client.patch(path, changes, "application/json", headers=person.headers)


def test_it_works(client, alice, voice):
    answer = patch(
        client, alice, voice, title="Après  l’été", description="Ligne 1\nLigne 2", tags=["Été", "Été", ""]
    )
    assert answer.status_code == 400  # an empty tag
    answer = patch(
        client, alice, voice, title="Après  l’été", description="Ligne 1\nLigne 2", tags=["Été", "Été"]
    )
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert (body["title"], body["description"], body["tags"]) == ("Après l’été", "Ligne 1\nLigne 2", ["Été"])
    voice.refresh_from_db()
    assert "apres" in voice.search_text


def test_what_is_not_given_stays(client, alice, voice):
    patch(client, alice, voice, description="Seulement elle")
    voice.refresh_from_db()
    assert (voice.title, voice.description) == ("Avant", "Seulement elle")


def test_an_unlisted_voice_speaks_for_who_knows_it(client, alice, bob, voice):
    assert patch(client, alice, voice, visibility="unlist").status_code == 200
    assert resolve_voice(user_id=bob.user.pk, voice_id=voice.public_id) == voice
    patch(client, alice, voice, visibility="private")
    quote = {"text": "Bonjour", "voice_id": voice.public_id}
    assert client.post("/api/v1/tts/quote", quote, "application/json", headers=bob.headers).status_code == 404


def test_a_clone_is_renamed_upstream_too(client, alice, fish, work, voice):
    with_clone(fish, voice)
    patch(client, alice, voice, title="Nouveau nom", tags=["neuf"])
    work()
    entity = fish.app.models.clones["c" * 32].entity
    assert entity["title"] == "Nouveau nom"
    assert entity["tags"] == ["neuf", f"fr02-{voice.public_id}"]
    assert entity["visibility"] == "private"


def test_a_refusal_of_the_new_name_is_the_operators_business(client, alice, fish, work, voice):
    with_clone(fish, voice)
    fish.fail("status", where="model", status=401, message="Invalid Token", times=None)
    assert patch(client, alice, voice, title="Nouveau nom").status_code == 200
    work()
    assert UpstreamAlarm.objects.get().kind == "unauthorized"


def with_clone(fish, voice):
    with_reference = {"kind": "clone", "engine": "fish", "reference": {"id": "c" * 32}}
    Voice.objects.filter(pk=voice.pk).update(**with_reference)
    fish.app.models.clones["c" * 32] = _clone()


def _clone():
    from tests.fish_stand_in.catalogue import model_entity
    from tests.fish_stand_in.models import Clone

    author = {"_id": "0" * 32, "nickname": "", "avatar": ""}
    times = {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"}
    entity = model_entity(
        _id="c" * 32, title="Avant", description="", state="trained", tags=[], languages=["fr"],
        visibility="private", author=author, **times,
    )  # fmt: skip
    return Clone("cle-de-la-plateforme", entity, 0.0)


def test_publishing_has_a_door_of_its_own(client, alice, voice):
    answer = patch(client, alice, voice, visibility="public")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/visibility"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"title": ""}, "/title"),
        ({"title": "x" * 201}, "/title"),
        ({"titre": "x"}, "/titre"),
        ({"tags": "x"}, "/tags"),
        ({"title": None}, "/title"),
    ],
)
def test_what_makes_no_sense_is_named(client, alice, voice, changes, pointer):
    answer = patch(client, alice, voice, **changes)
    assert answer.status_code == 400
    assert [item["pointer"] for item in answer.json()["errors"]] == [pointer]


def test_the_starter_voice_cannot_be_shared(client, alice):
    voice = Voice(public_id=alice.starter_id)
    assert patch(client, alice, voice, title="Mienne").status_code == 200
    assert patch(client, alice, voice, visibility="unlist").status_code == 409


def test_somebody_elses_is_not_there(client, charlie, voice):
    answer = patch(client, charlie, voice, title="À moi")
    assert (answer.status_code, answer.json()["code"]) == (404, "voice_not_found")
    assert client.get(f"/api/v1/voices/{voice.public_id}", headers=charlie.headers).status_code == 404


def test_the_form_edits_too(client, alice, voice):
    client.force_login(alice.user)
    form = {"title": "Par la page", "description": "", "tags": "un, deux"}
    assert client.post(f"/voix/{voice.public_id}/modifier", form).status_code == 302
    voice.refresh_from_db()
    assert (voice.title, voice.tags) == ("Par la page", ["un", "deux"])
