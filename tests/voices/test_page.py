"""`/voix/`: the page of private voices, as it is sent."""

import re

from django.core.files.uploadedfile import SimpleUploadedFile

from tests.voices.sounds import encoded
from voices.builtin import builtin_id
from voices.models import Voice


def page(client, person, path="/voix/"):
    client.force_login(person.user)
    return client.get(path).content.decode()


def clone_form(**fields):
    files = {
        "recording-1": SimpleUploadedFile("a.webm", encoded(6, "webm")),
        "voices": SimpleUploadedFile("b.wav", encoded(6, "wav")),
    }
    return {"title": "Ma voix", "tags": "calme, grave", "consent": "true"} | files | fields


def test_it_works(client, alice, fish):
    said = page(client, alice)
    assert alice.starter_id in said
    assert "Cloner une voix" in said
    assert "Mélanger des voix" in said
    assert "permis par écrit" in said


def test_a_visitor_logs_in_first(client, db):
    assert client.get("/voix/")["Location"].startswith("/compte/login/")


def test_without_fish_it_says_that_cloning_is_not_possible_here(client, alice):
    said = page(client, alice)
    assert "n’est pas configuré sur ce serveur" in said
    assert "data-clone " not in said
    assert "Mélanger des voix" in said


def test_the_clone_form_works_without_script(client, alice, fish):
    client.force_login(alice.user)
    answer = client.post("/voix/cloner", clone_form())
    assert answer.status_code == 302, answer.content.decode()
    voice = Voice.objects.get(kind="clone")
    assert (voice.title, voice.tags, voice.state) == ("Ma voix", ["calme", "grave"], "created")
    texts = list(voice.recordings.order_by("pk").values_list("text", flat=True))
    assert texts[0].startswith("Ce matin")
    assert texts[1] == ""


def test_a_refusal_is_shown_on_the_form(client, alice, fish):
    client.force_login(alice.user)
    answer = client.post("/voix/cloner", clone_form(consent=""))
    assert answer.status_code == 400
    assert "Votre accord est requis" in answer.content.decode()
    answer = client.post("/voix/cloner", clone_form(title=""))
    assert answer.status_code == 400
    assert not Voice.objects.filter(kind="clone").exists()


def test_a_card_asks_for_itself_until_the_voice_is_ready(client, alice):
    voice = Voice.objects.create(
        owner=alice.user,
        kind="clone",
        engine="fish",
        state="training",
        title="Ma voix",
        reference={"id": "0" * 32},
    )
    address = f"/voix/{voice.public_id}/carte"
    assert f'hx-get="{address}" hx-trigger="every 3s"' in page(client, alice)
    Voice.objects.filter(pk=voice.pk).update(state="trained")
    said = page(client, alice, address)
    assert "hx-get" not in said
    assert "prête" in said


def test_a_blend_is_saved_by_the_form(client, alice):
    client.force_login(alice.user)
    form = {
        "blend-title": "Duo",
        "blend-language": "fr",
        "blend-voice-1": builtin_id("ff_siwis"),
        "blend-weight-1": "75",
    }
    form |= {"blend-voice-3": builtin_id("af_heart"), "blend-weight-3": "25"}
    assert client.post("/voix/melanger", form).status_code == 302
    voice = Voice.objects.get(kind="blend")
    assert voice.reference["styles"] == [["ff_siwis", 0.75], ["af_heart", 0.25]]
    answer = client.post("/voix/melanger", form | {"blend-voice-1": "", "blend-voice-3": ""})
    assert answer.status_code == 400
    assert "de 1 à 5 voix" in answer.content.decode()


def test_a_refused_form_comes_back_into_view(client, alice, fish):
    said = page(client, alice)
    for section in ("cloner", "melanger", "adopter"):
        assert f'action="/voix/{section}#{section}"' in said
        assert f'id="{section}"' in said


def test_titles_are_hostile_text(client, alice):
    title = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    Voice.objects.create(
        owner=alice.user, kind="blend", engine="kokoro", title=title, description=title, tags=[title]
    )
    said = page(client, alice)
    assert "<script>alert" not in said
    assert "<img" not in said


def test_no_inline_script_or_style(client, alice, fish):
    said = page(client, alice)
    assert not re.findall(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", said)


def test_many_voices_cost_no_more_queries(client, alice, fish, django_assert_max_num_queries):
    for number in range(30):
        Voice.objects.create(owner=alice.user, kind="blend", engine="kokoro", title=f"Voix {number}")
    client.force_login(alice.user)
    with django_assert_max_num_queries(8):
        client.get("/voix/")


def test_what_belongs_to_others_is_not_there(client, alice, charlie):
    voice = Voice.objects.create(owner=alice.user, kind="blend", engine="kokoro", title="À Alice")
    client.force_login(charlie.user)
    assert client.get(f"/voix/{voice.public_id}/carte").status_code == 404
    for action in ("modifier", "supprimer", "publier"):
        data = {"title": "À moi", "is_public": "True"}
        assert client.post(f"/voix/{voice.public_id}/{action}", data).status_code == 404
    voice.refresh_from_db()
    assert (voice.title, voice.deleted_at, voice.visibility) == ("À Alice", None, "private")
