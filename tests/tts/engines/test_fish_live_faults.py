"""Everything that can go wrong on Fish Audio's socket."""

from typing import Any

import pytest

from fr02.bridge import in_database
from tests.fish_stand_in.running import StandIn
from tests.tts.engines.fish_stage import TEXT, flushed, hear, order, say, until_no_slot_is_held
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
from voices.models import UpstreamAlarm


async def test_a_flush_that_stays_far_from_its_end_is_a_failure(
    engine: FishEngine, fish: StandIn, settings: Any
) -> None:
    settings.FISH_CHUNK_SECONDS = 0.5
    fish.fail("stall", where="live", seconds=3, after=2)
    pieces: list[Piece] = []
    async with engine.live(engine.check(order())[0]) as session:
        await session.send_text(TEXT)
        await session.flush()
        with pytest.raises(EngineTimeout):
            await hear(session, pieces)
    assert pieces[-1].characters < len(TEXT) / 2


async def test_only_sound_is_a_sign_of_life(engine: FishEngine, fish: StandIn, settings: Any) -> None:
    settings.FISH_CHUNK_SECONDS = 0.5
    fish.fail("chatter", where="live", seconds=3, after=2)
    with pytest.raises(EngineTimeout):
        await say(engine, TEXT)


async def test_a_session_ends_some_day(engine: FishEngine, settings: Any) -> None:
    settings.FISH_SESSION_SECONDS = 0.5
    async with engine.live(engine.check(order())[0]) as session:
        await session.send_text("Bonjour. ")
        with pytest.raises(EngineTimeout):
            await hear(session, [])
    await until_no_slot_is_held()


async def test_sound_without_its_header_is_refused(engine: FishEngine, fish: StandIn) -> None:
    fish.state.switches.live_header = "never"
    with pytest.raises(EngineFailed, match="not WAV"):
        await say(engine, TEXT, format="wav")


async def test_text_without_sound_is_a_failure(engine: FishEngine, fish: StandIn) -> None:
    fish.fail("no_sound", where="live")
    with pytest.raises(EngineFailed, match="only 0 ms"):
        await say(engine, TEXT)


async def test_silence_after_a_flush_is_a_failure(engine: FishEngine, fish: StandIn, settings: Any) -> None:
    settings.FISH_FIRST_BYTE_SECONDS = 1.0
    async with engine.live(engine.check(order())[0]) as session:
        await session.send_text("Bonjour à tous. ")
        await session.flush()
        assert (await flushed(session)).characters == len("Bonjour à tous. ")
        fish.fail("no_sound", where="live")
        await session.send_text("Et voici la suite.")
        await session.flush()
        pieces: list[Piece] = []
        with pytest.raises(EngineTimeout, match="after flush"):
            await hear(session, pieces)
    assert pieces == []


@pytest.mark.parametrize(
    "fault", [{"kind": "finish_error"}, {"kind": "close", "code": 1011}, {"kind": "close"}]
)
async def test_a_failure_between_two_flushes(
    engine: FishEngine, fish: StandIn, fault: dict[str, Any]
) -> None:
    async with engine.live(engine.check(order())[0]) as session:
        await session.send_text("Bonjour à tous. ")
        await session.flush()
        assert (await flushed(session)).characters == len("Bonjour à tous. ")
        fish.fail(where="live", **fault)
        await session.send_text("Et voici la suite.")
        await session.flush()
        with pytest.raises(EngineFailed):
            await hear(session, [])
    await until_no_slot_is_held()


@pytest.mark.parametrize(
    "fault", [{"kind": "status", "status": 401}, {"kind": "error_event", "message": "Invalid Token"}]
)
async def test_the_key_is_not_logged(
    engine: FishEngine,
    fish: StandIn,
    settings: Any,
    caplog: pytest.LogCaptureFixture,
    fault: dict[str, Any],
) -> None:
    caplog.set_level("DEBUG")
    settings.FISH_API_KEY = "très-secret".encode().hex()
    fish.fail(where="live", **fault)
    with pytest.raises(EngineUnavailable) as caught:
        await say(engine, TEXT)
    assert settings.FISH_API_KEY not in caplog.text + repr(caught.value) + repr(caught.value.__cause__)


@pytest.mark.parametrize("message", ["", "no voice left"])
async def test_finish_with_an_error(engine: FishEngine, fish: StandIn, message: str) -> None:
    fish.fail("finish_error", where="live", message=message)
    with pytest.raises(EngineFailed, match=message or "no reason"):
        await say(engine, TEXT)


@pytest.mark.parametrize("code", [None, 1000, 1005, 1011])
@pytest.mark.parametrize("after", [0, 2])
async def test_a_close_without_finish(
    engine: FishEngine, fish: StandIn, code: int | None, after: int
) -> None:
    fish.fail("close", where="live", code=code, after=after)
    with pytest.raises(EngineFailed):
        await say(engine, TEXT)
    await until_no_slot_is_held()


async def test_an_error_event(engine: FishEngine, fish: StandIn) -> None:
    fish.fail("error_event", where="live", message="invalid start")
    with pytest.raises(EngineFailed, match="invalid start"):
        await say(engine, TEXT)


@pytest.mark.parametrize("kind", ["error_event", "finish_error"])
@pytest.mark.parametrize(
    ("message", "alarm"),
    [
        ("Concurrency limit exceeded", "concurrency"),
        ("You have exceeded your current concurrency limit", "concurrency"),
        ("Insufficient API credit. API credit is managed independently", "out_of_credit"),
        ("Invalid api key or insufficient balance", "out_of_credit"),
        ("Invalid Token", "unauthorized"),
        ("Invalid API key", "unauthorized"),
    ],
)
async def test_a_refusal_in_an_event_is_the_operators(
    engine: FishEngine, fish: StandIn, kind: str, message: str, alarm: str
) -> None:
    fish.fail(kind, where="live", message=message)
    with pytest.raises(EngineUnavailable):
        await say(engine, TEXT)
    assert (await in_database(UpstreamAlarm.objects.get)).kind == alarm


async def test_a_concurrency_event_may_say_it_with_a_number(engine: FishEngine, fish: StandIn) -> None:
    fish.fail("error_event", where="live", message="Too many", max_concurrency=5)
    with pytest.raises(EngineUnavailable):
        await say(engine, TEXT)
    assert (await in_database(UpstreamAlarm.objects.get)).kind == "concurrency"


async def test_an_unknown_voice_is_told_apart(engine: FishEngine) -> None:
    with pytest.raises(VoiceUnknown):
        await say(engine, TEXT, voice_ref={"id": "f" * 32})


async def test_an_end_that_nobody_asked_for_is_a_failure(engine: FishEngine, fish: StandIn) -> None:
    fish.fail("finish_stop", where="live", after=2)
    pieces: list[Piece] = []
    async with engine.live(engine.check(order())[0]) as session:
        await session.send_text(TEXT)
        await session.flush()
        with pytest.raises(EngineFailed, match="by itself"):
            await hear(session, pieces)
    assert 0 < pieces[-1].characters < len(TEXT) / 2


@pytest.mark.parametrize("status", [401, 402, 403, 404, 429])
async def test_a_refused_upgrade_is_the_operators(engine: FishEngine, fish: StandIn, status: int) -> None:
    fish.fail("status", where="live", status=status, times=None)
    with pytest.raises(EngineUnavailable):
        await say(engine, TEXT)
    assert await in_database(UpstreamAlarm.objects.count) == 1


@pytest.mark.parametrize(
    ("status", "error"), [(400, EngineFailed), (408, EngineFailed), (500, EngineFailed), (503, EngineBusy)]
)
async def test_another_refused_upgrade(
    engine: FishEngine, fish: StandIn, status: int, error: type[EngineError]
) -> None:
    fish.fail("status", where="live", status=status, times=None)
    with pytest.raises(error, match=str(status)) as caught:
        await say(engine, TEXT)
    assert type(caught.value) is error


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_one_overload_is_survived(engine: FishEngine, fish: StandIn, status: int) -> None:
    fish.fail("status", where="live", status=status)
    assert (await say(engine, TEXT))[-1].characters == len(TEXT)


async def test_a_slow_upgrade(engine: FishEngine, fish: StandIn, settings: Any) -> None:
    settings.FISH_FIRST_BYTE_SECONDS = 0.4
    fish.fail("slow_upgrade", where="live", seconds=2)
    with pytest.raises(EngineTimeout):
        await say(engine, TEXT)
    await until_no_slot_is_held()


async def test_an_upgrade_that_is_dropped_is_not_tried_again(engine: FishEngine, fish: StandIn) -> None:
    fish.fail("drop", where="live")
    with pytest.raises(EngineFailed):
        await say(engine, TEXT)
    assert len(fish.asked("live")) == 1


async def test_a_refusal_without_end_is_read_in_part(engine: FishEngine, fish: StandIn) -> None:
    fish.fail("endless_refusal", where="live")
    with pytest.raises(EngineFailed, match="status 400") as caught:
        await say(engine, TEXT)
    assert len(str(caught.value)) < 1_000


async def test_nobody_there(engine: FishEngine, settings: Any) -> None:
    settings.FISH_BASE_URL = "http://127.0.0.1:9"
    with pytest.raises(EngineFailed, match="no connection"):
        await say(engine, TEXT)


async def test_a_slow_first_sound(engine: FishEngine, fish: StandIn, settings: Any) -> None:
    settings.FISH_FIRST_BYTE_SECONDS = 0.4
    fish.fail("slow_first_byte", where="live", seconds=2)
    with pytest.raises(EngineTimeout):
        await say(engine, TEXT)


async def test_a_stall_in_the_middle(engine: FishEngine, fish: StandIn, settings: Any) -> None:
    settings.FISH_CHUNK_SECONDS = 0.4
    fish.fail("stall", where="live", seconds=2, after=2)
    with pytest.raises(EngineTimeout):
        await say(engine, TEXT)


async def test_a_frame_that_is_not_msgpack(engine: FishEngine, fish: StandIn) -> None:
    fish.fail("bad_frame", where="live")
    with pytest.raises(EngineFailed, match="not msgpack"):
        await say(engine, TEXT)
