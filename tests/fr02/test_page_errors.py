"""The pages for what goes wrong, and the catalogue that explains every code."""

import re

import httpx
import pytest
from django.db import connection
from django.test import Client
from django.utils.translation import trans_real

from fr02.error_catalogue import CATALOGUE
from fr02.errors import TITLES, Fr02Error, NotFound, problem


def every_error(base: type[Fr02Error] = Fr02Error) -> set[type[Fr02Error]]:
    return {base} | {error for child in base.__subclasses__() for error in every_error(child)}


def test_it_works(client, db):
    response = client.get("/nulle-part")
    page = response.content.decode()
    assert response.status_code == 404
    assert "Cette page n’existe pas." in page
    assert response["X-Request-Id"] in page
    assert "/developpeurs/erreurs#not_found" in page


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_an_unknown_api_address_answers_a_problem(db, method):
    response = Client(enforce_csrf_checks=True).generic(method, "/api/v1/nulle-part")
    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")
    assert response.json()["code"] == "not_found"


@pytest.mark.parametrize("path", ["/developpeurs", "/communaute", "/voix", "/credit", "/tarifs", "/admin"])
def test_a_page_typed_without_its_last_slash(client, db, path):
    response = client.get(path)
    assert (response.status_code, response["Location"]) == (301, f"{path}/")


def test_the_address_of_a_form_opened_as_a_page(client, alice):
    client.force_login(alice.user)
    response = client.get("/voix/melanger")
    assert (response.status_code, response["Allow"]) == (405, "POST")
    assert "Revenez par le menu" in response.content.decode()


@pytest.mark.parametrize("status", TITLES)
def test_the_title_of_a_problem_can_be_translated(status, monkeypatch):
    error = NotFound()
    error.status = status
    said = problem(error, "")["title"]
    assert type(said) is str
    monkeypatch.setattr(trans_real.DjangoTranslation, "gettext", lambda self, message: message.upper())
    assert problem(error, "")["title"] == said.upper() != said


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_an_unknown_api_address_wants_no_form_token(db, method):
    client = Client(enforce_csrf_checks=True)
    response = getattr(client, method)("/api/v1/nulle-part")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_a_form_without_boundary_is_refused_in_words(server, alice):
    headers = alice.headers | {"Content-Type": "multipart/form-data"}
    for path, status, code in (
        ("/api/v1/tts/quote", 415, "unsupported_media_type"),
        ("/api/v1/tts/", 400, "invalid_request"),
    ):
        response = httpx.post(f"{server.url}{path}", content=b'{"text": "Bonjour"}x', headers=headers)
        assert response.headers["Content-Type"] == "application/problem+json"
        assert (response.status_code, response.json()["code"]) == (status, code)


def test_an_error_page_asks_the_database_nothing(client, alice, django_assert_num_queries):
    client.force_login(alice.user)
    with django_assert_num_queries(0):
        assert client.get("/nulle-part").status_code == 404


def test_a_surprise_tells_nothing_of_the_inside(db, monkeypatch):
    def broken(request):
        raise RuntimeError("mot de passe de la base")

    monkeypatch.setattr("fr02.pages._origins", broken)
    response = Client(raise_request_exception=False).get("/developpeurs/")
    page = response.content.decode()
    assert response.status_code == 500
    assert "Une erreur interne est survenue" in page
    assert "mot de passe de la base" not in page
    assert "Traceback" not in page


def test_a_dead_database_still_gives_a_page(client, alice, monkeypatch):
    def dead(*args, **kwargs):
        raise ConnectionError("la base ne répond pas")

    client.force_login(alice.user)
    client.raise_request_exception = False
    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", dead)
        response = client.get("/developpeurs/")
    assert response.status_code == 500
    assert "Une erreur interne est survenue" in response.content.decode()


def test_the_catalogue_explains_every_error(client, db):
    # The first request loads every address, and so every module that refuses something.
    page = client.get("/developpeurs/erreurs").content.decode()
    explained = {entry.code: entry for entry in CATALOGUE}
    for error in every_error():
        entry = explained[error.code]
        assert entry.status == error.status
        assert entry.close_code in (None, error.close_code)
        assert f'id="{error.code}"' in page


@pytest.mark.parametrize(
    ("code", "close_code"),
    [("conflict", 4400), ("idle_timeout", 1008), ("internal_error", 1011), ("too_many_streams", 4429)],
)
def test_the_catalogue_says_how_sockets_end(client, db, code, close_code):
    (entry,) = [entry for entry in CATALOGUE if entry.code == code]
    assert entry.close_code == close_code
    asyncapi = client.get("/asyncapi.yaml").content.decode()
    assert re.search(rf"\b{close_code}\s+\([\w\s,]*\b{code}\b", asyncapi)


def test_the_limits_in_the_catalogue_are_those_of_this_server(client, db, settings):
    page = client.get("/developpeurs/erreurs").content.decode()
    assert "2\u202f000 caractères par POST, 10\u202f000 par WebSocket." in page
    assert f"{settings.SOCKET_IDLE_SECONDS:.0f} secondes." in page


def test_the_pages_leave_the_two_cookies_that_the_legal_page_names(client, alice):
    assert "deux cookies" in client.get("/mentions-legales").content.decode()
    client.post("/compte/login/", {"login": alice.user.email, "password": alice.password})
    voice = {"next": "/communaute/", "reason": "odd"}
    assert (
        client.post(f"/communaute/{alice.starter_id}/signaler/", voice).status_code == 302
    )  # leaves a message
    assert set(client.cookies) == {"sessionid", "csrftoken"}
    assert "Choisissez un motif de signalement." in client.get("/communaute/").content.decode()


@pytest.mark.parametrize("host", ["", "OVHcloud, 2 rue Kellermann, 59100 Roubaix"])
def test_the_legal_page_says_what_the_operator_said(client, db, settings, host):
    settings.PUBLISHER, settings.HOSTING_PROVIDER = "Voix SAS", host
    page = client.get("/mentions-legales").content.decode()
    assert "Voix SAS" in page
    assert ("n’a pas encore déclaré" in page) == (not host)
    assert host in page
