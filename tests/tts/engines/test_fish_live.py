"""Text bit by bit through Fish Audio's socket, and everything that can go wrong on it."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgpack
import pytest

from fr02.bridge import in_database
from tests.fish_stand_in.running import StandIn
from tests.tts.engines.fish_stage import TEXT, decoded_seconds, order, until, until_no_slot_is_held
from tts.engines.base import (
    MAX_PIECE_BYTES,
    EngineBusy,
    EngineError,
    EngineFailed,
    EngineTimeout,
    EngineUnavailable,
    Piece,
    VoiceUnknown,
)
from tts.engines.fish import FishEngine
from tts.engines.fish_live import FishLiveSession
from tts.engines.fish_meter import create_meter
from tts.engines.fish_socket import unpack_event
from voices.models import UpstreamAlarm


async def say(engine: FishEngine, *texts: str, **details: Any) -> list[Piece]:
    """Open a session, send the texts, stop, and return what came."""
    pieces: list[Piece] = []
    async with engine.live(engine.check(order(**details))[0]) as session:
        for text in texts:
            await session.send_text(text)
        await session.stop()
        await hear(session, pieces)
    return pieces


async def hear(session: FishLiveSession, pieces: list[Piece]) -> None:
    """Add to `pieces` what comes until the end."""
    async for piece in session:
        pieces.append(piece)  # noqa: PERF401  (what came before a failure counts)


@pytest.mark.parametrize(
    ("audio_format", "rate"), [("mp3", 44_100), ("opus", 48_000), ("wav", 24_000), ("pcm", 24_000)]
)
async def test_it_works(engine: FishEngine, fish: StandIn, audio_format: str, rate: int) -> None:
    pieces = await say(engine, TEXT[:40], TEXT[40:], format=audio_format)
    data = b"".join(piece.data for piece in pieces)
    assert decoded_seconds(data, audio_format, rate) == pytest.approx(len(TEXT) / 14, abs=0.2)
    assert pieces[-1].characters == len(TEXT)
    assert "".join(piece.segment.text for piece in pieces if piece.segment) == TEXT
    start = fish.asked("live")[1]["message"]["request"]
    assert (start["text"], start["format"]) == ("", audio_format)


async def test_sound_comes_while_text_is_still_written(engine: FishEngine) -> None:
    async with engine.live(engine.check(order())[0]) as session:
        pieces = aiter(session)
        await session.send_text("Bonjour à tous. ")
        assert await session.flush()
        first = await anext(pieces)
        assert first.data
        await session.send_text("Et voici la suite.")
        await session.stop()
        rest = [piece async for piece in pieces]
    assert rest[-1].characters == len("Bonjour à tous. Et voici la suite.")


async def test_the_end_of_a_flush_is_marked(engine: FishEngine) -> None:
    text = "Bonjour à tous. "
    async with engine.live(engine.check(order())[0]) as session:
        await session.send_text(text)
        await session.flush()
        marker = await _marker(session)
        assert marker.characters == len(text)
        assert marker.duration_ms > 800
        assert not await session.flush()
        await session.stop()


async def test_a_full_chunk_spoken_before_its_flush_is_no_silence(
    engine: FishEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tts.engines.fish_live.QUIET_AFTER_FLUSH_S", 0.5)
    text = "Bonjour à tous et à toutes. " * 12
    async with engine.live(engine.check(order())[0]) as session:
        pieces = aiter(session)
        await session.send_text(text)  # more than chunk_length: spoken at once
        assert (await anext(pieces)).data
        await asyncio.sleep(0.5)
        await session.flush()
        async for piece in pieces:
            if not piece.data:
                assert piece.characters == len(text)
                break


async def test_the_place_in_the_text_never_goes_back(engine: FishEngine) -> None:
    texts = [
        "Bonjour à tous et à toutes, et bienvenue. ",
        "Et voici la suite de ce que je voulais vous dire.",
    ]
    places = []
    async with engine.live(engine.check(order())[0]) as session:
        pieces = aiter(session)
        for text in texts:
            await session.send_text(text)
            await session.flush()
            async for piece in pieces:
                places.append(piece.characters)
                if not piece.data:
                    break
    assert places == sorted(places)
    assert places[-1] == len("".join(texts))
    assert len(set(places)) > 4


async def test_a_pause_far_from_the_end_is_not_the_end_of_a_flush(engine: FishEngine, fish: StandIn) -> None:
    fish.fail("stall", where="live", seconds=1.5, after=2)
    async with engine.live(engine.check(order())[0]) as session:
        await session.send_text(TEXT)
        await session.flush()
        marker = await _marker(session)
    assert marker.duration_ms == pytest.approx(1000 * len(TEXT) / 14, abs=200)


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


async def test_a_stop_as_the_pause_after_a_flush_is_over(
    engine: FishEngine, fish: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tts.engines.fish_live.QUIET_AFTER_SOUND_S", 0.0)
    pieces: list[Piece] = []
    async with engine.live(engine.check(order())[0]) as session:
        await session.send_text(TEXT)
        await session.flush()
        hearing = asyncio.create_task(hear(session, pieces))
        while not (pieces and not pieces[-1].data):
            await asyncio.sleep(0)
            if session._timer is not None and session._timer.expired():
                break
        await session.stop()
        await hearing
    assert pieces[-1].characters == len(TEXT)


@pytest.mark.parametrize(
    ("audio_format", "rate"), [("mp3", 44_100), ("opus", 48_000), ("wav", 44_100), ("pcm", 44_100)]
)
async def test_a_large_event_is_cut_into_pieces(
    engine: FishEngine, fish: StandIn, audio_format: str, rate: int
) -> None:
    fish.state.switches.is_one_event = True
    text = TEXT * 2
    pieces = await say(engine, text, format=audio_format, sample_rate=rate)
    data = b"".join(piece.data for piece in pieces)
    assert decoded_seconds(data, audio_format, rate) == pytest.approx(len(text) / 14, abs=0.2)
    assert len(data) > MAX_PIECE_BYTES or audio_format == "opus"
    meter = create_meter(audio_format, rate)
    for piece in pieces:
        assert len(piece.data) <= MAX_PIECE_BYTES
        assert meter.feed(piece.data) == piece.data  # whole frames: a listener may leave after any of them


async def test_a_header_on_every_event_is_no_sound(engine: FishEngine, fish: StandIn) -> None:
    fish.state.switches.live_header = "every"
    pieces = await say(engine, TEXT, format="wav")
    data = b"".join(piece.data for piece in pieces)
    assert data.count(b"RIFF") == 1
    assert pieces[-1].duration_ms == (len(data) - 44) // 48


async def test_sound_without_its_header_is_refused(engine: FishEngine, fish: StandIn) -> None:
    fish.state.switches.live_header = "never"
    with pytest.raises(EngineFailed, match="not WAV"):
        await say(engine, TEXT, format="wav")


async def test_a_ping_is_answered(engine: FishEngine, fish: StandIn) -> None:
    fish.fail("ping", where="live", times=3)
    assert (await say(engine, TEXT))[-1].characters == len(TEXT)
    await until(lambda: fish.state.pongs == 3)


async def test_text_without_sound_is_a_failure(engine: FishEngine, fish: StandIn) -> None:
    fish.fail("no_sound", where="live")
    with pytest.raises(EngineFailed, match="only 0 ms"):
        await say(engine, TEXT)


async def test_silence_after_a_flush_is_a_failure(engine: FishEngine, fish: StandIn, settings: Any) -> None:
    settings.FISH_FIRST_BYTE_SECONDS = 1.0
    async with engine.live(engine.check(order())[0]) as session:
        await session.send_text("Bonjour à tous. ")
        await session.flush()
        assert (await _marker(session)).characters == len("Bonjour à tous. ")
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
        assert (await _marker(session)).characters == len("Bonjour à tous. ")
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


async def test_an_empty_session_ends_well(engine: FishEngine) -> None:
    assert await say(engine) == []


@pytest.mark.parametrize("how", ["keep", "1000", "1005", "drop"])
async def test_however_it_closes_after_finish(engine: FishEngine, fish: StandIn, how: str) -> None:
    fish.state.switches.after_finish = how
    assert (await say(engine, TEXT))[-1].characters == len(TEXT)


@pytest.mark.parametrize("kind", ["unknown_event", "text_frame", "empty_audio"])
async def test_what_nobody_expects_is_passed_over(engine: FishEngine, fish: StandIn, kind: str) -> None:
    fish.fail(kind, where="live", times=3)
    assert (await say(engine, TEXT))[-1].characters == len(TEXT)


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


async def test_who_leaves_closes_the_socket(engine: FishEngine, fish: StandIn) -> None:
    await until(lambda: fish.state.in_flight == 0)
    async with engine.live(engine.check(order())[0]) as session:
        await session.send_text("Bonjour.")
        await until(lambda: fish.state.in_flight == 1)
    await until(lambda: fish.state.in_flight == 0)
    await until_no_slot_is_held()


async def test_a_frame_that_is_not_msgpack(engine: FishEngine, fish: StandIn) -> None:
    fish.fail("bad_frame", where="live")
    with pytest.raises(EngineFailed, match="not msgpack"):
        await say(engine, TEXT)


def _nested(depth: int) -> bytes:
    return b"\x81\xa5event" * depth + b"\xc0"


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xc1",
        msgpack.packb(["event"]),
        msgpack.packb({"event": 1}),
        msgpack.packb({1: "event"}),
        msgpack.packb({"event": "audio", "x": msgpack.ExtType(5, b"12")}),
        b"\xc6\xff\xff\xff\xff" + b"short",  # bin 32 of 4 GiB
        b"\xdf\xff\xff\xff\xff",  # map 32 of 4 Gi entries
        b"\xdd\xff\xff\xff\xff",  # array 32 of 4 Gi entries
        _nested(10_000),
        b"\x82\xa5event\xa5audio\xa1x\xd9\x02\xff\xfe",  # not UTF-8
    ],
)
def test_hostile_frames_are_refused(frame: bytes) -> None:
    with pytest.raises(EngineFailed):
        unpack_event(frame)


def test_many_hostile_frames_cost_no_memory(resident_bytes: Callable[[], int]) -> None:
    frame = msgpack.packb({f"key {i}": i for i in range(20)} | {b"\xff": 1}, use_bin_type=False)
    for _ in range(2_000):
        with pytest.raises(EngineFailed):
            unpack_event(frame)
    before = resident_bytes()
    for _ in range(50_000):
        with pytest.raises(EngineFailed):
            unpack_event(frame)
    assert resident_bytes() - before < 8 * 2**20


async def _marker(session: FishLiveSession) -> Piece:
    async for piece in session:
        if not piece.data:
            return piece
    raise AssertionError("no marker")
