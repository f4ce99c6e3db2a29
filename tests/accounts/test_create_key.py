"""Creating a key on the portal: `POST /developpeurs/cles`."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey
from accounts.services import KEYS_PER_ACCOUNT

URL = "/developpeurs/cles"
SECRET = re.compile(r"fr02_live_[0-9A-Za-z]{49}")


@pytest.fixture
def portal(client: Client, charlie) -> Client:
    ApiKey.objects.all().delete()
    client.force_login(charlie.user)
    return client


def create(portal: Client, name: str = "Site vitrine", expires_on: str = ""):
    return portal.post(URL, {"name": name, "expires_on": expires_on})


def secret_in(response) -> str:
    found = set(SECRET.findall(response.content.decode()))
    assert len(found) == 1
    return found.pop()


def test_it_works(portal, charlie):
    response = create(portal)
    assert response.status_code == 200
    assert "ne sera plus jamais affichée" in response.content.decode()
    secret = secret_in(response)
    assert keys.is_well_formed(secret)
    key = ApiKey.objects.get()
    assert (key.user, key.name, key.hint) == (charlie.user, "Site vitrine", f"fr02_live_…{secret[-4:]}")
    assert (key.expires_at, key.revoked_at, key.last_used_at) == (None, None, None)
    assert bytes(key.digest) == keys.digest(secret)


def test_the_key_opens_the_api(portal):
    secret = secret_in(create(portal))
    assert Client().get("/api/v1/voices/", HTTP_X_API_KEY=secret).status_code == 200
    assert ApiKey.objects.get().last_used_at is not None


def test_the_secret_is_shown_once_and_never_kept(portal):
    response = create(portal)
    secret = secret_in(response)
    assert "no-store" in response["Cache-Control"]
    for page in (URL, "/developpeurs/"):
        assert not SECRET.search(portal.get(page).content.decode())
    assert secret not in str(portal.session.items())
    assert secret.encode() not in bytes(ApiKey.objects.get().digest)


def test_the_last_day_counts_whole(portal):
    day = timezone.localdate() + timedelta(days=30)
    create(portal, expires_on=day.isoformat())
    expires_at = timezone.localtime(ApiKey.objects.get().expires_at)
    assert expires_at.date() == day + timedelta(days=1)
    assert (expires_at.hour, expires_at.minute) == (0, 0)


def test_a_french_date_is_understood(portal):
    create(portal, expires_on="31/12/2099")
    assert timezone.localtime(ApiKey.objects.get().expires_at).year == 2100


def test_a_name_is_shown_as_text(portal):
    page = create(portal, name="<b>Ma clé</b>").content.decode()
    assert "<b>Ma clé</b>" not in page
    assert "&lt;b&gt;Ma clé&lt;/b&gt;" in page


@pytest.mark.parametrize(
    ("name", "expires_on", "sentence"),
    [
        ("", "", "Donnez un nom à la clé."),
        ("   ", "", "Donnez un nom à la clé."),
        ("x" * 81, "", "80"),
        ("Essai", "2020-01-01", "La date d’expiration doit être dans le futur."),
        ("Essai", "demain", "Écrivez la date comme 31/12/2027."),
        ("Essai", "9999-12-31", "Écrivez la date comme 31/12/2027."),
    ],
)
def test_bad_input_is_refused(portal, name, expires_on, sentence):
    response = create(portal, name, expires_on)
    assert sentence in response.content.decode()
    assert not ApiKey.objects.exists()


def test_too_many_keys_are_refused(portal, charlie):
    digests = (number.to_bytes(32) for number in range(KEYS_PER_ACCOUNT))
    ApiKey.objects.bulk_create(
        ApiKey(user=charlie.user, name="Ancienne", hint="fr02_live_…aaaa", digest=digest, pepper_version=1)
        for digest in digests
    )
    assert "Révoquez-en une" in create(portal).content.decode()
    assert ApiKey.objects.count() == KEYS_PER_ACCOUNT


def test_a_visitor_is_led_to_the_login(client, db):
    response = create(client)
    assert response.status_code == 302
    assert response["Location"].startswith("/compte/login/")
    assert not ApiKey.objects.exists()


def test_a_form_without_its_token_is_refused(charlie):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(charlie.user)
    before = ApiKey.objects.count()
    response = create(strict)
    assert response.status_code == 403
    assert "Ce formulaire a expiré" in response.content.decode()
    assert ApiKey.objects.count() == before
