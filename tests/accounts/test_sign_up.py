"""From nothing to a key that speaks: sign-up, mail, confirmation, login. All in French."""

import re

import pytest
from django.core import mail
from django.test import Client
from django.utils.translation import gettext

from accounts.models import User

EMAIL, PASSWORD = "nouvelle@exemple.fr", "Une phrase 42 solide"


def sign_up(client: Client, email: str = EMAIL, password: str = PASSWORD):
    return client.post("/compte/signup/", {"email": email, "password1": password, "password2": password})


def log_in(client: Client, email: str = EMAIL, password: str = PASSWORD, **extra):
    return client.post("/compte/login/", {"login": email, "password": password}, **extra)


def test_it_works(client, db):
    assert sign_up(client)["Location"] == "/compte/confirm-email/"
    message = mail.outbox[0]
    assert message.to == [EMAIL]
    assert message.subject == "[FR02] Confirmez votre adresse e-mail"
    assert "Un compte FR02 vient d’être demandé" in message.body
    link = re.search(r"http://testserver(/compte/confirm-email/\S+)", message.body)[1]
    assert "Confirmer" in client.get(link).content.decode()
    client.post(link)
    assert log_in(client)["Location"] == "/developpeurs/"
    page = client.post("/developpeurs/cles", {"name": "Premier projet"}).content.decode()
    secret = re.search(r"fr02_live_[0-9A-Za-z]{49}", page)[0]
    voices = Client().get("/api/v1/voices/", HTTP_X_API_KEY=secret).json()["voices"]
    assert len(voices) == 1


def test_an_unconfirmed_address_does_not_get_in(client, db):
    sign_up(client)
    assert log_in(client)["Location"] == "/compte/confirm-email/"
    assert client.get("/developpeurs/cles").status_code == 302


def test_a_known_address_is_not_told_apart(client, alice):
    assert sign_up(client, alice.user.email)["Location"] == "/compte/confirm-email/"
    assert User.objects.count() == 1
    assert "compte" in mail.outbox[0].body


@pytest.mark.parametrize("password", ["court", "motdepasse", "12345678", EMAIL])
def test_a_weak_password_is_refused(client, db, password):
    assert "mot de passe" in sign_up(client, password=password).content.decode()
    assert not User.objects.exists()


def test_a_wrong_password_is_refused(client, alice):
    page = log_in(client, alice.user.email, "faux").content.decode()
    assert 'role="alert"' in page
    assert client.get("/developpeurs/cles").status_code == 302


def test_the_case_of_an_address_does_not_matter(client, alice):
    assert log_in(client, alice.user.email.upper(), alice.password)["Location"] == "/developpeurs/"


def test_a_forgotten_password_is_replaced_by_mail(client, alice):
    client.post("/compte/password/reset/", {"email": alice.user.email})
    link = re.search(r"http://testserver(/compte/password/reset/key/\S+)", mail.outbox[0].body)[1]
    form = client.get(link, follow=True)
    client.post(form.redirect_chain[-1][0], {"password1": PASSWORD, "password2": PASSWORD})
    assert log_in(client, alice.user.email)["Location"] == "/developpeurs/"


def test_login_leads_back_to_a_page_of_ours_only(client, alice):
    answer = client.post(
        "/compte/login/",
        {"login": alice.user.email, "password": alice.password, "next": "https://ailleurs.exemple/"},
    )
    assert answer["Location"] == "/developpeurs/"


@pytest.mark.parametrize(
    "address",
    [
        "/compte/login/",
        "/compte/signup/",
        "/compte/password/reset/",
        "/compte/password/reset/done/",
        "/compte/confirm-email/",
        "/compte/confirm-email/rien/",
    ],
)
def test_every_door_has_our_frame_and_speaks_french(client, db, address):
    page = client.get(address).content.decode()
    assert '<html lang="fr">' in page
    assert "css/tokens.css" in page
    assert not re.search(r"\b(Please|Password|Sign|Your)\b", page)


@pytest.mark.parametrize(
    "address",
    [
        "/compte/email/",
        "/compte/password/change/",
        "/compte/2fa/",
        "/compte/2fa/totp/activate/",
        "/compte/logout/",
    ],
)
def test_every_account_page_has_our_frame_and_speaks_french(client, alice, address):
    log_in(client, alice.user.email, alice.password)
    page = client.get(address, follow=True).content.decode()
    assert '<html lang="fr">' in page
    assert "css/tokens.css" in page
    assert not re.search(r"\b(Please|Password|Sign|Your)\b", page)


def test_our_own_french_is_compiled():
    assert gettext("Email") == "Adresse e-mail"
    assert gettext("Type to search") == "Rechercher"
