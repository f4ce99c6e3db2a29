"""What FR02 makes of everything that can go wrong at Fish Audio over HTTP."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from django.db import OperationalError

from fr02.bridge import in_database
from tests.fish_stand_in.running import StandIn
from tests.tts.engines.fish_stage import (
    Spoken,
    order,
    speak,
    until,
    until_lease_is_over,
    until_no_slot_is_held,
)
from tts.engines.base import (
    EngineBusy,
    EngineError,
    EngineFailed,
    EngineTimeout,
    EngineUnavailable,
    Piece,
    VoiceUnknown,
)
from tts.engines.fish import FishEngine
from tts.engines.fish_meter import create_meter
from voices.models import UpstreamAlarm, UpstreamSlot


@pytest.mark.parametrize(
    ("status", "details", "error", "requests"),
    [
        (400, {"message": "Invalid sample rate 1 for format mp3"}, EngineFailed, 1),
        (400, {"message": "Failed to parse json request body", "is_plain": True}, EngineFailed, 1),
        (401, {}, EngineUnavailable, 1),
        (402, {}, EngineUnavailable, 1),
        (400, {"message": "Reference not found"}, VoiceUnknown, 1),
        (422, {"message": "Reference not found"}, VoiceUnknown, 1),
        (403, {}, EngineUnavailable, 1),
        (404, {}, EngineUnavailable, 1),
        (408, {}, EngineFailed, 1),
        (413, {"message": "Payload too large", "is_plain": True}, EngineFailed, 1),
        (422, {"fields": [{"loc": ["text"], "type": "missing", "msg": "Field required"}]}, EngineFailed, 1),
        (429, {}, EngineUnavailable, 2),
        (429, {"retry_after": "1"}, EngineUnavailable, 2),
        (429, {"retry_after": "2"}, EngineUnavailable, 1),
        (503, {"retry_after": "30"}, EngineBusy, 1),
        (500, {}, EngineFailed, 2),
        (502, {}, EngineFailed, 2),
        (503, {}, EngineBusy, 2),
        (504, {}, EngineFailed, 1),
        (302, {}, EngineFailed, 1),
    ],
)
async def test_every_status(
    engine: FishEngine,
    fish: StandIn,
    status: int,
    details: dict[str, Any],
    error: type[EngineError],
    requests: int,
) -> None:
    fish.fail("status", status=status, times=None, **details)
    with pytest.raises(error) as caught:
        await speak(engine, order())
    assert type(caught.value) is error
    assert len(fish.asked("tts")) == requests


async def test_a_refused_array_says_which_field(engine: FishEngine, fish: StandIn) -> None:
    fish.fail(
        "status", status=422, fields=[{"loc": ["body", "text"], "type": "missing", "msg": "Field required"}]
    )
    with pytest.raises(EngineFailed, match=r"body\.text: Field required"):
        await speak(engine, order())


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_one_overload_is_survived(engine: FishEngine, fish: StandIn, status: int) -> None:
    fish.fail("status", status=status)
    assert (await speak(engine, order())).data
    assert len(fish.asked("tts")) == 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, "unauthorized"),
        (402, "out_of_credit"),
        (403, "unauthorized"),
        (404, "unauthorized"),
        (429, "concurrency"),
    ],
)
async def test_the_operator_is_told(
    engine: FishEngine, fish: StandIn, status: int, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    fish.fail("status", status=status, times=None)
    for _ in range(2):
        with pytest.raises(EngineUnavailable):
            await speak(engine, order())
    alarm = await in_database(UpstreamAlarm.objects.get)
    assert (alarm.kind, alarm.count, alarm.resolved_at) == (kind, 2, None)
    assert any(record.levelname == "ERROR" and kind in record.getMessage() for record in caplog.records)


async def test_no_alarm_for_what_is_not_the_operators(engine: FishEngine, fish: StandIn) -> None:
    fish.fail("status", status=500, times=None)
    with pytest.raises(EngineFailed):
        await speak(engine, order())
    assert await in_database(UpstreamAlarm.objects.count) == 0


async def test_nobody_there(engine: FishEngine, settings: Any) -> None:
    settings.FISH_BASE_URL = "http://127.0.0.1:9"
    with pytest.raises(EngineFailed, match="no connection"):
        await speak(engine, order())


async def test_a_connection_lost_before_the_answer_is_not_tried_again(
    engine: FishEngine, fish: StandIn
) -> None:
    fish.fail("drop", where="tts")
    with pytest.raises(EngineFailed):
        await speak(engine, order())
    assert len(fish.asked("tts")) == 1


async def test_a_slow_first_byte(engine: FishEngine, fish: StandIn, settings: Any) -> None:
    settings.FISH_FIRST_BYTE_SECONDS = 0.3
    fish.fail("slow_first_byte", where="tts", seconds=2)
    with pytest.raises(EngineTimeout):
        await speak(engine, order())
    assert len(fish.asked("tts")) == 1


async def test_the_first_byte_is_awaited_once_for_all_tries(
    engine: FishEngine, fish: StandIn, settings: Any
) -> None:
    settings.FISH_FIRST_BYTE_SECONDS = 1.0
    fish.fail("status", where="tts", status=503, retry_after="0.8")
    fish.fail("slow_first_byte", where="tts", seconds=0.8)
    with pytest.raises(EngineTimeout):
        await speak(engine, order())
    assert len(fish.asked("tts")) == 2


async def test_a_plain_refusal_is_one_clean_line(engine: FishEngine, fish: StandIn) -> None:
    forged = "No\0 credit\r\n\x1b[31mERROR forged"
    fish.fail("status", where="tts", status=402, message=forged, is_plain=True)
    with pytest.raises(EngineUnavailable):
        await speak(engine, order())
    assert (await in_database(UpstreamAlarm.objects.get)).detail == "No credit   [31mERROR forged"


async def test_sound_that_was_delivered_is_no_failure_of_the_database(
    engine: FishEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_details: object) -> None:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr("voices.limiter.release", fail)
    monkeypatch.setattr("voices.alarms.resolve_alarms", fail)
    assert (await speak(engine, order())).pieces[-1].characters == len(order().text)
    assert "could not be given back" in caplog.text
    assert "could not be resolved" in caplog.text


async def test_headers_that_come_without_a_body(engine: FishEngine, fish: StandIn, settings: Any) -> None:
    settings.FISH_FIRST_BYTE_SECONDS = 0.3
    fish.fail("slow_body", where="tts", seconds=2)
    with pytest.raises(EngineTimeout, match="first byte"):
        await speak(engine, order())


async def test_a_stall_in_the_middle(engine: FishEngine, fish: StandIn, settings: Any) -> None:
    settings.FISH_CHUNK_SECONDS = 0.3
    fish.fail("stall", where="tts", seconds=2, after=3)
    pieces: list[Piece] = []
    with pytest.raises(EngineTimeout, match="next chunk"):
        await speak(engine, order(), pieces)
    assert pieces
    assert pieces[-1].characters < len(order().text)


async def test_too_long_in_all(engine: FishEngine, fish: StandIn, settings: Any) -> None:
    settings.FISH_TOTAL_SECONDS = 0.5
    fish.state.switches.chunk_s = 0.2
    with pytest.raises(EngineTimeout):
        await speak(engine, order())


async def test_a_slow_listener_is_not_the_upstreams_fault(
    engine: FishEngine, fish: StandIn, settings: Any
) -> None:
    settings.FISH_TOTAL_SECONDS = 1.0
    spoken = []
    async for piece in engine.stream(engine.check(order())[0]):
        spoken.append(piece)
        await asyncio.sleep(0.1)
    assert len(spoken) > 10
    assert spoken[-1].characters == len(order().text)


async def test_a_body_cut_between_chunks(engine: FishEngine, fish: StandIn) -> None:
    fish.fail("truncate", where="tts", after=3)
    pieces: list[Piece] = []
    with pytest.raises(EngineFailed, match="in the middle"):
        await speak(engine, order(), pieces)
    assert pieces
    assert pieces[-1].characters < len(order().text)


@pytest.mark.parametrize("after", [1, 4])
@pytest.mark.parametrize(
    ("audio_format", "rate"), [("mp3", 44_100), ("opus", 48_000), ("wav", 24_000), ("pcm", 24_000)]
)
async def test_a_body_cut_inside_a_chunk_leaves_nothing_half(
    engine: FishEngine, fish: StandIn, audio_format: str, rate: int, after: int
) -> None:
    fish.fail("truncate", where="tts", after=after, inside=True)
    pieces: list[Piece] = []
    with pytest.raises(EngineFailed, match="in the middle"):
        await speak(engine, order(format=audio_format, sample_rate=rate), pieces)
    spoken = Spoken(pieces)
    meter = create_meter(audio_format, rate)
    assert meter.feed(spoken.data) == spoken.data
    meter.finish()
    assert spoken.duration_s == pytest.approx(meter.duration_ms / 1000, abs=0.001)


@pytest.mark.parametrize("kind", ["empty", "near_empty"])
@pytest.mark.parametrize("audio_format", ["mp3", "opus", "wav", "pcm"])
async def test_an_empty_answer_is_refused_before_the_first_piece(
    engine: FishEngine, fish: StandIn, kind: str, audio_format: str
) -> None:
    fish.fail(kind, where="tts")
    pieces: list[Piece] = []
    with pytest.raises(EngineFailed):
        await speak(engine, order(format=audio_format), pieces)
    assert pieces == []


@pytest.mark.parametrize("share", [0.1, 0.25])
@pytest.mark.parametrize("details", [{}, {"speed": 2.0}, {"text": "Bonjour à tous. " * 60}])
async def test_sound_too_short_for_its_text_is_a_failure(
    engine: FishEngine, fish: StandIn, share: float, details: dict[str, Any]
) -> None:
    fish.fail("short", where="tts", share=share)
    with pytest.raises(EngineFailed, match="only"):
        await speak(engine, order(**details))


@pytest.mark.parametrize(
    "cue", ["[whisper in a small voice] ", "(en chuchotant tout doucement) ", "<|speaker:0|>"]
)
async def test_what_is_not_spoken_takes_no_time(engine: FishEngine, fish: StandIn, cue: str) -> None:
    text = (cue + "Oui. ") * 5
    fish.fail("short", where="tts", share=5 * len("Oui. ") / len(text))
    assert (await speak(engine, order(text=text))).pieces[-1].characters == len(text)


async def test_an_answer_that_ends_within_a_frame_is_a_failure(engine: FishEngine, fish: StandIn) -> None:
    fish.fail("cut_frame", where="tts")
    with pytest.raises(EngineFailed, match="middle of an MP3 frame"):
        await speak(engine, order(text="Bonjour."))


@pytest.mark.parametrize("content_type", ["application/json", "text/html", "audio/mpeg"])
async def test_a_200_that_is_not_sound(engine: FishEngine, fish: StandIn, content_type: str) -> None:
    fish.fail("not_sound", where="tts", message=content_type)
    with pytest.raises(EngineFailed):
        await speak(engine, order())


async def test_a_listener_who_never_listens_does_not_keep_the_slot(
    engine: FishEngine, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FISH_SESSION_SECONDS = 0.3
    monkeypatch.setattr("voices.limiter.HEARTBEAT_S", 0.1)
    monkeypatch.setattr("voices.limiter.LEASE_S", 0.5)
    async with contextlib.aclosing(engine.stream(engine.check(order(text=order().text * 5))[0])) as stream:
        await anext(stream)
        await until_lease_is_over()
        with pytest.raises(EngineTimeout):
            await drain(stream)


async def drain(stream: AsyncGenerator[Piece]) -> None:
    async for _piece in stream:
        pass


async def test_who_leaves_stops_the_upstream(engine: FishEngine, fish: StandIn) -> None:
    await until(lambda: fish.state.in_flight == 0)
    fish.state.switches.chunk_s = 0.1
    stream = engine.stream(engine.check(order(text=order().text * 5))[0])
    async with contextlib.aclosing(stream):
        await anext(stream)
        assert fish.state.in_flight == 1
    await until(lambda: fish.state.in_flight == 0)
    assert await in_database(UpstreamSlot.objects.count) == 0


async def test_a_cancelled_task_gives_everything_back(engine: FishEngine, fish: StandIn) -> None:
    await until(lambda: fish.state.in_flight == 0)
    fish.fail("slow_first_byte", where="tts", seconds=3)
    task = asyncio.create_task(speak(engine, order()))
    await until(lambda: fish.state.in_flight == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_no_slot_is_held()


async def test_a_failure_gives_its_slot_back(engine: FishEngine, fish: StandIn) -> None:
    fish.fail("status", status=400)
    with pytest.raises(EngineFailed):
        await speak(engine, order())
    assert await in_database(UpstreamSlot.objects.count) == 0


async def test_the_key_is_not_logged(
    engine: FishEngine, fish: StandIn, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.FISH_API_KEY = "très-secret".encode().hex()
    fish.fail("status", status=401, times=None)
    with pytest.raises(EngineUnavailable) as caught:
        await speak(engine, order())
    assert settings.FISH_API_KEY not in caplog.text + repr(caught.value)
