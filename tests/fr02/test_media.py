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
def test_a_part_that_is_not_there(server, link, asked):
    response = httpx.get(server.url + link, headers={"Range": asked})
    assert (response.status_code, response.headers["Content-Range"]) == (416, "bytes */100")


@pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "items=0-5", "bytes=", "bytes=-", "n'importe quoi"])
def test_what_is_not_one_part_gets_the_whole(server, link, asked):
    response = httpx.get(server.url + link, headers={"Range": asked})
    assert (response.status_code, response.content) == (200, AUDIO)
    assert "Content-Range" not in response.headers
