"""Text bit by bit through the local engine, with the real model."""

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings

from tests.recogniser import plain_words, recognise
from tests.tts.sound import measure
from tts.engines.base import EngineBusy, EngineOrder, TextNotSpeakable
from tts.engines.kokoro import KokoroEngine

VOICE = {"styles": [["ff_siwis", 1.0]], "language": "fr-fr"}
LONG = "Chaque texte est découpé en phrases, et chaque phrase est prononcée dès qu'elle est prête. " * 20


@pytest.fixture(scope="module")
def engine():
    engine = KokoroEngine(
        model_path=Path(settings.KOKORO_MODEL_PATH), voices_dir=Path(settings.KOKORO_VOICES_DIR), workers=2
    )
    engine.prepare()
    yield engine
    asyncio.run(engine.close())


def order(**changes):
    return replace(EngineOrder(text="", voice_ref=VOICE), **changes)


async def say(engine, *texts, **changes):
    """Send each text once the one before it is spoken, then stop; return what came."""
    waiting, pieces = list(texts), []
    async with engine.live(engine.check(order(**changes))[0]) as live:
        await live.send_text(waiting.pop(0))
        await live.flush()
        async for piece in live:
            pieces.append(piece)
            if not piece.data and waiting:
                await live.send_text(waiting.pop(0))
                await live.flush()
            elif not piece.data:
                await live.stop()
    return pieces


@contextlib.asynccontextmanager
async def full(engine):
    """Fill the engine until it refuses with listeners who take what is made for them."""
    listeners = []
    with contextlib.suppress(EngineBusy):
        while True:
            stream = engine.stream(order(text=LONG * 4))
            await anext(stream)
            listeners.append(asyncio.ensure_future(_take(stream)))
    try:
        yield
    finally:
        for listener in listeners:
            listener.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)


async def _take(stream):
    async with contextlib.aclosing(stream):
        async for _piece in stream:
            pass


@pytest.mark.parametrize("audio_format", ["mp3", "wav", "pcm", "opus"])
async def test_it_works(engine, audio_format):
    pieces = await say(engine, "Bonjour à tous. ", "Et voici la suite.", format=audio_format)
    data = b"".join(piece.data for piece in pieces)
    assert [piece.segment.text for piece in pieces if piece.segment] == [
        "Bonjour à tous.",
        "Et voici la suite.",
    ]
    assert pieces[-1].characters == len("Bonjour à tous. Et voici la suite.")
    seconds, peak = measure(data, audio_format)
    assert seconds == pytest.approx(pieces[-1].duration_ms / 1000, abs=0.1)
    assert peak > 0.05
    if audio_format != "pcm":
        assert "bonjour à tous et voici la suite" in plain_words(recognise(data))


async def test_the_mark_of_a_flush_follows_its_text_and_no_later_one(engine):
    async with engine.live(order()) as live:
        await live.send_text("Un, deux, trois. ")
        await live.flush()
        await live.send_text("Quatre, cinq, six.")
        await live.stop()
        marks = [piece.characters async for piece in live if not piece.data]
    assert marks == [len("Un, deux, trois. ")]


async def test_a_text_that_cannot_be_heard_is_passed_over(engine):
    pieces = await say(engine, "Bonjour. ", "… ", "Au revoir.")
    assert [piece.segment.text for piece in pieces if piece.segment and piece.segment.text != "…"] == [
        "Bonjour.",
        "Au revoir.",
    ]


async def test_nothing_that_can_be_heard_is_refused(engine):
    with pytest.raises(TextNotSpeakable):
        await say(engine, "… ", "?!")


async def test_a_full_engine_refuses_the_first_part_at_once(engine):
    async with full(engine), engine.live(order()) as live:
        await live.send_text(LONG)
        with pytest.raises(EngineBusy):
            async with asyncio.timeout(2):
                await anext(aiter(live))


async def test_a_later_part_waits_until_there_is_room(engine):
    async with engine.live(order()) as live:
        pieces = aiter(live)
        await live.send_text("Bonjour. ")
        await live.flush()
        while (await anext(pieces)).data:
            pass
        async with full(engine):
            await live.send_text(LONG)
            waiting = asyncio.ensure_future(anext(pieces))
            done, _pending = await asyncio.wait([waiting], timeout=1.0)
            assert not done
        assert (await waiting).data
        await pieces.aclose()


async def test_a_later_part_does_not_wait_for_ever(engine, monkeypatch):
    monkeypatch.setattr("tts.engines.kokoro_live.PATIENCE_S", 0.6)
    async with engine.live(order()) as live:
        pieces = aiter(live)
        await live.send_text("Bonjour. ")
        await live.flush()
        while (await anext(pieces)).data:
            pass
        async with full(engine):
            await live.send_text(LONG)
            with pytest.raises(EngineBusy):
                await anext(pieces)
