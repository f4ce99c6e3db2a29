"""Mirroring Fish Audio's catalogue: everything once, nothing twice, nothing that was decided here undone."""

from collections.abc import Iterator

import pytest
from django.core.management import CommandError, call_command

from community.models import Like, SyncPage, SyncQuery, SyncRun
from community.services import hide_voices
from tests.community.killed_sync import sync_with_kills
from tests.fish_stand_in import catalogue, models
from tests.fish_stand_in.running import StandIn, running_stand_in
from voices.models import Voice

SIZE = 400
WINDOW = 100
KILLED_SIZE = 3_000


@pytest.fixture
def fish(settings, monkeypatch) -> Iterator[StandIn]:
    """A Fish Audio with a catalogue of more voices than a query shows, in French as in English."""
    monkeypatch.setattr(catalogue, "WINDOW", WINDOW)
    monkeypatch.setattr(models, "WINDOW", WINDOW)
    with running_stand_in(catalogue_size=SIZE) as stand_in:
        settings.FISH_API_KEY, settings.FISH_BASE_URL = "clef", stand_in.base_url
        settings.COMMUNITY_SYNC_PER_SECOND = 0
        yield stand_in


@pytest.fixture
def synced(db, fish) -> StandIn:
    call_command("sync_community")
    return fish


def mirrored():
    return Voice.objects.filter(kind=Voice.Kind.MIRRORED)


def test_it_works(synced, client, alice):
    entries = synced.app.models.catalogue.entries
    assert set(mirrored().values_list("public_id", flat=True)) == set(entries)
    run = SyncRun.objects.get()
    assert run.finished_at
    assert (run.created_count, run.retired_count) == (SIZE, 0)
    entry = next(entry for entry in entries.values() if "fr" in entry.languages and entry.number % 997)
    (model,) = client.get(
        "/api/v1/community/models", {"search": entry.title, "sort_by": "relevance"}, headers=alice.headers
    ).json()["models"][:1]
    assert model["title"] == entry.title
    voice = Voice.objects.get(public_id=entry.id)
    assert voice.reference == {"id": entry.id}
    assert voice.task_count == entry.task_count
    assert voice.author_nickname


def test_french_comes_first(synced):
    assert dict(synced.asked("model")[0]["query"])["language"] == "fr"


def test_a_second_run_over_unchanged_data_writes_nothing(synced):
    before = dict(mirrored().values_list("pk", "updated_at"))
    call_command("sync_community")
    run = SyncRun.objects.latest("pk")
    assert (run.created_count, run.changed_count, run.retired_count) == (0, 0, 0)
    assert dict(mirrored().values_list("pk", "updated_at")) == before


def test_changes_are_followed_and_what_is_gone_is_retired(synced, client, alice):
    changed, gone, *_rest = list(synced.app.models.catalogue.entries)
    synced.app.models.catalogue.change(changed)
    synced.app.models.catalogue.remove(gone)
    call_command("sync_community")
    run = SyncRun.objects.latest("pk")
    assert (run.created_count, run.changed_count, run.retired_count) == (0, 1, 1)
    assert Voice.objects.get(public_id=changed).title.endswith("(1)")
    assert Voice.objects.get(public_id=gone).retired_at
    assert client.get(f"/api/v1/community/models/{gone}", headers=alice.headers).status_code == 404


def test_a_retired_voice_that_comes_back_is_shown_again(synced):
    voice = mirrored().first()
    Voice.objects.filter(pk=voice.pk).update(retired_at="2026-01-01T00:00Z")
    call_command("sync_community")
    assert Voice.objects.public().filter(pk=voice.pk).exists()


def test_moderation_and_likes_survive(synced, alice):
    hidden, liked = mirrored().order_by("pk")[:2]
    hide_voices(voice_keys=[hidden.pk], moderator_id=alice.user.pk)
    Like.objects.create(user=alice.user, voice=liked)
    synced.app.models.catalogue.change(hidden.public_id)
    synced.app.models.catalogue.change(liked.public_id)
    call_command("sync_community")
    hidden.refresh_from_db()
    assert hidden.is_hidden
    assert hidden.title.endswith("(1)")
    assert not Voice.objects.public().filter(pk=hidden.pk).exists()
    before = liked.like_count
    liked.refresh_from_db()
    assert liked.like_count == before + 1


def test_a_customers_own_voice_is_left_alone(db, fish, alice):
    public_id = next(iter(fish.app.models.catalogue.entries))
    own = Voice.objects.create(
        public_id=public_id,
        engine="fish",
        kind="clone",
        owner=alice.user,
        title="À moi",
        visibility="private",
    )
    call_command("sync_community")
    own.refresh_from_db()
    assert (own.title, own.kind, own.visibility) == ("À moi", "clone", "private")


def test_titles_come_in_clean(synced):
    assert not mirrored().filter(title__regex="[\u202a-\u202e\u2066-\u2069\x01-\x1f]").exists()
    assert mirrored().filter(title="<script>alert(1)</script>").exists()


def test_an_outage_keeps_the_cursor(db, fish):
    fish.fail("status", where="model", status=401, message="Invalid Token", times=None)
    with pytest.raises(CommandError, match="Fish Audio"):
        call_command("sync_community")
    fish.state.reset()
    call_command("sync_community")
    assert SyncRun.objects.count() == 1
    assert mirrored().count() == SIZE


def test_without_fish_it_says_so(db, settings):
    settings.FISH_API_KEY = ""
    with pytest.raises(CommandError, match="FISH_API_KEY"):
        call_command("sync_community")


def test_the_cursor_is_tidied_away(synced):
    assert not SyncQuery.objects.exists()
    assert not SyncPage.objects.exists()


def test_killed_five_times_it_still_ends_complete(stage):
    outcome = sync_with_kills(size=KILLED_SIZE, kills=5)
    voices = list(mirrored().values_list("public_id", flat=True))
    assert len(voices) == len(set(voices))
    assert set(voices) == outcome.fish_ids
    assert SyncRun.objects.get().finished_at
    assert outcome.done_again == []
    # Only the page that was in the air when the process died may have been asked for again.
    assert outcome.repeated_count <= 5
