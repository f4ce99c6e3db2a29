"""`GET /media/…`: the audio behind FR02's own signed links, in whole and in part."""

from collections.abc import Iterator

import httpx
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages

AUDIO = bytes(range(100))
NAME = "essai/portion.mp3"


@pytest.fixture
def link() -> Iterator[str]:
    storages["default"].save(NAME, ContentFile(AUDIO))
    yield "/media/" + storages["default"].url(NAME).partition("/media/")[2]
    storages["default"].delete(NAME)


def test_it_works(server, link):
    response = httpx.get(server.url + link)
    assert (response.status_code, response.content) == (200, AUDIO)
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["Cache-Control"] == "private, max-age=300"
    assert "Content-Range" not in response.headers


@pytest.mark.parametrize(
    ("asked", "span"),
    [("bytes=0-9", (0, 9)), ("bytes=90-", (90, 99)), ("bytes=-5", (95, 99)), ("bytes=95-999", (95, 99))],
)
def test_a_part(server, link, asked, span):
    response = httpx.get(server.url + link, headers={"Range": asked})
    first, last = span
    assert (response.status_code, response.content) == (206, AUDIO[first : last + 1])
    assert response.headers["Content-Range"] == f"bytes {first}-{last}/100"


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=9-5", "bytes=-0"])
def test_a_part_that_is_not_there(client, link, asked):
    response = client.get(link, headers={"Range": asked})
    assert (response.status_code, response["Content-Range"]) == (416, "bytes */100")
    assert (response["Content-Type"], response["Accept-Ranges"]) == ("application/problem+json", "bytes")
    problem = response.json()
    assert (problem["code"], problem["title"]) == ("range_not_satisfiable", "Plage impossible")
    assert problem["detail"] == "Le fichier a 100 octets\u202f; la plage demandée n’en contient aucun."


def refused(client, url):
    response = client.get(url)
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")
    return response.json()["detail"]


def test_a_link_that_has_expired(client, link):
    assert refused(client, storages["default"].url(NAME, expire=-1)).startswith("Ce lien a expiré.")


def test_a_link_that_was_changed(client, link):
    later = link.replace("expires=", "expires=1")
    for url in (later, link + "x", link.split("?")[0], link.replace("portion", "autre")):
        assert refused(client, url) == "Ce lien n’est pas valide."


def test_a_file_that_is_gone(client, link):
    storages["default"].delete(NAME)
    response = client.get(link)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "items=0-5", "bytes=", "bytes=-", "n'importe quoi"])
def test_what_is_not_one_part_gets_the_whole(server, link, asked):
    response = httpx.get(server.url + link, headers={"Range": asked})
    assert (response.status_code, response.content) == (200, AUDIO)
    assert "Content-Range" not in response.headers
