"""`GET /metrics`: who may read it, and that it says what happened."""

import os
import re

import pytest

from accounts.models import User
from billing.services import hold_credit
from tests.tts.test_speak import HELLO, speak
from tts.models import Generation
from voices import limiter
from voices.alarms import raise_alarm
from voices.fish import FishUnauthorized

TOKEN = "un-jeton-de-trente-deux-signes-au-moins"
SAMPLE = re.compile(r'([a-z0-9_]+)(\{[a-z]+="[^"\\]*"(?:,[a-z]+="[^"\\]*")*\})? (-?[0-9.e+-]+)')


@pytest.fixture
def scrape(client, settings):
    settings.METRICS_TOKEN = TOKEN

    def read():
        response = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert response.status_code == 200
        assert response["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return response.content.decode()

    return read


def samples(text):
    """Return the value of each sample, and check the form of every line."""
    values, described = {}, set()
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# "):
            described.add(re.fullmatch(r"# (?:HELP \S+ .+|TYPE (\S+) (?:gauge|counter))", line)[1])
            continue
        name, labels, value = SAMPLE.fullmatch(line).groups()
        assert name in described
        values[name + (labels or "")] = float(value)
    return values


def test_it_works(server, alice, scrape):
    before = samples(scrape())
    assert before['fr02_upstream_alarm_open{kind="unauthorized"}'] == 0
    assert 'fr02_generations{engine="kokoro",status="done"}' not in before
    assert speak(server, alice, HELLO).status_code == 200
    row = Generation.objects.get()
    raise_alarm(error=FishUnauthorized("bad key", status=401))
    raise_alarm(error=FishUnauthorized("bad key", status=401))
    limiter.acquire(account="alice")
    hold_credit(user_id=alice.user.pk, amount_micros=1, life_s=60)
    hold_credit(user_id=alice.user.pk, amount_micros=1, life_s=-1)
    after = samples(scrape())
    assert after['fr02_generations{engine="kokoro",status="done"}'] == 1
    assert after['fr02_audio_seconds{engine="kokoro",status="done"}'] == row.duration_ms / 1000 > 1
    assert after['fr02_upstream_alarm_open{kind="unauthorized"}'] == 1
    assert after['fr02_upstream_alarm_open{kind="concurrency"}'] == 0
    assert after['fr02_upstream_alarms_total{kind="unauthorized"}'] == 2
    assert (after["fr02_upstream_slots_used"], after["fr02_upstream_slots_limit"]) == (1, 5)
    assert (after["fr02_holds_open"], after["fr02_holds_overdue"]) == (2, 1)
    process = f'{{process="{os.getpid()}"}}'
    assert after[f"fr02_local_engine_workers{process}"] >= 1
    assert after[f"fr02_local_engine_listeners{process}"] == 0


def test_what_goes_on_is_counted(alice, scrape):
    hold = hold_credit(user_id=alice.user.pk, amount_micros=0, life_s=60)
    Generation.objects.create(
        user=alice.user, hold=hold, engine="fish", source="rest", sample_rate=24_000, characters=1
    )
    assert samples(scrape())['fr02_generations_running{engine="fish"}'] == 1


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Bearer faux", f"Basic {TOKEN}", TOKEN])
def test_without_the_token_there_is_nothing(client, db, settings, authorization):
    for token in ("", TOKEN):
        settings.METRICS_TOKEN = token
        response = client.get("/metrics", headers={"Authorization": authorization.encode().decode("latin-1")})
        assert response.status_code == 404
        assert "Cette page n’existe pas." in response.content.decode()


def test_customers_see_nothing(client, alice, settings):
    settings.METRICS_TOKEN = TOKEN
    assert client.get("/metrics", headers=alice.headers).status_code == 404
    assert client.get("/metrics", headers={"Authorization": f"Bearer {alice.key}"}).status_code == 404
    client.force_login(alice.user)
    assert client.get("/metrics").status_code == 404


def test_operators_see_all(client, db):
    client.force_login(User.objects.create_superuser("chef@exemple.fr", "x"))
    assert "fr02_holds_open 0" in client.get("/metrics").content.decode()


def test_nobody_posts_here(client, db):
    assert client.post("/metrics").status_code == 405
