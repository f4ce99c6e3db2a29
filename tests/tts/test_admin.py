"""Operators see how syntheses went, not what was said, and change nothing."""

import pytest
from django.utils import timezone

from accounts.models import User
from billing.models import Hold
from tts.models import Generation


@pytest.fixture
def operator(client, db):
    user = User.objects.create_superuser("admin@exemple.fr", "un mot de passe solide")
    client.force_login(user)
    return client


def fill(person, count):
    Generation.objects.bulk_create(
        Generation(
            user=person.user,
            hold=Hold.objects.create(
                account=person.user.credit_account,
                amount_micros=0,
                expires_at=timezone.now(),
                state="voided",
                closed_at=timezone.now(),
            ),
            engine="kokoro",
            source="rest",
            status="done",
            text="Un secret de client.",
            voice_title="Ma première voix",
            format="mp3",
            sample_rate=24_000,
            characters=20,
        )
        for _ in range(count)
    )


def test_it_works(operator, alice):
    fill(alice, 3)
    page = operator.get("/admin/tts/generation/").content.decode()
    assert page.count("Ma première voix") >= 3
    assert "alice@exemple.fr" in page
    row = Generation.objects.first()
    detail = operator.get(f"/admin/tts/generation/{row.pk}/change/").content.decode()
    assert "Un secret de client." not in page + detail


def test_as_many_queries_for_many_rows(operator, alice, django_assert_max_num_queries):
    fill(alice, 60)
    with django_assert_max_num_queries(15):
        operator.get("/admin/tts/generation/")


def test_nothing_can_be_changed(operator, alice):
    fill(alice, 1)
    row = Generation.objects.get()
    assert operator.get("/admin/tts/generation/add/").status_code == 403
    assert operator.post(f"/admin/tts/generation/{row.pk}/change/", {"status": "failed"}).status_code == 403
    assert operator.post(f"/admin/tts/generation/{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_customers_stay_out(client, alice):
    client.force_login(alice.user)
    assert client.get("/admin/tts/generation/").status_code == 302
