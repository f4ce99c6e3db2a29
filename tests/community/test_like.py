"""PUT and DELETE /api/v1/community/models/{id}/like."""

import pytest

from community.models import Like


def url(voice):
    return f"/api/v1/community/models/{voice.public_id}/like"


def test_it_works(client, alice, bob, make_voice):
    voice = make_voice(like_count=5)
    answer = client.put(url(voice), headers=alice.headers)
    assert (answer.status_code, answer.json()) == (
        200,
        {"fish_audio_id": voice.public_id, "like_count": 6, "is_liked": True},
    )
    assert client.put(f"{url(voice)}/", headers=bob.headers).json()["like_count"] == 7
    assert Like.objects.count() == 2
    shown = client.get(url(voice).removesuffix("/like"), headers=bob.headers).json()
    assert shown["like_count"] == 7


def test_twice_counts_once(client, alice, make_voice):
    voice = make_voice()
    for _time in range(3):
        assert client.put(url(voice), headers=alice.headers).json()["like_count"] == 1
    for _time in range(3):
        answer = client.delete(url(voice), headers=alice.headers).json()
        assert (answer["like_count"], answer["is_liked"]) == (0, False)
    assert not Like.objects.exists()


@pytest.mark.parametrize("fields", [{"visibility": "private"}, {"visibility": "unlist"}, {"is_hidden": True}])
def test_what_is_not_shown_cannot_be_liked(client, charlie, alice, make_voice, fields):
    voice = make_voice(owner=alice.user, **fields)
    answer = client.put(url(voice), headers=charlie.headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "voice_not_found")


def test_no_key_is_refused(client, make_voice):
    assert client.put(url(make_voice())).status_code == 401
