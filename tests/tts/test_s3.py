"""Audio in a bucket: a real FR02 on a real S3 server, from the first byte to the deletion."""

import time
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from django.db import connection

from billing.models import Hold
from billing.services import credit_of
from fr02.closing import close_account
from tests.bucket import BUCKET, start_bucket
from tests.recogniser import plain_words, recognise
from tests.servers import start_server
from tests.tts.sound import measure
from tests.tts.test_socket import listen, say
from tts.models import Generation

HELLO = "Bonjour à tous."
URL = "/api/v1/tts/"
# rclone answers 400 where Amazon says 403, to a link that has expired or bears no signature.
REFUSED = (400, 403)
LONG = "Cette phrase est assez longue pour durer plusieurs secondes, vraiment. " * 3 + "Fin."


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    bucket = start_bucket(tmp_path_factory.mktemp("s3"))
    yield bucket
    bucket.stop()


@pytest.fixture
def away(bucket):
    """Take the storage away, and bring it back after the test."""
    yield bucket.stop
    if bucket.process.poll() is not None:
        bucket.come_back()


@pytest.fixture(scope="module")
def _own():
    running = []
    yield running
    for server in running:
        server.stop()


@pytest.fixture
def server(stage, bucket, _own, media_dir, tmp_path_factory):
    """FR02 with the S3 settings, once for all tests here."""
    if not _own:
        _own.append(start_server(tmp_path_factory.mktemp("server"), media_dir, **bucket.settings))
    return _own[0]


def speak(server, person, text=HELLO, **parameters):
    body = {"text": text, **parameters}
    return httpx.post(server.url + URL, json=body, headers=person.headers, timeout=60)


def history(server, person):
    answer = httpx.get(f"{server.url}/api/v1/tts/history", headers=person.headers, timeout=30)
    return answer.json()["history"]


def closed(person):
    """Return the person's one synthesis, once it is closed."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and Hold.objects.open().exists():
        time.sleep(0.05)
    return Generation.objects.get(user=person.user)


@pytest.mark.parametrize(
    ("audio_format", "content_type"),
    [("mp3", "audio/mpeg"), ("wav", "audio/wav"), ("pcm", "audio/pcm"), ("opus", "audio/ogg")],
)
def test_it_works(server, bucket, alice, audio_format, content_type):
    body = speak(server, alice, format=audio_format).json()
    assert body["status"] == "done"
    link = urlsplit(body["audio_url"])
    query = parse_qs(link.query)
    assert (f"{link.scheme}://{link.netloc}", link.path.split("/")[1]) == (bucket.url, BUCKET)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == ["300"]
    assert "/eu-west-3/s3/" in query["X-Amz-Credential"][0]
    audio = httpx.get(body["audio_url"])
    assert (audio.status_code, audio.headers["Content-Type"]) == (200, content_type)
    assert audio.headers["Cache-Control"] == "private, max-age=300"
    assert len(audio.content) == body["size"]
    seconds, peak = measure(audio.content, audio_format)
    assert seconds == pytest.approx(body["duration_ms"] / 1000, rel=0.05)
    assert peak > 0.05
    row = Generation.objects.get(pk=body["id"])
    assert (bucket.objects / row.audio_name).read_bytes() == audio.content
    assert row.audio_name.startswith(f"{alice.user.pk}/")


def test_what_was_heard_live_is_what_the_history_gives(server, bucket, alice):
    sounds, texts, close_code = listen(server.url, alice.headers, say(HELLO))
    assert (texts, close_code) == ([], 1000)
    with httpx.stream(
        "POST", server.url + URL, json={"text": HELLO}, headers=alice.headers | {"Accept": "audio/*"}
    ) as answer:
        streamed = b"".join(answer.iter_raw())
    deadline = time.monotonic() + 10
    while (items := history(server, alice))[0]["status"] == "pending" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [item["source"] for item in items] == ["rest", "socket"]
    assert [httpx.get(item["audio_url"]).content for item in items] == [streamed, b"".join(sounds)]
    assert plain_words(recognise(streamed)) == "bonjour à tous"
    part = httpx.get(items[0]["audio_url"], headers={"Range": "bytes=10-19"})
    assert part.content == streamed[10:20]  # rclone says 200 to it, Amazon 206


def test_only_the_link_opens_the_audio(server, bucket, alice):
    address = speak(server, alice).json()["audio_url"]
    bare = address.split("?")[0]
    tampered = (
        bare,
        address.replace("X-Amz-Expires=300", "X-Amz-Expires=3000"),
        address[:-1] + ("0" if address[-1] != "0" else "1"),
        address.replace(".mp3?", ".wav?"),
    )
    assert all(httpx.get(one).status_code in REFUSED for one in tampered)
    assert httpx.put(address, content=b"x").status_code in REFUSED
    assert httpx.delete(address).status_code in REFUSED
    assert httpx.get(address).status_code == 200


def test_a_link_expires(stage, bucket, alice, media_dir, tmp_path):
    server = start_server(tmp_path, media_dir, AUDIO_LINK_SECONDS="1", **bucket.settings)
    try:
        address = speak(server, alice).json()["audio_url"]
        deadline = time.monotonic() + 15
        while (status := httpx.get(address).status_code) == 200 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert status in REFUSED
        fresh = httpx.get(f"{server.url}/api/v1/tts/history", headers=alice.headers).json()["history"][0]
        assert httpx.get(fresh["audio_url"]).status_code == 200
    finally:
        server.stop()


def test_the_same_request_gets_the_same_audio_again(server, alice):
    headers = alice.headers | {"Idempotency-Key": "une-fois"}
    body = {"text": HELLO}
    first = httpx.post(server.url + URL, json=body, headers=headers, timeout=60).json()
    again = httpx.post(server.url + URL, json=body, headers=headers | {"Accept": "audio/*"}, timeout=60)
    assert again.headers["X-Generation-Id"] == first["id"]
    assert again.content == httpx.get(first["audio_url"]).content


def test_deletion_deletes_the_object(server, bucket, alice):
    body = speak(server, alice).json()
    name = Generation.objects.get(pk=body["id"]).audio_name
    assert name in bucket.files()
    answer = httpx.delete(f"{server.url}/api/v1/tts/history/{body['id']}", headers=alice.headers)
    assert answer.status_code == 204
    assert name not in bucket.files()
    assert httpx.get(body["audio_url"]).status_code == 404


def test_without_storage_a_json_caller_pays_nothing(server, alice, away):
    before = credit_of(alice.user.pk).balance_micros
    away()
    answer = speak(server, alice)
    assert (answer.status_code, answer.json()["code"]) == (502, "engine_error")
    assert "enregistré" in answer.json()["detail"]
    row = closed(alice)
    assert (row.status, row.failure, row.audio_name, row.cost_micros) == ("failed", "storage_error", "", 0)
    credit = credit_of(alice.user.pk)
    assert (credit.balance_micros, credit.held_micros) == (before, 0)


def test_a_storage_that_goes_away_costs_a_live_listener_the_replay_only(server, alice, away):
    before = credit_of(alice.user.pk).balance_micros
    with httpx.stream(
        "POST",
        server.url + URL,
        json={"text": LONG},
        headers=alice.headers | {"Accept": "audio/*"},
        timeout=60,
    ) as answer:
        chunks = answer.iter_raw()
        sound = next(chunks)
        away()
        sound += b"".join(chunks)
    row = closed(alice)
    assert measure(sound)[0] == pytest.approx(row.duration_ms / 1000, rel=0.05)
    assert (row.status, row.audio_name, row.billed_characters) == ("done", "", len(LONG))
    assert before - credit_of(alice.user.pk).balance_micros == row.cost_micros > 0
    assert history(server, alice)[0]["audio_url"] is None


def test_the_socket_closes_well_without_storage(server, alice, away):
    away()
    sounds, texts, close_code = listen(server.url, alice.headers, say(HELLO))
    assert (texts, close_code) == ([], 1000)
    row = closed(alice)
    assert (row.status, row.audio_name, row.size) == ("done", "", sum(map(len, sounds)))


def test_a_closed_account_is_erased_once_the_storage_is_back(server, bucket, alice, away, work, settings):
    speak(server, alice)
    (name,) = [name for name in bucket.files() if name.startswith(f"{alice.user.pk}/")]
    settings.STORAGES = settings.STORAGES | {"default": bucket.storage}
    away()
    close_account(user=alice.user)
    work()
    assert Generation.objects.get(user=alice.user).audio_name == name
    bucket.come_back()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'")
    work()
    assert Generation.objects.get(user=alice.user).audio_name == ""
    assert name not in bucket.files()


def test_a_replay_without_storage_is_refused_in_words(server, alice, away):
    headers = alice.headers | {"Idempotency-Key": "une-fois"}
    httpx.post(server.url + URL, json={"text": HELLO}, headers=headers, timeout=60)
    away()
    headers |= {"Accept": "audio/*"}
    answer = httpx.post(server.url + URL, json={"text": HELLO}, headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")


def test_without_storage_nothing_is_deleted_and_nothing_lost(server, bucket, alice, away):
    body = speak(server, alice).json()
    address = f"{server.url}/api/v1/tts/history/{body['id']}"
    away()
    answer = httpx.delete(address, headers=alice.headers, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    assert history(server, alice)[0]["text"] == HELLO
    bucket.come_back()
    assert httpx.get(body["audio_url"]).status_code == 200
    assert httpx.delete(address, headers=alice.headers, timeout=60).status_code == 204
