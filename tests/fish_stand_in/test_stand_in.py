"""What the official SDK never asks: the order of checks, timestamps, the catalogue's windows, the controls."""

import base64
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import msgpack
import pytest
from httpx_ws import WebSocketSession, WebSocketUpgradeError, connect_ws

from tests.fish_stand_in.catalogue import LANGUAGES, TAGS, Catalogue
from tests.fish_stand_in.running import StandIn, running_stand_in

TEXT = "Bonjour à tous. " * 30


@pytest.fixture(scope="module")
def fish() -> Iterator[StandIn]:
    with running_stand_in(catalogue_size=5_000) as stand_in:
        yield stand_in


@pytest.fixture
def client(fish: StandIn) -> Iterator[httpx.Client]:
    fish.state.reset()
    with httpx.Client(base_url=fish.base_url, headers={"Authorization": "Bearer key"}, timeout=30) as client:
        yield client


def speak(client: httpx.Client, **fields: Any) -> httpx.Response:
    return client.post("/v1/tts", json={"text": "Bonjour.", "format": "pcm", "sample_rate": 8_000} | fields)


def test_checks_come_in_the_services_order(fish: StandIn, client: httpx.Client) -> None:
    switches = fish.state.switches
    switches.keys, switches.concurrency, switches.credit = {"other"}, 0, Decimal(0)
    bad = {"reference_id": "f" * 32, "format": "flac"}
    assert speak(client, **bad).status_code == 401
    switches.keys = set()
    assert speak(client, **bad).status_code == 429
    switches.concurrency = 5
    assert speak(client, **bad).status_code == 402
    switches.credit = Decimal(1)
    assert client.post("/v1/tts", content=b"{").status_code == 400
    assert "unknown variant" in speak(client, **bad).json()["message"]
    assert speak(client, reference_id="f" * 32).json()["message"] == "Reference not found"
    assert speak(client).is_success


def test_the_free_model_needs_no_credit_and_an_unknown_one_does(fish: StandIn, client: httpx.Client) -> None:
    fish.state.switches.credit = Decimal(0)
    for model, status in (("s2.1-pro-free", 200), ("s2.1-pro", 402), ("nobody", 402), ("", 402)):
        client.headers["model"] = model
        assert speak(client).status_code == status
    assert "Insufficient API credit" in speak(client).json()["message"]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"temperature": 2}, 200),
        ({"text": ""}, 200),
        ({"text": None}, 400),
        ({"prosody": {"speed": 2.5}}, 400),
        ({"latency": "turbo"}, 400),
        ({"format": "opus", "sample_rate": 44_100}, 400),
        ({"mp3_bitrate": 96}, 400),
        ({"opus_bitrate": 32}, 200),
        ({"opus_bitrate": 33}, 400),
        ({"chunk_length": 99}, 400),
        ({"references": [{"audio": [1] * 100, "text": ""}]}, 200),
        ({"references": [{"audio": base64.b64encode(bytes(100)).decode(), "text": ""}]}, 400),
        ({"seed": 3, "language": "fr"}, 200),
    ],
)
def test_fields(client: httpx.Client, fields: dict[str, Any], status: int) -> None:
    assert speak(client, **fields).status_code == status


def test_both_sides_of_what_is_not_settled(fish: StandIn, client: httpx.Client) -> None:
    fish.state.switches.validation_status = 422
    assert speak(client, latency="turbo").status_code == 422
    fish.state.switches.is_opus_strict = True
    assert speak(client, format="opus", sample_rate=48_000, opus_bitrate=32).status_code == 422
    fish.state.switches.concurrency, fish.state.switches.has_retry_after = 0, True
    assert speak(client).headers["retry-after"] == "1"
    fish.state.switches.has_retry_after = False
    assert "retry-after" not in speak(client).headers


def test_several_voices_need_the_newer_models(fish: StandIn, client: httpx.Client) -> None:
    voices = list(fish.app.models.catalogue.entries)[:2]
    assert speak(client, reference_id=voices).is_success
    client.headers["model"] = "s1"
    refused = speak(client, reference_id=voices)
    assert (refused.status_code, "MsgPack" in refused.text) == (400, True)


def test_every_answer_carries_the_services_headers(client: httpx.Client) -> None:
    for answer in (
        speak(client),
        speak(client, latency="x"),
        client.get("/model"),
        client.get("/wallet/self/package"),
    ):
        assert answer.headers["ratelimit-limit-concurrency"]
        assert len(answer.headers["x-fish-trace-id"]) == 32
    assert "content-length" not in speak(client).headers


def test_a_body_that_is_too_long(client: httpx.Client) -> None:
    answer = client.post("/v1/tts", content=bytes(51 * 1024 * 1024))
    assert (answer.status_code, answer.text) == (413, "Payload too large")


def test_speech_with_timestamps(client: httpx.Client) -> None:
    answer = client.post("/v1/tts/stream/with-timestamp", json={"text": TEXT, "format": "pcm"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
    assert {event["chunk_seq"] for event in events} == {0, 1}
    assert sum(len(base64.b64decode(event["audio_base64"])) for event in events) > 44_100 * 2 * 30
    last = events[-1]
    assert last["chunk_audio_offset_sec"] > 10
    assert last["alignment"]["segments"][0]["text"]


def test_a_socket_with_timestamps(fish: StandIn, client: httpx.Client) -> None:
    with connect_ws("/v1/tts/live/with-timestamp", client, session_class=WebSocketSession) as socket:
        for session in range(2):  # another start after finish is allowed
            request = {"text": "", "format": "pcm"}
            for event in (
                {"event": "start", "request": request},
                {"event": "text", "text": "Bonjour à tous."},
                {"event": "stop"},
            ):
                socket.send_bytes(msgpack.packb(event))
            events: list[dict[str, Any]] = []
            while not events or events[-1]["event"] != "finish":
                events.append(msgpack.unpackb(socket.receive_bytes(timeout=10)))
            timed = [event for event in events if event.get("alignment")]
            assert timed[-1]["audio"] == b"", session
            assert timed[-1]["alignment"]["segments"][-1]["text"] == "tous"


def test_text_before_start_is_an_error(client: httpx.Client) -> None:
    with connect_ws("/v1/tts/live", client, session_class=WebSocketSession) as socket:
        socket.send_bytes(msgpack.packb({"event": "text", "text": "Bonjour."}))
        assert msgpack.unpackb(socket.receive_bytes(timeout=10))["event"] == "error"


@pytest.mark.parametrize("status", [401, 402, 403, 429])
def test_an_upgrade_is_refused_with_a_body(fish: StandIn, client: httpx.Client, status: int) -> None:
    fish.fail("status", where="live", status=status)
    with pytest.raises(WebSocketUpgradeError) as caught, connect_ws("/v1/tts/live", client):
        pass
    assert caught.value.response.status_code == status


def test_the_catalogue_is_always_the_same() -> None:
    one, two = Catalogue(50), Catalogue(100)
    assert list(one.entries) == list(two.entries)[:50]
    assert [entry.title for entry in one.entries.values()] == [
        entry.title for entry in list(two.entries.values())[:50]
    ]


def test_a_query_shows_a_window(client: httpx.Client) -> None:
    page = client.get("/model", params={"page_size": 100, "page_number": 10}).json()
    assert (page["total"], page["window_limited"], page["total_is_exact"]) == (1_002, True, False)
    assert (len(page["items"]), page["has_more"]) == (100, False)
    assert client.get("/model", params={"page_size": 100, "page_number": 11}).json()["items"] == []


def test_narrow_queries_reach_every_voice(fish: StandIn) -> None:
    catalogue = fish.app.models.catalogue
    seen: set[str] = set()
    for language in LANGUAGES:
        for tag in (None, *TAGS):
            for sort_by in ("score", "task_count", "created_at"):
                found, _count = catalogue.find(
                    languages=[language], tags=[tag] if tag else [], sort_by=sort_by
                )
                seen.update(found)
    assert len(seen) / len(catalogue.entries) > 0.95


def test_another_process_may_turn_the_switches(fish: StandIn, client: httpx.Client) -> None:
    client.post("/_control/switches", json={"credit": "0.5", "concurrency": 3})
    client.post("/_control/faults", json={"kind": "status", "status": 503, "where": "tts"})
    assert speak(client).status_code == 503
    assert speak(client).headers["ratelimit-limit-concurrency"] == "3"
    assert client.get("/wallet/self/api-credit").json()["credit"] == "0.500000"
    assert [item["path"] for item in client.get("/_control/asked").json()][:2] == ["/v1/tts", "/v1/tts"]
    client.post("/_control/reset")
    assert fish.state.asked == []


def test_a_voice_may_change_and_disappear(fish: StandIn, client: httpx.Client) -> None:
    voice_id = list(fish.app.models.catalogue.entries)[-1]
    before = client.get(f"/model/{voice_id}").json()
    client.post("/_control/catalogue", json={"action": "change", "id": voice_id})
    after = client.get(f"/model/{voice_id}").json()
    assert after["title"] == f"{before['title']} (1)"
    assert after["updated_at"] > before["updated_at"]
    client.post("/_control/catalogue", json={"action": "remove", "id": voice_id})
    assert client.get(f"/model/{voice_id}").status_code == 404


def test_samples_are_audible(client: httpx.Client) -> None:
    sample = client.get("/model", params={"page_size": 1}).json()["items"][0]["samples"][0]
    answer = client.get(sample["audio"])
    assert answer.headers["content-type"] == "audio/mpeg"
    assert len(answer.content) > 10_000
