"""What a crash leaves open is closed, at the price of what was delivered."""

import json
import time
from datetime import timedelta

import httpx
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone
from httpx_ws import connect_ws

from billing.models import Hold
from billing.services import credit_of, hold_credit
from tests.servers import start_server
from tests.tts.test_socket import LONG
from tts.models import Generation
from tts.services import sweep_generations


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


def test_what_was_stored_before_the_crash_goes(alice):
    name = storages["default"].save(f"{alice.user.pk}/perdu.mp3", ContentFile(b"son"))
    Generation.objects.create(
        user=alice.user,
        hold=hold_credit(user_id=alice.user.pk, amount_micros=10, life_s=-1),
        engine="kokoro",
        source="rest",
        text="Perdu.",
        format="mp3",
        sample_rate=24_000,
        characters=6,
        audio_name=name,
    )
    assert sweep_generations() == 1
    assert not storages["default"].exists(name)
