"""`/developpeurs/`: the page in its owner's words, with the addresses of the host it was asked on."""

import hashlib
import html
import re
from pathlib import Path

import pytest
from django.test import Client

from fr02.highlight import highlight_python
from fr02.pages import CLIENT_SCRIPT

SEED_SHA256 = "43534a83659c1ef6a3e6cce9b0300114e8e0e3100731bd8f76410067bc4d26dc"
OWNERS_PAGE = Path(__file__).parent / "page-developpeurs.txt"
LOGGED_OUT_WORDS = "Connectez-vous pour gérer vos clés API"


def text_of(page: str) -> str:
    """Return what a page says, its white space made one space; the code block keeps its own order."""
    body = page[page.index("<main") : page.index("</main>")]
    body = re.sub(r"<(br|/?(p|div|h\d|li|ul|tr|t[dh]|section|pre|a|button|nav))\b[^>]*>", " ", body)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", body)).split())


def script_in(page: str) -> str:
    block = page[page.index('<code id="client-script">') + 25 :]
    return html.unescape(re.sub(r"<[^>]+>", "", block[: block.index("</code>")]))


def owners_lines() -> list[str]:
    """Return the lines of the owner's page outside the script, without their bullets."""
    page, script = OWNERS_PAGE.read_text(encoding="utf-8"), CLIENT_SCRIPT.read_text(encoding="utf-8")
    assert script in page
    return [line.strip(" •") for line in page.replace(script, "").splitlines() if line.strip()]


def get(client: Client, **extra) -> str:
    response = client.get("/developpeurs/", **extra)
    assert response.status_code == 200
    return response.content.decode()


def test_it_works(client, db):
    said = text_of(get(client, HTTP_HOST="localhost:8000")).replace(" ", "")
    position = 0
    for line in owners_lines():
        words = line.replace(" ", "")
        assert words in said[position:], f"« {line} » is missing, or not in its place"
        position = said.index(words, position) + len(words)


def test_the_owners_words_for_a_visitor_give_way_to_the_keys_of_an_account(client, alice):
    client.force_login(alice.user)
    said = text_of(get(client))
    assert LOGGED_OUT_WORDS not in said
    assert "Créer une clé" in said


def test_the_script_is_the_owners_to_the_byte():
    assert hashlib.sha256(CLIENT_SCRIPT.read_bytes()).hexdigest() == SEED_SHA256


def test_the_page_shows_that_very_script(client, db):
    assert script_in(get(client, HTTP_HOST="localhost:8000")) == CLIENT_SCRIPT.read_text(encoding="utf-8")


def test_the_download_is_that_very_script(client, db):
    response = client.get("/developpeurs/client_fr02.py", HTTP_HOST="localhost:8000")
    assert response.content == CLIENT_SCRIPT.read_bytes()
    assert response["Content-Disposition"] == 'attachment; filename="client_fr02.py"'


def test_addresses_are_those_of_the_host_asked(client, db, settings):
    settings.ALLOWED_HOSTS = ["voix.exemple.fr"]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    page = get(client, HTTP_HOST="voix.exemple.fr", HTTP_X_FORWARDED_PROTO="https")
    assert "wss://voix.exemple.fr/api/v1/tts/stream" in page
    script = script_in(page)
    assert 'BASE_URL = "https://voix.exemple.fr/api/v1"' in script
    assert 'base_url="https://voix.exemple.fr"' in script
    assert "localhost" not in page


def test_a_host_that_is_not_ours_is_refused(client, db):
    response = client.get("/developpeurs/", HTTP_HOST="ailleurs.exemple")
    assert response.status_code == 400
    assert "ailleurs.exemple" not in response.content.decode()


def test_the_home_address_leads_here(client, db):
    response = client.get("/")
    assert (response.status_code, response["Location"]) == (302, "/developpeurs/")


def test_no_inline_script_or_style(client, alice):
    client.force_login(alice.user)
    page = get(client)
    assert not re.findall(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", page)
    policy = client.get("/developpeurs/")["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'self'" in policy


@pytest.mark.parametrize(
    ("bucket", "endpoint", "sources"),
    [
        ("", "https://s3.us-east-1.amazonaws.com", "'self' blob:"),
        ("audio", "https://ref.supabase.example/storage/v1/s3", "'self' blob: https://ref.supabase.example"),
        ("audio", "http://127.0.0.1:9000", "'self' blob: http://127.0.0.1:9000"),
    ],
)
def test_audio_of_the_bucket_may_be_played(client, db, settings, bucket, endpoint, sources):
    settings.S3_BUCKET, settings.S3_ENDPOINT_URL = bucket, endpoint
    policy = client.get("/developpeurs/")["Content-Security-Policy"]
    assert f"media-src {sources}" in [part.strip() for part in policy.split(";")]


def test_a_visitor_costs_no_query(client, db, django_assert_num_queries):
    with django_assert_num_queries(0):
        get(client)


def test_many_keys_cost_no_more_queries(client, alice, django_assert_num_queries):
    client.force_login(alice.user)
    with django_assert_num_queries(3):  # session, account, keys
        get(client)


@pytest.mark.parametrize("source", ['x = "é"  # ô\n', "def f(a: int = 1):\n    return f'{a}'\n", ""])
def test_colours_change_no_letter(source):
    assert "".join(text for _kind, text in highlight_python(source)) == source
