"""`DELETE /api/v1/voices/{id}`, and the end of an account: what is gone is gone upstream too."""

from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from accounts.models import ApiKey, User
from billing.services import credit_of, hold_credit
from fr02.closing import close_account
from tests.voices.test_rename import with_clone
from tts.models import Generation
from voices import alarms, cloning, erasing
from voices.models import Consent, Recording, UpstreamAlarm, Voice


@pytest.fixture
def voice(alice) -> Voice:
    styles = {"styles": [["ff_siwis", 1.0]], "language": "fr-fr"}
    return Voice.objects.create(
        owner=alice.user, kind="blend", engine="kokoro", title="Mienne", reference=styles
    )


def delete(client, person, voice):
    return client.delete(f"/api/v1/voices/{voice.public_id}", headers=person.headers)


def jobs_of(voice):
    return ProcrastinateJob.objects.filter(task_name="voices.tasks.erase_clone", args__voice_key=voice.pk)


def test_it_works(client, alice, voice):
    assert delete(client, alice, voice).status_code == 204
    assert client.get(f"/api/v1/voices/{voice.public_id}", headers=alice.headers).status_code == 404
    quote = {"text": "Bonjour", "voice_id": voice.public_id}
    assert (
        client.post("/api/v1/tts/quote", quote, "application/json", headers=alice.headers).status_code == 404
    )
    assert delete(client, alice, voice).status_code == 404


def test_a_clone_goes_upstream_with_its_consent(client, alice, fish, work, voice):
    with_clone(fish, voice)
    Consent.objects.create(voice=voice, user=alice.user, statement="oui")
    delete(client, alice, voice)
    work()
    assert fish.app.models.clones == {}
    assert not Consent.objects.exists()
    voice.refresh_from_db()
    assert (voice.reference, bool(voice.deleted_at)) == ({}, True)


def test_an_upstream_that_fails_is_asked_again_later(client, alice, fish, work, voice):
    with_clone(fish, voice)
    fish.fail("status", where="model", status=503, message="overloaded", times=1)
    delete(client, alice, voice)
    work()
    assert len(fish.app.models.clones) == 1
    # The retry is due later; should its job be lost, the sweep takes it up.
    jobs_of(voice).update(status="failed")
    Voice.objects.filter(pk=voice.pk).update(updated_at=timezone.now() - timedelta(hours=7))
    erasing.take_up_erasures()
    work()
    assert fish.app.models.clones == {}


def test_a_storage_that_fails_is_asked_again_and_nothing_is_forgotten(
    client, alice, fish, work, voice, media_dir
):
    with_clone(fish, voice)
    Consent.objects.create(voice=voice, user=alice.user, statement="oui")
    row = Recording.objects.create(voice=voice, name="prise", duration_ms=4_000)
    # A folder with something in it cannot be deleted as a file.
    obstacle = media_dir / row.audio_name / "dedans"
    obstacle.mkdir(parents=True)
    delete(client, alice, voice)
    work()
    assert fish.app.models.clones == {}
    (job,) = jobs_of(voice)
    assert (job.status, job.attempts) == ("todo", 1)
    assert Voice.objects.get(pk=voice.pk).reference == {"id": "c" * 32}
    obstacle.rmdir()
    erasing.erase_clone(voice_key=voice.pk)
    assert not Recording.objects.exists()
    assert not Consent.objects.exists()
    assert Voice.objects.get(pk=voice.pk).reference == {}


@pytest.mark.parametrize("state", ["trained", "failed"])
def test_recordings_that_were_left_behind_are_swept(alice, fish, work, voice, state):
    row = Recording.objects.create(voice=voice, name="prise", duration_ms=4_000)
    storages["default"].save(row.audio_name, ContentFile(b"son"))
    long_ago = timezone.now() - timedelta(hours=7)
    Voice.objects.filter(pk=voice.pk).update(kind="clone", engine="fish", state=state, updated_at=long_ago)
    erasing.take_up_erasures()
    work()
    assert not storages["default"].exists(row.audio_name)
    assert not Recording.objects.exists()


def test_an_erasure_is_planned_once_and_told_when_it_takes_too_long(client, alice, fish, stage, voice):
    with_clone(fish, voice)
    delete(client, alice, voice)
    long_ago = timezone.now() - timedelta(hours=25)
    for _sweep in range(3):
        Voice.objects.filter(pk=voice.pk).update(updated_at=long_ago)
        erasing.take_up_erasures()
    assert jobs_of(voice).count() == 1
    assert not UpstreamAlarm.objects.exists()
    Voice.objects.filter(pk=voice.pk).update(deleted_at=long_ago)
    erasing.take_up_erasures()
    alarm = UpstreamAlarm.objects.get()
    assert (alarm.kind, alarm.resolved_at) == ("erasure", None)
    assert alarms.resolve_alarms() == 0
    erasing.erase_clone(voice_key=voice.pk)
    erasing.take_up_erasures()
    alarm.refresh_from_db()
    assert alarm.resolved_at


def test_one_that_is_gone_upstream_is_no_error(client, alice, fish, work, voice):
    with_clone(fish, voice)
    fish.app.models.clones.clear()
    delete(client, alice, voice)
    work()
    voice.refresh_from_db()
    assert voice.reference == {}


def test_a_clone_deleted_while_it_is_made_does_not_stay(client, alice, fish, work, voice):
    with_clone(fish, voice)
    Voice.objects.filter(pk=voice.pk).update(state="training")
    delete(client, alice, voice)
    cloning.advance_clone(voice_key=voice.pk)
    work()
    assert fish.app.models.clones == {}


def test_a_public_voice_leaves_the_community(client, alice, voice):
    client.post(f"/api/v1/voices/{voice.public_id}/publish", {}, "application/json", headers=alice.headers)
    assert client.get(f"/api/v1/community/models/{voice.public_id}", headers=alice.headers).status_code == 200
    delete(client, alice, voice)
    assert client.get(f"/api/v1/community/models/{voice.public_id}", headers=alice.headers).status_code == 404


def test_somebody_elses_is_not_there(client, charlie, voice):
    assert delete(client, charlie, voice).status_code == 404
    voice.refresh_from_db()
    assert voice.deleted_at is None


def test_a_closed_account_leaves_nothing_but_its_entries(client, alice, fish, work, voice):
    with_clone(fish, voice)
    storages["default"].save(f"{alice.user.pk}/essai.mp3", ContentFile(b"son"))
    hold = hold_credit(user_id=alice.user.pk, amount_micros=1, life_s=60)
    generation = Generation.objects.create(
        user=alice.user, hold=hold, voice=voice, voice_title="Mienne", engine="fish", source="rest", status="done",
        text="Mon secret", format="mp3", sample_rate=44_100, characters=10, audio_name=f"{alice.user.pk}/essai.mp3",
    )  # fmt: skip
    balance_micros = credit_of(alice.user.pk).balance_micros
    close_account(user=alice.user)
    work()
    generation.refresh_from_db()
    assert (generation.text, generation.audio_name, generation.voice_title) == ("", "", "")
    assert not storages["default"].exists(f"{alice.user.pk}/essai.mp3")
    assert fish.app.models.clones == {}
    user = User.objects.get(pk=alice.user.pk)
    assert not user.is_active
    assert "alice" not in user.email
    assert not ApiKey.objects.usable().filter(user=user).exists()
    assert client.get("/api/v1/voices/", headers=alice.headers).status_code == 401
    assert credit_of(user.pk).balance_micros == balance_micros
    voice.refresh_from_db()
    assert voice.title == "Voix supprimée"


def confirm_password(client, person, path="/compte/fermer"):
    client.force_login(person.user)
    return client.post(f"/compte/reauthenticate/?next={path}", {"password": person.password})


def test_closing_by_the_page(client, alice):
    assert confirm_password(client, alice)["Location"] == "/compte/fermer"
    page = client.get("/compte/fermer")
    assert "définitive" in page.content.decode()
    wrong = client.post("/compte/fermer", {"email": "bob@exemple.fr"})
    assert wrong.status_code == 400
    assert User.objects.get(pk=alice.user.pk).is_active
    done = client.post("/compte/fermer", {"email": "Alice@exemple.fr"})
    assert (done.status_code, done["Location"]) == (302, "/developpeurs/")
    assert not User.objects.get(pk=alice.user.pk).is_active
    assert client.get("/voix/").status_code == 302


def test_closing_asks_for_the_password_again(client, alice):
    client.force_login(alice.user)
    assert client.get("/compte/fermer")["Location"].startswith("/compte/reauthenticate/")
    assert client.post("/compte/fermer", {"email": alice.user.email}).status_code == 302
    assert User.objects.get(pk=alice.user.pk).is_active
    # What was asked for goes on once the password was right.
    client.post("/compte/reauthenticate/?next=/compte/fermer", {"password": "autre"})
    assert User.objects.get(pk=alice.user.pk).is_active
    answer = client.post("/compte/reauthenticate/?next=/compte/fermer", {"password": alice.password})
    assert answer.status_code == 302
    assert not User.objects.get(pk=alice.user.pk).is_active
    assert client.get("/voix/").status_code == 302


def test_an_operator_cannot_close_the_own_account(client, alice):
    User.objects.filter(pk=alice.user.pk).update(is_staff=True)
    confirm_password(client, alice)
    client.post("/compte/fermer", {"email": alice.user.email})
    assert User.objects.get(pk=alice.user.pk).is_active
