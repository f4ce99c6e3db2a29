"""`POST /api/v1/voices/` with recordings: a voice is cloned at Fish Audio."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from fr02.media import SignedFileStorage
from tests.voices.sounds import encoded
from voices import cloning, erasing
from voices.editing import delete_voice
from voices.models import Consent, Recording, UpstreamAlarm, Voice
from voices.services import resolve_voice

TEXTS = ["Bonjour à tous.", "Il fait beau.", "À demain."]


@pytest.fixture(scope="module")
def recording() -> bytes:
    return encoded(4)


def form(recording: bytes, count: int = 3, **fields):
    files = [SimpleUploadedFile(f"prise-{index}.flac", recording) for index in range(count)]
    return {"title": "Ma voix", "voices": files, "consent": "true"} | fields


def post(client, person, data):
    return client.post("/api/v1/voices/", data, headers=person.headers)


def state_of(client, person, voice_id):
    return client.get(f"/api/v1/voices/{voice_id}", headers=person.headers).json()


def test_it_works(client, alice, fish, work, recording):
    answer = post(client, alice, form(recording, texts=TEXTS, tags=["calme"], description="Posée"))
    assert answer.status_code == 201, answer.content
    body = answer.json()
    assert (body["state"], body["engine"], body["visibility"]) == ("created", "fish", "private")
    work()
    body = state_of(client, alice, body["fish_audio_model_id"])
    assert (body["state"], body["failure"], body["languages"]) == ("trained", "", ["fr"])
    voice = Voice.objects.get(public_id=body["fish_audio_model_id"])
    assert voice.reference == {"id": next(iter(fish.app.models.clones))}
    assert resolve_voice(user_id=alice.user.pk, voice_id=voice.public_id) == voice


def test_fish_gets_our_own_clean_files_and_no_more_than_it_needs(client, alice, fish, work):
    recording = encoded(4, "webm")
    voice_id = post(client, alice, form(recording, texts=TEXTS, tags=["calme"])).json()["fish_audio_model_id"]
    work()
    (clone,) = fish.app.models.clones.values()
    assert [item[:4] for item in clone.recordings] == [b"fLaC"] * 3
    assert clone.entity["visibility"] == "private"
    assert clone.entity["tags"] == ["calme", f"fr02-{voice_id}"]
    assert alice.user.email not in str(clone.entity)


def test_a_form_that_cannot_be_read_is_named(client, alice, fish):
    answer = client.post("/api/v1/voices/", b"--x", "multipart/form-data; boundary=", headers=alice.headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert "formulaire" in answer.json()["detail"]


def test_consent_is_recorded(client, alice, fish, work, recording):
    post(client, alice, form(recording))
    consent = Consent.objects.get(user=alice.user)
    assert consent.purpose == "cloning"
    assert consent.ip_address == "127.0.0.1"
    assert "permis par écrit" in consent.statement


def test_recordings_go_once_fish_has_learnt_them(client, alice, fish, work, recording):
    voice_id = post(client, alice, form(recording)).json()["fish_audio_model_id"]
    rows = list(Voice.objects.get(public_id=voice_id).recordings.select_related("voice"))
    assert all(storages["default"].exists(row.audio_name) for row in rows)
    assert rows[0].audio_name.startswith(f"{alice.user.pk}/")
    work()
    assert not any(storages["default"].exists(row.audio_name) for row in rows)
    assert not Recording.objects.exists()
    assert [row.duration_ms for row in rows] == [4_000] * 3


def test_a_failed_training_says_so_and_leaves_nothing_upstream(client, alice, fish, work, recording):
    fish.fail("training_fails", where="model")
    voice_id = post(client, alice, form(recording)).json()["fish_audio_model_id"]
    work()
    body = state_of(client, alice, voice_id)
    assert body["state"] == "failed"
    assert "d’autres enregistrements" in body["failure"]
    assert fish.app.models.clones == {}


def test_a_refusal_of_fish_is_the_reason(client, alice, fish, work, recording):
    fish.fail("status", where="model", status=400, message="Reference Audio is not valid", is_plain=True)
    voice_id = post(client, alice, form(recording)).json()["fish_audio_model_id"]
    work()
    assert "Reference Audio is not valid" in state_of(client, alice, voice_id)["failure"]


def test_an_overloaded_fish_is_asked_again_and_makes_one_voice(
    client, alice, fish, work, recording, monkeypatch
):
    monkeypatch.setattr(cloning, "RETRY_S", 0.0)
    monkeypatch.setattr(cloning, "LISTED_WITHIN", timedelta(0))
    fish.fail("status", where="model", status=503, message="overloaded", times=2)
    voice_id = post(client, alice, form(recording)).json()["fish_audio_model_id"]
    work()
    assert state_of(client, alice, voice_id)["state"] == "trained"
    assert len(fish.app.models.clones) == 1


def test_an_empty_platform_wallet_is_the_operators_business(client, alice, fish, work, recording):
    fish.fail("status", where="model", status=402, message="Insufficient API credit", times=None)
    voice_id = post(client, alice, form(recording)).json()["fish_audio_model_id"]
    work()
    assert state_of(client, alice, voice_id)["state"] == "created"
    assert UpstreamAlarm.objects.get().kind == "out_of_credit"


def test_a_worker_that_died_after_asking_makes_no_second_voice(client, alice, fish, work, recording):
    voice_id = post(client, alice, form(recording)).json()["fish_audio_model_id"]
    work()
    (upstream_id,) = fish.app.models.clones
    # As it stands when the answer was never written down.
    Voice.objects.filter(public_id=voice_id).update(
        state="training", reference={}, updated_at=timezone.now() - cloning.LOST_AFTER
    )
    cloning.take_up_lost_clones()
    work()
    voice = Voice.objects.get(public_id=voice_id)
    assert (voice.state, voice.reference) == ("trained", {"id": upstream_id})
    assert len(fish.app.models.clones) == 1


def test_a_clone_that_is_never_ready_fails_at_its_deadline(client, alice, fish, work, recording, settings):
    fish.state.switches.training_s = 3600
    settings.CLONE_POLL_SECONDS = 60
    voice_id = post(client, alice, form(recording)).json()["fish_audio_model_id"]
    work()
    assert state_of(client, alice, voice_id)["state"] == "training"
    late = timezone.now() - timedelta(seconds=settings.CLONE_DEADLINE_SECONDS + 1)
    Voice.objects.filter(public_id=voice_id).update(step_at=late)
    cloning.advance_clone(voice_key=Voice.objects.get(public_id=voice_id).pk)
    work()
    assert "à temps" in state_of(client, alice, voice_id)["failure"]
    assert fish.app.models.clones == {}


def test_an_outage_is_waited_out_for_a_day(client, alice, fish, work, recording):
    """The deadline of the training runs from Fish Audio's taking over."""
    refusal = {"where": "model", "status": 402, "message": "Insufficient API credit", "times": None}
    fish.fail("status", **refusal)
    voice_id = post(client, alice, form(recording)).json()["fish_audio_model_id"]
    voice = Voice.objects.get(public_id=voice_id)
    work()
    for hours, state in ((2, "created"), (25, "failed")):
        Voice.objects.filter(pk=voice.pk).update(created_at=timezone.now() - timedelta(hours=hours))
        cloning.advance_clone(voice_key=voice.pk)
        assert state_of(client, alice, voice_id)["state"] == state
    assert "une journée" in state_of(client, alice, voice_id)["failure"]
    Voice.objects.filter(pk=voice.pk).update(
        state="created", created_at=timezone.now() - timedelta(hours=2), failure=""
    )
    fish.state.reset()
    fish.state.switches.training_s = 3600
    cloning.advance_clone(voice_key=voice.pk)
    assert cloning.advance_clone(voice_key=voice.pk) is not None
    assert state_of(client, alice, voice_id)["state"] == "training"


def test_an_unanswered_request_is_repeated_only_when_the_listing_had_its_time(
    client, alice, fish, work, recording
):
    voice_id = post(client, alice, form(recording)).json()["fish_audio_model_id"]
    voice = Voice.objects.get(public_id=voice_id)
    now = timezone.now()
    # Asked for a moment ago; Fish Audio does not show it yet.
    Voice.objects.filter(pk=voice.pk).update(state="training", reference={}, step_at=now)
    assert cloning.advance_clone(voice_key=voice.pk) == cloning.RETRY_S
    assert state_of(client, alice, voice_id)["state"] == "training"
    Voice.objects.filter(pk=voice.pk).update(step_at=now - cloning.LISTED_WITHIN)
    assert cloning.advance_clone(voice_key=voice.pk) == 0.0
    assert state_of(client, alice, voice_id)["state"] == "created"


def test_a_voice_that_came_of_a_lost_answer_is_erased(client, alice, fish, work, recording):
    """Both requests were heard: the clone keeps one voice upstream, and none when it is deleted."""
    voice_id = post(client, alice, form(recording)).json()["fish_audio_model_id"]
    work()
    (clone,) = fish.app.models.clones.values()
    twin = replace(clone, entity=clone.entity | {"_id": "d" * 32})
    fish.app.models.clones["d" * 32] = twin
    voice = Voice.objects.get(public_id=voice_id)
    erasing.erase_clone(voice_key=voice.pk)
    assert list(fish.app.models.clones) == [voice.reference["id"]]
    fish.app.models.clones["d" * 32] = twin
    client.delete(f"/api/v1/voices/{voice_id}", headers=alice.headers)
    work()
    assert fish.app.models.clones == {}


def test_a_lost_clone_is_taken_up_once(client, alice, fish, stage, recording):
    fish.state.switches.training_s = 3600
    voice_id = post(client, alice, form(recording)).json()["fish_audio_model_id"]
    voice = Voice.objects.get(public_id=voice_id)
    jobs = ProcrastinateJob.objects.filter(args__voice_key=voice.pk)
    jobs.update(status="failed")
    long_ago = timezone.now() - cloning.LOST_AFTER - timedelta(minutes=1)
    for _sweep in range(3):
        Voice.objects.filter(pk=voice.pk).update(updated_at=long_ago)
        cloning.take_up_lost_clones()
    assert jobs.filter(task_name="voices.tasks.advance_clone", status="todo").count() == 1
    voice.refresh_from_db()
    assert voice.updated_at > long_ago
    assert cloning.LOST_AFTER.total_seconds() > cloning.LATE_RETRY_S


class NotingStorage(SignedFileStorage):
    """Note whether a transaction waits for the storage."""

    noted: list[bool] = []

    def _save(self, name, content):
        self.noted.append(connection.in_atomic_block)
        return super()._save(name, content)


def test_no_transaction_waits_for_the_storage(client, alice, fish, stage, settings, recording):
    options = settings.STORAGES["default"]["OPTIONS"]
    backend = f"{__name__}.{NotingStorage.__name__}"
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": backend, "OPTIONS": options}}
    assert post(client, alice, form(recording)).status_code == 201
    assert NotingStorage.noted == [False] * 3


class SlowStorage(SignedFileStorage):
    """Let the owner delete the voice, and the worker erase it, while its second recording is stored."""

    def _save(self, name, content):
        voice = Voice.objects.get(kind="clone")
        if not voice.deleted_at and name.endswith(f"/{voice.recordings.order_by('pk')[1].pk}.flac"):
            delete_voice(user_id=voice.owner_id, voice_id=voice.public_id)
            erasing.erase_clone(voice_key=voice.pk)
        return super()._save(name, content)


def test_one_that_is_deleted_while_it_is_stored_leaves_no_file(
    client, alice, fish, stage, settings, media_dir, recording
):
    options = settings.STORAGES["default"]["OPTIONS"]
    backend = f"{__name__}.{SlowStorage.__name__}"
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": backend, "OPTIONS": options}}
    assert post(client, alice, form(recording)).status_code == 201
    folder = media_dir / str(alice.user.pk) / "recordings"
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_a_storage_that_fails_leaves_nothing(client, alice, fish, work, settings, tmp_path, recording):
    (tmp_path / "file").touch()
    broken = {"BACKEND": "fr02.media.SignedFileStorage", "OPTIONS": {"location": tmp_path / "file"}}
    settings.STORAGES = settings.STORAGES | {"default": broken}
    answer = post(client, alice, form(recording))
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    listed = client.get("/api/v1/voices/", headers=alice.headers).json()["voices"]
    assert [voice["title"] for voice in listed] == ["Ma première voix"]
    assert Voice.objects.get(kind="clone").deleted_at


def test_recordings_that_are_gone_fail_the_clone(client, alice, fish, work, recording):
    voice_id = post(client, alice, form(recording)).json()["fish_audio_model_id"]
    for row in Recording.objects.select_related("voice"):
        storages["default"].delete(row.audio_name)
    work()
    assert "pas pu être gardés" in state_of(client, alice, voice_id)["failure"]


def test_it_cannot_speak_before_it_is_ready(client, alice, fish, stage, recording):
    voice_id = post(client, alice, form(recording)).json()["fish_audio_model_id"]
    answer = client.post(
        "/api/v1/tts/quote",
        {"text": "Bonjour", "voice_id": voice_id},
        "application/json",
        headers=alice.headers,
    )
    assert answer.status_code == 409


@pytest.mark.parametrize("consent", ["", "false", None])
def test_without_consent_nothing_is_kept(client, alice, fish, recording, consent):
    data = form(recording)
    data.pop("consent")
    answer = post(client, alice, data | ({} if consent is None else {"consent": consent}))
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/consent"
    assert not Voice.objects.filter(kind="clone").exists()


def test_without_a_key_for_fish_it_says_so(client, alice, recording):
    answer = post(client, alice, form(recording))
    assert (answer.status_code, answer.json()["code"]) == (503, "engine_unavailable")
    assert "Fish Audio" in answer.json()["detail"]


def test_a_misspelt_field_is_named(client, alice, fish, recording):
    answer = post(client, alice, form(recording, titre="?"))
    assert answer.status_code == 400
    assert [item["pointer"] for item in answer.json()["errors"]] == ["/titre"]


def test_it_cannot_be_public_from_the_start(client, alice, fish, recording):
    answer = post(client, alice, form(recording, visibility="public"))
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/visibility"


def test_it_is_private_at_first(client, alice, fish, recording):
    answer = post(client, alice, form(recording, visibility="unlist"))
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/visibility"


def test_the_quota_holds(client, alice, fish, recording, settings):
    settings.VOICES_PER_ACCOUNT = 0
    answer = post(client, alice, form(recording))
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_nobody_may_clone_without_a_key(client, db, fish, recording):
    assert client.post("/api/v1/voices/", form(recording)).status_code == 401


def test_lists_may_carry_brackets(client, alice, fish, recording):
    data = form(recording)
    data["voices[]"] = data.pop("voices")
    assert post(client, alice, data | {"texts[]": TEXTS}).status_code == 201
