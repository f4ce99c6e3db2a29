"""When Fish Audio fails: who did not ask for help gets a clean failure, who did hears the rest from the local engine."""

import time
from datetime import timedelta

import httpx
import pytest
from django.utils import timezone

from billing.pricing import price_micros
from billing.services import credit_of
from tests.fish_stand_in.running import running_stand_in
from tests.recogniser import plain_words, recognise
from tests.servers import start_server
from tests.tts.sound import measure
from tests.tts.test_socket import listen, say
from tests.tts.test_speak import assert_nothing_lost, assert_problem, speak
from tts.audio.wav import wav_header
from tts.failover import sentence_start
from tts.models import Generation
from voices.models import UpstreamSlot, Voice

TEXT = (
    "Bonjour et bienvenue chez nous. Votre commande est arrivée ce matin. "
    "Elle vous attend au guichet numéro trois. Nous vous souhaitons une excellente journée."
)


@pytest.fixture(scope="module")
def stand_in():
    with running_stand_in() as fish:
        yield fish


@pytest.fixture(scope="module")
def _own(request):
    servers = []
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture
def cloud(stage, stand_in, _own, media_dir, tmp_path_factory):
    """FR02 with Fish Audio."""
    if not _own:
        folder = tmp_path_factory.mktemp("cloud")
        keys = {"FISH_API_KEY": "cle-de-test", "FISH_BASE_URL": stand_in.base_url}
        keys |= {"FISH_FIRST_BYTE_SECONDS": "5", "FISH_IDLE_SECONDS": "2"}
        _own.append(start_server(folder, media_dir, **keys))
    stand_in.state.reset()
    return _own[0]


@pytest.fixture
def cloud_voice(alice, stand_in):
    reference = httpx.get(f"{stand_in.base_url}/model").json()["items"][0]["_id"]
    return Voice.objects.create(
        engine="fish", kind="adopted", owner=alice.user, reference={"id": reference}, title="Voix en ligne"
    ).public_id


def closed(person):
    """Return the person's last synthesis, once it is over."""
    deadline = time.monotonic() + 20
    row = Generation.objects.filter(user=person.user).latest("created_at")
    while row.status == "pending" and time.monotonic() < deadline:
        time.sleep(0.05)
        row.refresh_from_db()
    return row


def test_it_works_without_a_failure(cloud, stand_in, alice, cloud_voice):
    before = credit_of(alice.user.pk).balance_micros
    body = speak(cloud, alice, {"text": TEXT, "voice_id": cloud_voice}).json()
    assert (body["status"], body["sample_rate"], body["warnings"]) == ("done", 44_100, [])
    assert body["cost_micros"] == price_micros(engine="fish", characters=len(TEXT))
    assert_nothing_lost(alice, before - body["cost_micros"])
    row = Generation.objects.get(pk=body["id"])
    assert row.upstream_bytes == len(TEXT.encode())


def test_what_fish_maps_is_said(cloud, alice, cloud_voice):
    body = speak(cloud, alice, {"text": "Oui.", "voice_id": cloud_voice, "temperature": 1.5}).json()
    assert [warning["code"] for warning in body["warnings"]]


@pytest.mark.parametrize("status", [401, 402, 429])
def test_the_operators_trouble_is_not_the_customers(cloud, stand_in, alice, cloud_voice, status):
    before = credit_of(alice.user.pk).balance_micros
    stand_in.fail("status", where="tts", status=status, times=None)
    assert_problem(speak(cloud, alice, {"text": TEXT, "voice_id": cloud_voice}), 503, "engine_unavailable")
    assert_nothing_lost(alice, before)


@pytest.mark.parametrize("kind", ["near_empty", "empty", "truncate"])
def test_a_bad_success_is_a_failure(cloud, stand_in, alice, cloud_voice, kind):
    before = credit_of(alice.user.pk).balance_micros
    stand_in.fail(kind, where="tts", times=None)
    assert_problem(speak(cloud, alice, {"text": TEXT, "voice_id": cloud_voice}), 502, "engine_error")
    assert_nothing_lost(alice, before)
    assert Generation.objects.get(user=alice.user).status == "failed"


def test_a_stream_that_breaks_is_aborted_and_charged_for_what_came(cloud, stand_in, alice, cloud_voice):
    before = credit_of(alice.user.pk).balance_micros
    stand_in.fail("truncate", where="tts", after=3, times=None)
    headers = alice.headers | {"Accept": "audio/*"}
    body = {"text": TEXT, "voice_id": cloud_voice}
    with httpx.stream("POST", f"{cloud.url}/api/v1/tts/", json=body, headers=headers) as response:
        assert response.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            response.read()
    row = closed(alice)
    assert (row.status, row.failure) == ("partial", "engine_error")
    assert row.billed_characters < len(TEXT)
    assert_nothing_lost(alice, before - row.cost_micros)


FAULTS = [
    *({"kind": "status", "status": status} for status in (401, 402, 403, 404, 429, 503)),
    {"kind": "slow_first_byte", "seconds": 10},
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.get("status", "timeout")))
def test_the_local_engine_says_all_of_it(cloud, stand_in, alice, cloud_voice, fault):
    stand_in.fail(where="tts", times=None, **fault)
    request = {"text": "Oui, bien sûr.", "voice_id": cloud_voice, "fallback": "local"}
    body = speak(cloud, alice, request).json()
    assert [warning["code"] for warning in body["warnings"]] == ["failover"]
    assert body["cost_micros"] == price_micros(engine="kokoro", characters=len(request["text"]))
    row = Generation.objects.get(pk=body["id"])
    assert (row.upstream_bytes, row.hold.engine, row.hold.upstream_cost_micros) == (0, "kokoro", 0)


def full_upstream():
    until = timezone.now() + timedelta(minutes=5)
    UpstreamSlot.objects.bulk_create(UpstreamSlot(account="other", expires_at=until) for _ in range(5))


def test_a_full_upstream_is_busy_and_costs_nothing(cloud, stand_in, alice, cloud_voice):
    full_upstream()
    assert_problem(speak(cloud, alice, {"text": TEXT, "voice_id": cloud_voice}), 503, "engine_busy")
    assert closed(alice).upstream_bytes == 0
    assert stand_in.asked("tts") == []


def test_the_local_engine_speaks_when_the_upstream_is_full(cloud, alice, cloud_voice):
    full_upstream()
    request = {"text": "Oui, bien sûr.", "voice_id": cloud_voice, "fallback": "local"}
    assert speak(cloud, alice, request).json()["status"] == "done"


def test_each_engine_is_paid_for_what_it_said(cloud, stand_in, alice, cloud_voice):
    stand_in.fail("truncate", where="tts", after=12)
    request = {"text": TEXT, "voice_id": cloud_voice, "fallback": "local"}
    body = speak(cloud, alice, request).json()
    cloud_price, local_price = (price_micros(engine=engine, characters=1) for engine in ("fish", "kokoro"))
    cloud_part, left = divmod(body["cost_micros"] - len(TEXT) * local_price, cloud_price - local_price)
    assert left == 0
    assert 20 < cloud_part < 80
    row = Generation.objects.get(pk=body["id"])
    assert (row.upstream_bytes, row.hold.engine) == (len(TEXT.encode()), "fish")
    assert row.segments[0]["text"].startswith("Bonjour et bienvenue")
    assert row.segments[0]["start_ms"] == 0
    times = [time_ms for segment in row.segments for time_ms in (segment["start_ms"], segment["end_ms"])]
    assert times == sorted(times)
    words = [word for segment in row.segments for word in segment["text"].split()]
    assert words == TEXT.split()


def test_an_emoji_that_is_left_is_nothing_to_say(cloud, stand_in, alice, cloud_voice):
    stand_in.fail("truncate", where="tts", after=3)
    text = "Oui. " + "🙂" * 5
    body = speak(cloud, alice, {"text": text, "voice_id": cloud_voice, "fallback": "local"}).json()
    assert body["status"] == "done"
    assert body["cost_micros"] == price_micros(engine="fish", characters=len(text))


def test_a_stream_says_at_its_start_who_speaks(cloud, stand_in, alice, cloud_voice):
    stand_in.fail("drop", where="tts")
    body = {"text": "Oui, bien sûr.", "voice_id": cloud_voice, "fallback": "local", "temperature": 1.5}
    response = httpx.post(
        f"{cloud.url}/api/v1/tts/", json=body, headers=alice.headers | {"Accept": "audio/*"}, timeout=60
    )
    assert response.status_code == 200
    assert response.headers["x-warnings"].split(",")[:2] == ["temperature_mapped", "failover"]
    assert measure(response.content)[1] > 0.05
    assert closed(alice).status == "done"


def test_the_local_engine_finishes_a_socket(cloud, stand_in, alice, cloud_voice):
    stand_in.fail("truncate", where="tts", after=3, inside=True)
    request = say(TEXT, voice_id=cloud_voice, fallback="local")
    sounds, texts, code = listen(cloud.url, alice.headers, request)
    sound = b"".join(sounds)
    assert (texts, code) == ([], 1000)
    row = closed(alice)
    assert (row.status, row.size) == ("done", len(sound))
    assert measure(sound)[0] == pytest.approx(row.duration_ms / 1000, rel=0.05)


@pytest.mark.parametrize("cut", [None, {"after": 3, "inside": True}])
@pytest.mark.parametrize("audio_format", ["mp3", "wav", "pcm", "opus"])
def test_the_local_engine_finishes(cloud, stand_in, alice, cloud_voice, audio_format, cut):
    before = credit_of(alice.user.pk).balance_micros
    stand_in.fail("truncate" if cut else "drop", where="tts", times=None, **(cut or {}))
    request = {"text": TEXT, "voice_id": cloud_voice, "fallback": "local", "format": audio_format}
    body = speak(cloud, alice, request).json()
    assert body["status"] == "done"
    assert "failover" in [warning["code"] for warning in body["warnings"]]
    audio = httpx.get(body["audio_url"]).content
    seconds, peak = measure(audio, audio_format)
    assert seconds == pytest.approx(body["duration_ms"] / 1000, rel=0.05)
    assert peak > 0.05
    audio = wav_header(sample_rate=24_000) + audio if audio_format == "pcm" else audio
    assert "excellente journée" in plain_words(recognise(audio))
    dearest = price_micros(engine="fish", characters=len(TEXT))
    assert price_micros(engine="kokoro", characters=len(TEXT)) <= body["cost_micros"] < dearest
    assert_nothing_lost(alice, before - body["cost_micros"])


def test_a_key_may_allow_it(cloud, stand_in, alice, cloud_voice):
    alice.user.api_keys.update(allows_failover=True)
    stand_in.fail("drop", where="tts", times=None)
    assert speak(cloud, alice, {"text": "Oui, bien sûr.", "voice_id": cloud_voice}).status_code == 200


def test_sentences():
    text = "Un. Deux ! « Trois ? » Quatre"
    assert [text[sentence_start(text, position) :][:4] for position in (0, 3, 5, 12, len(text))] == [
        *("Un. ", "Un. ", "Deux", "« Tr", "Quat"),
    ]
