"""Reports and what moderators make of them."""

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from community.models import Report
from voices.models import Voice


@pytest.fixture
def moderator(client, django_user_model):
    user = django_user_model.objects.create_superuser("moderation@exemple.fr", "un mot de passe solide")
    client.force_login(user)
    return user


def url(voice):
    return f"/api/v1/community/models/{voice.public_id}/report"


def send(client, person, voice, **body):
    return client.post(url(voice), body, content_type="application/json", headers=person.headers)


def act(client, model, action, *keys):
    address = reverse(f"admin:{model}_changelist")
    answer = client.post(address, {"action": action, "_selected_action": keys}, follow=True)
    assert answer.status_code == 200
    return answer


def test_it_works(client, alice, make_voice):
    voice = make_voice()
    answer = send(client, alice, voice, reason="impersonation", detail="C’est\u202e ma voix.")
    assert answer.status_code == 201
    report = Report.objects.get()
    assert (report.voice, report.user, report.reason) == (voice, alice.user, "impersonation")
    assert report.detail == "C’est ma voix."
    assert client.get(url(voice).removesuffix("/report"), headers=alice.headers).status_code == 200


def test_what_nobody_reads_is_refused(client, alice, make_voice):
    answer = send(client, alice, make_voice(), reason="spam", detials="Voir le titre.")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/detials")
    assert not Report.objects.exists()


def test_a_second_report_changes_the_open_one(client, alice, bob, make_voice):
    voice = make_voice()
    send(client, alice, voice, reason="spam")
    send(client, alice, voice, reason="other", detail="Encore")
    send(client, bob, voice, reason="spam")
    assert sorted(Report.objects.values_list("reason", flat=True)) == ["other", "spam"]


@pytest.mark.parametrize(
    "body", [{}, {"reason": "x"}, {"reason": None}, {"reason": "spam", "detail": "x" * 2_001}]
)
def test_what_makes_no_sense_is_refused(client, alice, make_voice, body):
    answer = send(client, alice, make_voice(), **body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert not Report.objects.exists()


def test_somebody_elses_private_voice_is_not_found(client, alice, charlie, make_voice):
    assert (
        send(client, charlie, make_voice(owner=alice.user, visibility="private"), reason="spam").status_code
        == 404
    )


def test_a_moderator_hides_the_voice(client, alice, bob, make_voice, moderator):
    voice = make_voice("Offensante")
    for person in (alice, bob):
        send(client, person, voice, reason="offensive")
    act(client, "community_report", "hide_voice", Report.objects.filter(user=alice.user).get().pk)
    assert set(Report.objects.values_list("outcome", "moderator")) == {("hidden", moderator.pk)}
    search = client.get("/api/v1/community/models", {"search": "offensante"}, headers=bob.headers).json()
    assert search["total"] == 0
    assert client.get(url(voice).removesuffix("/report"), headers=bob.headers).status_code == 404
    act(client, "voices_voice", "unhide", voice.pk)
    assert client.get(url(voice).removesuffix("/report"), headers=bob.headers).status_code == 200


def test_each_decision_is_noted_in_the_history_of_the_voice(client, alice, make_voice, moderator):
    voice = make_voice()
    send(client, alice, voice, reason="spam")
    act(client, "community_report", "hide_voice", Report.objects.get().pk)
    act(client, "voices_voice", "unhide", voice.pk)
    act(client, "voices_voice", "hide", voice.pk)
    history = client.get(reverse("admin:voices_voice_history", args=[voice.pk])).content.decode()
    for words in ("Masquée après un signalement", "Montrée de nouveau", "Masquée"):
        assert words in history
    entries = LogEntry.objects.filter(object_id=str(voice.pk)).values_list("user__email", flat=True)
    assert list(entries) == [moderator.email] * 3


def test_a_hidden_voice_speaks_for_its_owner_only(client, alice, bob, make_voice, moderator):
    voice = make_voice(owner=alice.user, kind="blend")
    act(client, "voices_voice", "hide", voice.pk)
    quote = {"text": "Bonjour", "voice_id": voice.public_id}
    for person, status in ((alice, 200), (bob, 404)):
        answer = client.post(
            "/api/v1/tts/quote", quote, content_type="application/json", headers=person.headers
        )
        assert answer.status_code == status, answer.content


def test_a_moderator_dismisses_a_report(client, alice, make_voice, moderator):
    voice = make_voice()
    send(client, alice, voice, reason="spam")
    act(client, "community_report", "dismiss", Report.objects.get().pk)
    assert Report.objects.get().outcome == "dismissed"
    assert not Voice.objects.get(pk=voice.pk).is_hidden
    send(client, alice, voice, reason="spam")
    assert Report.objects.filter(resolved_at=None).count() == 1


@pytest.mark.parametrize("query", ["zanzibar", "alice@exemple.fr", "éléonore zanz", "", "z", "0" * 32])
def test_the_admin_searches_voices(client, alice, make_voice, moderator, query):
    voice = make_voice("Éléonore de Zanzibar", owner=alice.user, visibility="private")
    answer = client.get(reverse("admin:voices_voice_changelist"), {"q": query})
    found = voice.title in answer.content.decode()
    assert answer.status_code == 200
    assert found == (query not in ("z", "0" * 32))


@pytest.mark.parametrize("model", ["voices_voice", "community_report"])
def test_the_admin_lists_by_few_queries(
    client, alice, make_voice, moderator, model, django_assert_max_num_queries
):
    for number in range(30):
        voice = make_voice(f"Voix {number}", owner=alice.user)
        Report.objects.create(voice=voice, user=alice.user, reason="spam")
    with django_assert_max_num_queries(12):
        assert client.get(reverse(f"admin:{model}_changelist")).status_code == 200


def test_titles_are_text_in_the_admin(client, alice, make_voice, moderator):
    voice = make_voice("<script>alert(1)</script>")
    Report.objects.create(voice=voice, user=alice.user, reason="spam", detail="<img src=x onerror=alert(1)>")
    for model in ("voices_voice", "community_report"):
        page = client.get(reverse(f"admin:{model}_changelist")).content.decode()
        assert "<script>alert(1)" not in page
        assert "<img src=x" not in page
        assert "&lt;script&gt;alert(1)" in page
