"""Publishing an own voice to the community, and taking it back."""

import pytest

from community.services import publish_voice, unpublish_voice
from fr02.errors import Conflict, Forbidden, VoiceNotFound

LIST = "/api/v1/community/models"


@pytest.fixture
def blend(make_voice, alice):
    return make_voice("Mon mélange", kind="blend", owner=alice.user, visibility="private", author_nickname="")


def find(client, person):
    return client.get(LIST, {"search": "mélange"}, headers=person.headers).json()["models"]


def test_it_works(client, alice, bob, blend):
    assert find(client, bob) == []
    publish_voice(user_id=alice.user.pk, voice_id=blend.public_id, author_nickname="Alice\u202e du Nord")
    (model,) = find(client, bob)
    assert model["author_nickname"] == "Alice du Nord"
    assert len(client.get(LIST, {"search": "alice nord"}, headers=bob.headers).json()["models"]) == 1
    for _time in range(2):
        unpublish_voice(user_id=alice.user.pk, voice_id=blend.public_id)
    assert find(client, bob) == []
    assert client.get(f"{LIST}/{blend.public_id}", headers=bob.headers).status_code == 404


def test_the_owners_address_is_never_the_name(alice, blend):
    voice = publish_voice(user_id=alice.user.pk, voice_id=blend.public_id)
    assert voice.author_nickname == "Anonyme"


def test_somebody_elses_voice_is_not_found(bob, blend):
    with pytest.raises(VoiceNotFound):
        publish_voice(user_id=bob.user.pk, voice_id=blend.public_id)
    with pytest.raises(VoiceNotFound):
        unpublish_voice(user_id=bob.user.pk, voice_id=blend.public_id)


def test_a_hidden_voice_is_refused(alice, blend):
    type(blend).objects.update(is_hidden=True)
    with pytest.raises(Forbidden):
        publish_voice(user_id=alice.user.pk, voice_id=blend.public_id)


@pytest.mark.parametrize("fields", [{"kind": "starter"}, {"kind": "adopted"}, {"state": "training"}])
def test_what_is_not_own_work_or_not_ready_is_refused(alice, make_voice, fields):
    voice = make_voice(**{"kind": "blend", "owner": alice.user, "visibility": "private"} | fields)
    with pytest.raises(Conflict):
        publish_voice(user_id=alice.user.pk, voice_id=voice.public_id)
