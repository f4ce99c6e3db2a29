"""Mirroring Fish Audio's catalogue: everything once, nothing twice, nothing that was decided here undone."""

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from procrastinate.contrib.django.models import ProcrastinateJob

from community import sync
from community.models import Like, SyncPage, SyncQuery, SyncRun
from community.services import hide_voices, like_voice
from community.sync_store import store_models
from community.tasks import mirror_catalogue, refresh_search_index
from tests.community.killed_sync import sync_with_kills
from tests.fish_stand_in import catalogue, models
from tests.fish_stand_in.running import StandIn, running_stand_in
from tests.fish_stand_in.validation import Refusal
from voices.fish import FishClient, FishUnauthorized
from voices.mirror import store_mirrored_voice
from voices.models import UpstreamAlarm, Voice

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


def test_killed_in_every_part_of_a_run_it_still_ends_complete(stage, monkeypatch):
    """In the narrower queries, which come after the first ones, and while voices are asked for by their id."""
    monkeypatch.setattr(catalogue, "WINDOW", WINDOW)
    monkeypatch.setattr(models, "WINDOW", WINDOW)
    lost = Voice.objects.bulk_create(lost_voices(120))
    outcome = sync_with_kills(size=SIZE, kills=4, longest=30, kills_by_id=3)
    assert set(mirrored().filter(retired_at=None).values_list("public_id", flat=True)) == outcome.fish_ids
    assert mirrored().filter(pk__in=[voice.pk for voice in lost], retired_at__isnull=False).count() == 120
    assert SyncRun.objects.get().retired_count == 120
    assert outcome.done_again == []
    # A batch of ids is noted as a whole.
    assert outcome.repeated_count <= 4 + 3 * sync.ID_BATCH


def lost_voices(count):
    """Return mirrored voices that Fish Audio no longer has."""
    return [
        Voice(
            public_id=f"{number:032x}",
            engine="fish",
            kind="mirrored",
            visibility="public",
            title=f"Perdue {number}",
            reference={"id": f"{number:032x}"},
            updated_at="2026-01-01T00:00Z",
        )
        for number in range(count)
    ]


def test_more_unseen_voices_than_a_run_asks_for_all_have_their_turn(db, fish, monkeypatch):
    """What is there but on no page would otherwise be asked for night after night."""
    monkeypatch.setattr(sync, "ID_BATCH", 10)
    monkeypatch.setattr(sync, "MOST_BY_ID", 20)
    # They are known by their id, yet no page shows them.
    entries = fish.app.models.catalogue.entries
    shy = list(entries)[:30]
    real = fish.app.models.catalogue._search

    def without_the_shy(*key):
        found, count = real(*key)
        return [fish_id for fish_id in found if fish_id not in shy], count

    monkeypatch.setattr(fish.app.models.catalogue, "_search", without_the_shy)
    rows = lost_voices(45)
    for voice, fish_id in zip(rows, shy, strict=False):
        voice.public_id, voice.reference = fish_id, {"id": fish_id}
    Voice.objects.bulk_create(rows)
    for retired_count in (0, 10, 15):
        call_command("sync_community")
        assert mirrored().filter(retired_at__isnull=False).count() == retired_count
    assert not mirrored().filter(public_id__in=shy, retired_at__isnull=False).exists()


def test_a_run_that_has_had_its_requests_is_gone_on_with(db, fish, settings, capsys):
    settings.COMMUNITY_SYNC_REQUESTS = 40
    call_command("sync_community")
    assert "la prochaine exécution continue" in capsys.readouterr().out
    run = SyncRun.objects.get()
    assert (run.finished_at, run.request_count) == (None, 40)
    Voice.objects.bulk_create(lost_voices(1))
    Voice.objects.filter(title="Perdue 0").update(updated_at="2026-01-01T00:00Z")
    while run.finished_at is None:
        call_command("sync_community")
        run.refresh_from_db()
        assert run.request_count < 2_000
    assert mirrored().filter(retired_at=None).count() == SIZE
    assert (SyncRun.objects.count(), run.retired_count) == (1, 1)


def test_one_that_became_private_is_retired_but_a_refused_key_retires_nothing(synced, monkeypatch):
    gone = next(iter(synced.app.models.catalogue.entries))
    synced.app.models.catalogue.remove(gone)
    shown = synced.app.models._get

    def refuse(voice_id, key, base_url):
        if voice_id == gone or is_key_refused:
            raise Refusal(403, "Forbidden")
        return shown(voice_id, key, base_url)

    monkeypatch.setattr(synced.app.models, "_get", refuse)
    is_key_refused = True
    with pytest.raises(CommandError, match="Forbidden"):
        call_command("sync_community")
    assert not mirrored().filter(retired_at__isnull=False).exists()
    is_key_refused = False
    call_command("sync_community")
    assert Voice.objects.get(public_id=gone).retired_at


def test_the_operator_hears_of_a_mirror_that_stands_still(db, fish):
    fish.fail("status", where="model", status=401, message="Invalid Token", times=1)
    with pytest.raises(FishUnauthorized):
        mirror_catalogue(timestamp=0)
    kinds = UpstreamAlarm.objects.filter(resolved_at=None).values_list("kind", flat=True)
    assert set(kinds) == {"unauthorized", "mirror"}
    mirror_catalogue(timestamp=0)
    assert mirrored().count() == SIZE
    assert not UpstreamAlarm.objects.filter(kind="mirror", resolved_at=None).exists()


def test_the_nightly_mirror_is_tried_again(stage, fish, work):
    fish.fail("status", where="model", status=401, message="Invalid Token", times=None)
    job_id = mirror_catalogue.defer(timestamp=0)
    work()
    job = ProcrastinateJob.objects.get(pk=job_id)
    assert (job.status, job.attempts) == ("todo", 1)
    job_id = refresh_search_index.defer(timestamp=0)
    work()
    assert ProcrastinateJob.objects.get(pk=job_id).status == "succeeded"


def test_a_like_given_while_a_page_is_written_is_counted(stage, fish, alice, settings):
    fish_id = next(iter(fish.app.models.catalogue.entries))
    with FishClient() as client:
        model = client.get_model(fish_id)
    store_mirrored_voice(model=model)
    fish.app.models.catalogue.change(fish_id)
    is_liked = threading.Event()

    def like():
        with transaction.atomic():
            like_voice(user_id=alice.user.pk, voice_id=fish_id)
            is_liked.set()
            until = time.monotonic() + 20
            while not _is_waited_for() and time.monotonic() < until:
                time.sleep(0.01)
        connection.close()

    thread = threading.Thread(target=like)
    thread.start()
    is_liked.wait(20)
    with FishClient() as client, transaction.atomic():
        store_models([client.get_model(fish_id)])
    thread.join()
    voice = Voice.objects.get(public_id=fish_id)
    assert voice.title.endswith("(1)")
    assert voice.like_count == model.like_count + 1


def _is_waited_for():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return cursor.fetchone()[0] > 0


@pytest.mark.parametrize(
    ("per_second", "moments", "starts"),
    [
        (4, [0, 0, 0], [0, 0.25, 0.5]),
        (4, [0, 10, 10], [0, 10, 10.25]),  # a pause is not caught up with
        (4, [0, 0.1, 0.3], [0, 0.25, 0.5]),
        (0, [0, 0, 0], [0, 0, 0]),
    ],
)
def test_the_pace(monkeypatch, per_second, moments, starts):
    """`moments` are when a request would be made, `starts` when it may be."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(sync.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(sync.time, "sleep", lambda s: setattr(clock, "now", clock.now + s))
    pace, found = sync.Pace(per_second), []
    for moment in moments:
        clock.now = max(clock.now, 100 + moment)
        pace.wait()
        found.append(round(clock.now - 100, 6))
    assert found == starts
