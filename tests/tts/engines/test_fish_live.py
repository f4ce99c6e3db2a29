"""Text bit by bit through Fish Audio's socket."""

import asyncio
from collections.abc import Callable

import msgpack
import pytest

from tests.fish_stand_in.running import StandIn
from tests.tts.engines.fish_stage import (
    TEXT,
    decoded_seconds,
    flushed,
    hear,
    order,
    say,
    until,
    until_no_slot_is_held,
)
from tts.engines.base import (
    MAX_PIECE_BYTES,
    EngineFailed,
    Piece,
)
from tts.engines.fish import FishEngine
from tts.engines.fish_meter import create_meter
from tts.engines.fish_socket import unpack_event


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
        marker = await flushed(session)
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
        marker = await flushed(session)
    assert marker.duration_ms == pytest.approx(1000 * len(TEXT) / 14, abs=200)


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


async def test_a_ping_is_answered(engine: FishEngine, fish: StandIn) -> None:
    fish.fail("ping", where="live", times=3)
    assert (await say(engine, TEXT))[-1].characters == len(TEXT)
    await until(lambda: fish.state.pongs == 3)


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


async def test_who_leaves_closes_the_socket(engine: FishEngine, fish: StandIn) -> None:
    await until(lambda: fish.state.in_flight == 0)
    async with engine.live(engine.check(order())[0]) as session:
        await session.send_text("Bonjour.")
        await until(lambda: fish.state.in_flight == 1)
    await until(lambda: fish.state.in_flight == 0)
    await until_no_slot_is_held()


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
    growth = []
    for _ in range(4):
        before = resident_bytes()
        for _ in range(15_000):
            with pytest.raises(EngineFailed):
                unpack_event(frame)
        growth.append(resident_bytes() - before)
    # What leaks grows every time; other threads of this process may take memory meanwhile.
    assert min(growth) < 2**20
