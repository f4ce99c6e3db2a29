"""The local engine through its own door, with the real model."""

import asyncio
import gc
import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from time import monotonic

import numpy as np
import psutil
import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tests.recogniser import character_error_rate, decode, duration_s, recognise
from tts.engines.base import MAX_PIECE_BYTES, EngineBusy, EngineFailed, EngineOrder, TextNotSpeakable
from tts.engines.kokoro import CALL_TOKENS, KokoroEngine, _calls
from tts.engines.phonemes import VOCABULARY, phonemize

VOICE = {"styles": [["ff_siwis", 1.0]], "language": "fr-fr"}
SENTENCE = "Le train pour Lyon part demain matin, et tout le monde est content."
LONG = (
    "La plateforme donne une voix naturelle aux produits des développeurs français, sans attendre. "
    "Chaque texte est découpé en phrases, et chaque phrase est prononcée dès qu'elle est prête. "
) * 5


def make_engine(**changes):
    paths = {
        "model_path": Path(settings.KOKORO_MODEL_PATH),
        "voices_dir": Path(settings.KOKORO_VOICES_DIR),
        "workers": 2,
    }
    return KokoroEngine(**{**paths, **changes})


@pytest.fixture(scope="module")
def engine():
    engine = make_engine()
    engine.prepare()
    yield engine
    asyncio.run(engine.close())


def order(text=SENTENCE, **changes):
    return replace(EngineOrder(text=text, voice_ref=VOICE), **changes)


async def pieces_of(engine, wanted):
    return [piece async for piece in engine.stream(engine.check(wanted)[0])]


async def speech_of(engine, wanted):
    return b"".join(piece.data for piece in await pieces_of(engine, wanted))


async def listen(engine, wanted):
    """Consume a stream as a player does; return (seconds to the first audio, worst stall in seconds)."""
    started, first_s, heard_s, stall_s = monotonic(), None, 0.0, 0.0
    async for piece in engine.stream(wanted):
        elapsed = monotonic() - started
        first_s = elapsed if first_s is None else first_s
        stall_s = max(stall_s, elapsed - first_s - heard_s)
        heard_s = piece.duration_ms / 1000
    return first_s, stall_s


async def test_it_works(engine):
    pieces = await pieces_of(engine, order())
    assert character_error_rate(SENTENCE, recognise(b"".join(piece.data for piece in pieces))) < 0.1
    assert pieces[-1].characters == len(SENTENCE)
    assert all(len(piece.data) <= MAX_PIECE_BYTES for piece in pieces)
    counts = [(piece.characters, piece.duration_ms) for piece in pieces]
    assert counts == sorted(counts)


async def test_all_formats_say_the_same_for_the_same_time(engine):
    durations = {}
    for audio_format in ("mp3", "wav", "pcm", "opus"):
        speech = await speech_of(engine, order(format=audio_format))
        pcm_rate = 24_000 if audio_format == "pcm" else None
        durations[audio_format] = duration_s(speech, pcm_rate=pcm_rate)
        assert character_error_rate(SENTENCE, recognise(speech, pcm_rate=pcm_rate)) < 0.1, audio_format
    assert max(durations.values()) / min(durations.values()) < 1.05


async def test_one_word_lasts_the_same_in_all_formats(engine):
    speeches = {
        name: await speech_of(engine, order("Bonjour!", format=name)) for name in ("mp3", "wav", "opus")
    }
    durations = [duration_s(speech) for speech in speeches.values()]
    assert max(durations) / min(durations) < 1.05
    assert "bonjour" in recognise(speeches["mp3"]).lower()


async def test_silence_is_not_recognised_as_the_sentence():
    quiet = np.zeros(48_000, dtype="<i2").tobytes()
    assert character_error_rate(SENTENCE, recognise(quiet, pcm_rate=24_000)) > 0.8


async def test_the_segments_lie_on_the_time_line(engine):
    text = LONG[:380]
    pieces = await pieces_of(engine, order(text))
    segments = [piece.segment for piece in pieces if piece.segment]
    assert " ".join(segment.text for segment in segments).split() == text.split()
    assert segments[0].start_ms == 0
    assert segments[-1].end_ms == pieces[-1].duration_ms
    for before, after in pairwise(segments):
        assert before.start_ms < before.end_ms <= after.start_ms + 1


async def test_the_first_audio_is_there_before_the_first_sentence_is(engine):
    first = await anext(aiter(engine.stream(order(LONG))))
    assert first.segment is not None
    assert LONG.startswith(first.segment.text)
    assert "." not in first.segment.text


async def test_speed_changes_the_duration(engine):
    slow, fast = [(await pieces_of(engine, order(speed=speed)))[-1].duration_ms for speed in (0.7, 1.4)]
    assert slow / fast == pytest.approx(2.0, rel=0.15)


async def test_twenty_decibels_are_louder_and_never_clip(engine):
    plain = decode(await speech_of(engine, order(format="wav")), rate=24_000)
    loud_speech = await speech_of(engine, order(format="wav", volume_db=20.0))
    loud = decode(loud_speech, rate=24_000)
    assert np.abs(loud).max() < 0.95
    assert np.sqrt(np.mean(loud**2)) > 2 * np.sqrt(np.mean(plain**2))
    assert character_error_rate(SENTENCE, recognise(loud_speech)) < 0.1


async def test_a_blend_lies_between_its_voices(engine):
    blend = {"styles": [["ff_siwis", 0.5], ["am_michael", 0.5]]}
    speech = await speech_of(engine, order(voice_ref=blend))
    assert speech != await speech_of(engine, order())
    assert character_error_rate(SENTENCE, recognise(speech)) < 0.2


async def test_the_same_order_gives_the_same_sound(engine):
    assert await speech_of(engine, order(format="pcm")) == await speech_of(engine, order(format="pcm"))


@pytest.mark.parametrize("text", ["...", "?!", "😀 😀", "***", "\u200b", "—\n\n—" * 50, "[rire]"])
async def test_nothing_to_say_is_refused_before_any_audio(engine, text):
    with pytest.raises(TextNotSpeakable):
        await pieces_of(engine, order(text))


@pytest.mark.parametrize(
    "text",
    [
        "\n\nBonjour.\n\n...",
        "Привет, как дела?",
        "你好，世界。",
        "مرحبا",
        "x" * 60,
        "1" * 40,
        "a\ud800b",
        "é" * 20,
        "AAAA " * 10,
    ],
)
async def test_any_text_is_spoken_to_its_end(engine, text):
    pieces = await pieces_of(engine, order(text))
    assert pieces[-1].characters == len(text)
    assert pieces[-1].duration_ms > 200


def test_what_it_cannot_honour_is_said(engine):
    assert engine.check(order())[1] == []
    assert [warning.code for warning in engine.check(order(temperature=1.2))[1]] == ["temperature_ignored"]
    checked, warnings = engine.check(order(sample_rate=23_000))
    assert checked.sample_rate == 22_050 or checked.sample_rate == 24_000
    assert [warning.code for warning in warnings] == ["sample_rate_mapped"]


async def test_a_missing_model_is_one_clear_error(tmp_path):
    engine = make_engine(model_path=tmp_path / "model.onnx")
    with pytest.raises(EngineFailed, match="model is missing"):
        await pieces_of(engine, order())
    await engine.close()


async def test_a_damaged_model_is_one_clear_error(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"not a model" * 1_000)
    engine = make_engine(model_path=tmp_path / "model.onnx")
    with pytest.raises(EngineFailed, match="damaged"):
        await pieces_of(engine, order())
    await engine.close()


@pytest.mark.parametrize("name", ["nobody", "../../etc/passwd", "FF_SIWIS", ""])
async def test_an_unknown_style_is_one_clear_error(engine, name):
    with pytest.raises(EngineFailed, match="is not in"):
        await pieces_of(engine, order(voice_ref={"styles": [[name, 1.0]]}))


async def test_a_damaged_style_is_one_clear_error(tmp_path):
    (tmp_path / "ff_siwis.bin").write_bytes(b"\0" * 100)
    engine = make_engine(voices_dir=tmp_path)
    with pytest.raises(EngineFailed, match="damaged"):
        await pieces_of(engine, order())
    await engine.close()


async def test_leaving_stops_the_work_at_once(engine):
    stream = engine.stream(order(LONG * 4))
    await anext(stream)
    await stream.aclose()
    await no_work_left(engine)


async def test_cancelling_stops_the_work_at_once(engine):
    listening = asyncio.create_task(listen(engine, order(LONG * 4)))
    await asyncio.sleep(1.0)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    await no_work_left(engine)


async def test_cancelling_while_it_is_admitted_leaves_nothing(engine):
    listening = asyncio.create_task(listen(engine, order(LONG * 4)))
    await asyncio.sleep(0)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    await no_work_left(engine)


async def no_work_left(engine):
    """Wait, two seconds at most, until no worker does anything and no stream is known."""
    give_up_at = monotonic() + 2.0
    while engine._speeches or engine._pool.is_busy or engine._pool._scheduler.running:
        assert monotonic() < give_up_at, "work went on after the listener had left"
        await asyncio.sleep(0.02)


async def test_four_listeners_hear_no_gap_or_are_refused_at_once(engine):
    await listen(engine, order(LONG[:300]))  # so that the pace is this machine's, as loaded as it is now
    started = monotonic()
    asked = [asyncio.create_task(listen(engine, order(LONG[:400]))) for _ in range(4)]
    done = await asyncio.gather(*asked, return_exceptions=True)
    refused = [error for error in done if isinstance(error, EngineBusy)]
    served = [result for result in done if isinstance(result, tuple)]
    assert len(served) + len(refused) == 4
    assert served
    assert all(1 <= error.retry_after_s <= 60 for error in refused)
    assert monotonic() - started > 1
    # A listener's stall is what the machine did to the process too; the schedule itself is proven with a clock.
    assert min(stall_s for _, stall_s in served) < 0.5


async def test_a_refusal_comes_at_once(engine):
    crowd = [asyncio.create_task(listen(engine, order(LONG * 4))) for _ in range(6)]
    await asyncio.sleep(1.0)
    refused_at = monotonic()
    with pytest.raises(EngineBusy):
        await listen(engine, order(LONG * 4))
    assert monotonic() - refused_at < 1.0
    for listening in crowd:
        listening.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)
    await no_work_left(engine)


async def test_a_short_text_does_not_wait_for_a_long_one(engine):
    long = asyncio.create_task(listen(engine, order(LONG * 8)))
    await asyncio.sleep(4.0)
    first_s, _ = await asyncio.wait_for(listen(engine, order("Bonjour à tous.")), 20)
    assert not long.done()
    long.cancel()
    await asyncio.gather(long, return_exceptions=True)
    assert first_s < 8.0


async def test_the_event_loop_keeps_turning(engine):
    listening = asyncio.create_task(listen(engine, order(LONG[:400])))
    worst_s = 0.0
    while not listening.done():
        before = monotonic()
        await asyncio.sleep(0.01)
        worst_s = max(worst_s, monotonic() - before)
    assert worst_s < 1.0  # a segment takes longer than that


async def test_a_slow_consumer_does_not_fill_the_memory(engine):
    stream = engine.stream(order(LONG * 2, format="pcm"))
    await anext(stream)
    scheduled = next(iter(engine._speeches))
    give_up_at = monotonic() + 90
    while engine._pool._scheduler.running:
        assert monotonic() < give_up_at, "the engine never stopped running ahead"
        await asyncio.sleep(0.1)
    made = scheduled.in_order
    assert scheduled.waiting
    assert sum(scheduled.sounds_s[:made]) < 45
    while scheduled.in_order == made:  # taking sound sets it to work again
        await anext(stream)
    await stream.aclose()


def test_it_speaks_in_every_event_loop(engine):
    assert asyncio.run(speech_of(engine, order("Oui."))) == asyncio.run(speech_of(engine, order("Oui.")))


def test_closing_ends_the_threads():
    engine = make_engine()
    asyncio.run(speech_of(engine, order("Oui.")))
    assert [thread for thread in threading.enumerate() if thread.name.startswith("kokoro-")]
    before = {thread for thread in threading.enumerate() if thread.name.startswith("kokoro-")}
    asyncio.run(engine.close())
    assert len([thread for thread in before if thread.is_alive()]) < len(before)


def test_memory_stays_flat_over_many_orders(engine):
    asyncio.run(speech_of(engine, order(LONG)))
    gc.collect()
    before = psutil.Process().memory_info().rss
    for _ in range(4):
        asyncio.run(speech_of(engine, order(LONG[:200])))
    gc.collect()
    assert psutil.Process().memory_info().rss - before < 100 * 2**20


@examples(max_examples=150, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=120))
def test_phonemes_are_always_of_the_vocabulary(text):
    phonemes = phonemize(text)
    assert set(phonemes) <= set(VOCABULARY)
    assert all(0 < len(tokens) <= CALL_TOKENS for tokens in _calls(phonemes))


def test_long_phonemes_are_cut_at_words_and_lose_nothing():
    phonemes = " ".join(["bɔ̃ʒˈuʁ"] * 200)
    assert sum(len(tokens) for tokens in _calls(phonemes)) == len(phonemes)
