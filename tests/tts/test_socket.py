"""`WS /api/v1/tts/stream`, one-shot, from outside, on a real daphne."""

import concurrent.futures
import json
import time

import httpx
import pytest
from django.utils import timezone
from httpx_ws import WebSocketDisconnect, WebSocketUpgradeError, connect_ws
from wsproto.events import BytesMessage, TextMessage

from accounts.keys import generate_key
from billing.ledger import adjust_credit
from billing.models import Hold
from billing.services import credit_of
from tests.servers import start_server
from tests.tts.sound import measure
from tts.models import Generation

PATH = "/api/v1/tts/stream"
HELLO = "Bonjour à tous, il est quinze heures trente."
LONG = "Cette phrase est assez longue pour durer plusieurs secondes, vraiment. " * 20


def listen(url, headers, *messages, timeout=60.0, **connect):
    """Send messages and return (binary frames, text frames, close code)."""
    sounds, texts = [], []
    with (
        httpx.Client(base_url=url, timeout=30) as client,
        connect_ws(PATH, client, headers=headers, **connect) as ws,
    ):
        for message in messages:
            ws.send_bytes(message) if isinstance(message, bytes) else ws.send_text(message)
        try:
            while True:
                event = ws.receive(timeout=timeout)
                if isinstance(event, BytesMessage):
                    sounds.append(bytes(event.data))
                elif isinstance(event, TextMessage):
                    texts.append(event.data)
        except WebSocketDisconnect as closed:
            return sounds, texts, closed.code


def say(text=HELLO, **parameters):
    return json.dumps({"text": text, **parameters})


def assert_refused(answer, close_code, code):
    sounds, texts, closed = answer
    assert (sounds, len(texts), closed) == ([], 1, close_code)
    problem = json.loads(texts[0])
    assert problem["code"] == code
    assert problem["detail"]
    assert "Traceback" not in texts[0]


def assert_nothing_lost(person, balance_micros):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and Hold.objects.open().exists():
        time.sleep(0.05)
    credit = credit_of(person.user.pk)
    assert (credit.balance_micros, credit.held_micros) == (balance_micros, 0)
    assert not Generation.objects.filter(user=person.user, status="pending").exists()


@pytest.mark.parametrize("audio_format", ["mp3", "wav", "pcm", "opus"])
def test_it_works(server, alice, audio_format):
    before = credit_of(alice.user.pk).balance_micros
    sounds, texts, closed = listen(
        server.url, alice.headers, say(format=audio_format, voice_id=alice.starter_id)
    )
    assert (texts, closed) == ([], 1000)
    assert all(0 < len(sound) <= 64 * 1024 for sound in sounds)
    row = Generation.objects.get(user=alice.user)
    assert (row.status, row.source, row.size) == ("done", "socket", sum(map(len, sounds)))
    seconds, peak = measure(b"".join(sounds), audio_format)
    assert seconds == pytest.approx(row.duration_ms / 1000, rel=0.05)
    assert peak > 0.05
    assert_nothing_lost(alice, before - row.cost_micros)


def test_a_null_voice_is_the_default_voice(server, alice):
    sounds, _texts, closed = listen(server.url, alice.headers, say(voice_id=None, format="mp3"))
    assert closed == 1000
    assert sounds


def test_the_first_audio_of_a_long_text_comes_before_its_first_sentence_is_complete(server, alice):
    text = (
        "Quand le soleil se lève sur la vallée, les oiseaux chantent dans les arbres du grand parc municipal. "
        * 5
    )
    sounds, _texts, closed = listen(server.url, alice.headers, say(text, format="pcm"))
    row = Generation.objects.get(user=alice.user)
    assert closed == 1000
    assert len(row.segments[0]["text"]) < 60
    assert row.first_audio_ms < row.duration_ms / 5
    assert len(sounds) > 3


BAD_MESSAGES = {
    "malformed": ("{", 4400, "invalid_request"),
    "binary": (b'{"text": "a"}', 4400, "invalid_request"),
    "no text": ("{}", 4400, "invalid_request"),
    "NaN": ('{"text": "a", "speed": NaN}', 4400, "invalid_request"),
    "surrogate": ('{"text": "\\udfff"}', 4400, "invalid_request"),
    "surrogate as a name": ('{"text": "a", "\\ud800": 1}', 4400, "invalid_request"),
    "speed beyond floats": (say("a", speed=10**400), 4400, "invalid_request"),
    "unknown field": (say("a", speaker=1), 4400, "invalid_request"),
    "out of range": (say("a", speed=3), 4400, "invalid_request"),
    "unknown voice": (say("a", voice_id="f" * 32), 4404, "voice_not_found"),
    "10001 characters": (say("a" * 10_001), 4413, "text_too_long"),
    "65 KiB": (say("a", voice_id="b" * 65 * 1024), 4413, "file_too_large"),
    "nothing to say": (say("?!"), 4400, "invalid_request"),
}


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_bad_messages(server, alice, name):
    message, close_code, code = BAD_MESSAGES[name]
    before = credit_of(alice.user.pk).balance_micros
    assert_refused(listen(server.url, alice.headers, message), close_code, code)
    assert_nothing_lost(alice, before)


def test_a_voice_that_is_not_ready(server, alice):
    voice_id = alice.starter_id
    alice.user.voices.update(state="training")
    assert_refused(listen(server.url, alice.headers, say(voice_id=voice_id)), 4400, "conflict")


def test_no_credit(server, charlie):
    credit = credit_of(charlie.user.pk)
    adjust_credit(
        user_id=charlie.user.pk,
        amount_micros=-credit.balance_micros,
        reason="Essai",
        actor_id=charlie.user.pk,
    )
    assert_refused(listen(server.url, charlie.headers, say()), 4402, "insufficient_credit")


@pytest.mark.parametrize("key", [None, "n'importe quoi", "unknown", "revoked", "expired"])
def test_bad_keys_are_refused_before_the_upgrade(server, alice, key):
    if key == "revoked":
        alice.user.api_keys.update(revoked_at=timezone.now())
    if key == "expired":
        alice.user.api_keys.update(expires_at=timezone.now())
    value = {"unknown": generate_key(), "revoked": alice.key, "expired": alice.key}.get(key, key)
    with pytest.raises(WebSocketUpgradeError) as refusal:
        listen(server.url, {"X-API-Key": value} if value else {}, say())
    assert refusal.value.response.status_code == 403


def test_two_messages_at_once(server, alice):
    before = credit_of(alice.user.pk).balance_micros
    _sounds, texts, closed = listen(server.url, alice.headers, say(LONG), say(LONG))
    assert closed == 4400
    assert json.loads(texts[-1])["code"] == "invalid_request"
    assert_nothing_lost(alice, before - cost_once_settled(alice))


def test_a_client_who_leaves_stops_the_engine_and_pays_for_what_was_sent(server, alice):
    before = credit_of(alice.user.pk).balance_micros
    with httpx.Client(base_url=server.url) as client, connect_ws(PATH, client, headers=alice.headers) as ws:
        ws.send_text(say(LONG, format="pcm"))
        ws.receive_bytes(timeout=30)
    assert_nothing_lost(alice, before - cost_once_settled(alice))
    row = Generation.objects.get(user=alice.user)
    assert (row.status, row.failure) == ("partial", "client_left")
    assert 0 < row.billed_characters < row.characters / 2


def test_who_leaves_before_the_engine_starts_leaves_nothing_open(server, alice):
    before = credit_of(alice.user.pk).balance_micros
    for _ in range(10):
        with (
            httpx.Client(base_url=server.url) as client,
            connect_ws(PATH, client, headers=alice.headers) as ws,
        ):
            ws.send_text(say(LONG))
            ws.send_text(say(LONG))
    assert_nothing_lost(alice, before - cost_once_settled(alice))


def cost_once_settled(person):
    """Return what everything cost, once nothing has been open for a second: a row may still be on its way."""
    deadline, quiet_since = time.monotonic() + 20, time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - quiet_since < 1:
        if Hold.objects.open().exists() or Generation.objects.filter(status="pending").exists():
            quiet_since = time.monotonic()
        time.sleep(0.05)
    return sum(row.cost_micros for row in Generation.objects.filter(user=person.user))


def test_a_revoked_key_closes_its_open_socket(server, alice):
    with httpx.Client(base_url=server.url) as client, connect_ws(PATH, client, headers=alice.headers) as ws:
        alice.user.api_keys.update(revoked_at=timezone.now())
        started = time.monotonic()
        assert json.loads(ws.receive_text(timeout=10))["code"] == "invalid_api_key"
        assert time.monotonic() - started < 5
        with pytest.raises(WebSocketDisconnect) as closed:
            ws.receive(timeout=5)
        assert closed.value.code == 1008


def test_a_socket_that_stays_silent_is_closed(stage, alice, media_dir, tmp_path):
    own = start_server(tmp_path, media_dir, SOCKET_IDLE_SECONDS="1")
    try:
        _sounds, texts, closed = listen(own.url, alice.headers, timeout=10)
    finally:
        own.stop()
    assert closed == 1008
    assert json.loads(texts[0])["code"] == "idle_timeout"


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [
        (None, True),
        ("{url}", True),
        ("http://exemple.fr", False),
        ("null", False),
        ("http://localhost.exemple.fr", False),
        ("http://localhost:1", False),
        ("http://[", False),
    ],
)
def test_origins(server, alice, origin, is_allowed):
    headers = alice.headers | ({"Origin": origin.format(url=server.url)} if origin else {})
    if is_allowed:
        assert listen(server.url, headers, say("Oui."))[2] == 1000
    else:
        with pytest.raises(WebSocketUpgradeError) as refusal:
            listen(server.url, headers, say("Oui."))
        assert refusal.value.response.status_code in (400, 403)


def test_a_browser_ticket_opens_one_socket(server, alice, client):
    client.force_login(alice.user)
    answer = client.post("/api/v1/tts/stream-token").json()
    assert listen(server.url, {}, say("Oui."), subprotocols=answer["subprotocols"])[2] == 1000
    with pytest.raises(WebSocketUpgradeError):
        listen(server.url, {}, say("Oui."), subprotocols=answer["subprotocols"])


def test_a_program_needs_no_ticket(alice, client):
    """It is told so, where it was told that it lacks a session; a key that does not open gets its usual answer."""
    for key, status in ((alice.key, 403), (generate_key(), 401)):
        answer = client.post("/api/v1/tts/stream-token", headers={"X-API-Key": key})
        assert answer.status_code == status
        assert ("Ouvrez la WebSocket avec votre clé" in answer.json()["detail"]) == (status == 403)
    assert client.post("/api/v1/tts/stream-token").status_code == 401


def test_a_session_alone_opens_no_socket(server, alice, client):
    client.force_login(alice.user)
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    with pytest.raises(WebSocketUpgradeError):
        listen(server.url, {"Cookie": cookie}, say("Oui."))


def test_an_unknown_address_is_refused(server, alice):
    with httpx.Client(base_url=server.url) as client, pytest.raises(WebSocketUpgradeError):  # noqa: SIM117
        with connect_ws("/api/v1/nothing", client, headers=alice.headers):
            pass


def test_four_at_once_hear_no_gap_or_are_refused_at_once(server, alice):
    """Play four streams at their own pace; lists and pages answer quickly meanwhile.

    What else the machine does counts too, so one crowd of four must be heard with hardly a gap; the schedule
    itself is proven with a clock in test_scheduler.py, and `python -m bench.speech` prints every silence.
    """
    listen(server.url, alice.headers, say(CROWD_TEXT))  # the engine knows its pace
    stalls = []
    for _ in range(4):
        results, waits = _crowd(server, alice)
        heard = [result for result in results if result["code"] == 1000]
        refused = [result for result in results if result["code"] == 1013]
        assert len(heard) + len(refused) == 4
        assert heard
        assert all(result["seconds"] < 3 for result in refused), results
        assert sorted(waits)[len(waits) // 2] < 0.1
        stalls.append(max(result["stall_s"] for result in heard))
        if stalls[-1] < 0.75:
            break
    assert min(stalls) < 0.75, stalls


CROWD_TEXT = (
    "Nous vous remercions de votre appel, un conseiller va vous répondre dans quelques instants. " * 6
)


def _crowd(server, account):
    """Return what four listeners heard, and the seconds that a list took each time meanwhile."""
    waits = []
    with (
        concurrent.futures.ThreadPoolExecutor(4) as threads,
        httpx.Client(base_url=server.url, headers=account.headers) as client,
    ):
        running = [threads.submit(_stall, server.url, account.headers, CROWD_TEXT) for _ in range(4)]
        while not all(job.done() for job in running):
            for path in ("/api/v1/voices/", "/developpeurs/"):
                started = time.monotonic()
                assert client.get(path).status_code == 200
                waits.append(time.monotonic() - started)
            time.sleep(0.1)
        return [job.result() for job in running], waits


def _stall(url, headers, text):
    """Return the longest time that a listener who plays as it arrives would have had to wait, in seconds."""
    started = time.monotonic()
    played_until, stall_s, code = None, 0.0, None
    with httpx.Client(base_url=url) as client, connect_ws(PATH, client, headers=headers) as ws:
        ws.send_text(say(text, format="pcm"))
        try:
            while True:
                event = ws.receive(timeout=60)
                now = time.monotonic()
                if isinstance(event, BytesMessage):
                    played_until = now if played_until is None else played_until
                    stall_s = max(stall_s, now - played_until)
                    played_until = max(played_until, now) + len(event.data) / 48_000
        except WebSocketDisconnect as closed:
            code = closed.code
    return {"code": code, "stall_s": stall_s, "seconds": time.monotonic() - started}
