"""What a crash leaves open is closed, at the price of what was delivered."""

import json
import threading
import time
from datetime import timedelta

import httpx
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import connection, transaction
from django.utils import timezone
from httpx_ws import connect_ws

from billing.models import Hold
from billing.services import credit_of, hold_credit
from tests.servers import start_server
from tests.tts.test_socket import LONG
from tts.models import Generation
from tts.services import Delivery, close_generation, sweep_generations


@pytest.fixture
def doomed(stage, media_dir, tmp_path):
    server = start_server(tmp_path, media_dir)
    yield server
    server.kill()


def test_it_works(doomed, alice):
    before = credit_of(alice.user.pk).balance_micros
    client = httpx.Client(base_url=doomed.url)
    with client, connect_ws("/api/v1/tts/stream", client, headers=alice.headers) as socket:
        socket.send_text(json.dumps({"text": LONG * 3, "format": "pcm"}))
        deadline = time.monotonic() + 30
        while not Generation.objects.filter(user=alice.user, billed_characters__gt=0).exists():
            socket.receive_bytes(timeout=30)
            assert time.monotonic() < deadline
        doomed.kill()
    row = Generation.objects.get(user=alice.user)
    assert (row.status, row.hold.state) == ("pending", "open")
    assert sweep_generations() == 0, "its hold has not expired: the process may still live"
    Hold.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert sweep_generations() == 1
    row.refresh_from_db()
    assert (row.status, row.failure) == ("partial", "interrupted")
    assert 0 < row.billed_characters < row.characters
    credit = credit_of(alice.user.pk)
    assert (credit.balance_micros, credit.held_micros) == (before - row.cost_micros, 0)
    assert row.cost_micros > 0
    assert sweep_generations() == 0


def test_what_delivered_nothing_costs_nothing(doomed, alice):
    before = credit_of(alice.user.pk).balance_micros
    client = httpx.Client(base_url=doomed.url)
    with client, connect_ws("/api/v1/tts/stream", client, headers=alice.headers) as socket:
        socket.send_text(json.dumps({"text": LONG}))
        deadline = time.monotonic() + 30
        while not Generation.objects.filter(user=alice.user).exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        doomed.kill()
    Hold.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert sweep_generations() == 1
    row = Generation.objects.get(user=alice.user)
    assert (row.status, row.cost_micros) == ("failed", 0)
    credit = credit_of(alice.user.pk)
    assert (credit.balance_micros, credit.held_micros) == (before, 0)


def stored_synthesis(person):
    """Return an open synthesis whose hold has expired and whose audio is there."""
    return Generation.objects.create(
        user=person.user,
        hold=hold_credit(user_id=person.user.pk, amount_micros=10, life_s=-1),
        engine="kokoro",
        source="rest",
        text="Perdu.",
        format="mp3",
        sample_rate=24_000,
        characters=6,
        audio_name=storages["default"].save(f"{person.user.pk}/perdu.mp3", ContentFile(b"son")),
    )


def test_what_was_stored_before_the_crash_goes(alice):
    name = stored_synthesis(alice).audio_name
    assert sweep_generations() == 1
    assert not storages["default"].exists(name)


def test_what_its_own_process_closes_at_that_moment_keeps_its_audio(stage, alice):
    row = stored_synthesis(alice)
    swept = []
    sweeper = threading.Thread(target=lambda: swept.append(_swept()))
    with transaction.atomic():
        close_generation(
            generation=row, status="done", failure="", delivery=Delivery({"kokoro": 1}), is_stored=True
        )
        sweeper.start()
        wait_for_a_lock()
    sweeper.join(30)
    assert swept == [0]
    row.refresh_from_db()
    assert row.status == "done"
    assert storages["default"].exists(row.audio_name)


def _swept():
    try:
        return sweep_generations()
    finally:
        connection.close()


def wait_for_a_lock():
    """Return once another connection waits for what this one holds."""
    deadline = time.monotonic() + 30
    while True:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
        assert time.monotonic() < deadline
        time.sleep(0.05)
