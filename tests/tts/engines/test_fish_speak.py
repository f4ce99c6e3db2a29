"""Speak through Fish Audio: formats, rates, parameters, progress."""

from itertools import pairwise

import pytest

from tests.fish_stand_in.running import StandIn
from tests.tts.engines.fish_stage import SECONDS, TEXT, decoded_seconds, order, speak
from tts.engines.base import MAX_PIECE_BYTES, TextNotSpeakable, VoiceUnknown
from tts.engines.fish import FishEngine


async def test_it_works(engine: FishEngine, fish: StandIn) -> None:
    spoken = await speak(engine, order())
    assert decoded_seconds(spoken.data, "mp3", 44_100) == pytest.approx(SECONDS, abs=0.15)
    assert spoken.duration_s == pytest.approx(SECONDS, abs=0.15)
    asked = fish.asked("tts")[0]
    assert asked["headers"]["model"] == "s2.1-pro"
    assert asked["headers"]["authorization"] == "Bearer key"
    assert asked["fields"]["text"] == TEXT


@pytest.mark.parametrize(
    ("audio_format", "asked_rate", "rate"),
    [
        ("mp3", 24_000, 44_100),
        ("mp3", 32_000, 32_000),
        ("mp3", 44_100, 44_100),
        ("opus", 24_000, 48_000),
        ("opus", 48_000, 48_000),
        *((name, rate, rate) for name in ("wav", "pcm") for rate in (8_000, 16_000, 24_000, 32_000, 44_100)),
    ],
)
async def test_every_format_and_rate(
    engine: FishEngine, fish: StandIn, audio_format: str, asked_rate: int, rate: int
) -> None:
    wanted = order(format=audio_format, sample_rate=asked_rate)
    possible, warnings = engine.check(wanted)
    spoken = await speak(engine, wanted)
    assert (possible.sample_rate, warnings) == (rate, [])
    assert decoded_seconds(spoken.data, audio_format, rate) == pytest.approx(SECONDS, abs=0.2)
    assert spoken.duration_s == pytest.approx(decoded_seconds(spoken.data, audio_format, rate), abs=0.08)


@pytest.mark.parametrize("sizes", ["placeholder", "zero", "true"])
async def test_a_wav_gets_the_header_that_the_pipeline_replaces(
    engine: FishEngine, fish: StandIn, sizes: str
) -> None:
    fish.state.switches.wav_sizes = sizes
    spoken = await speak(engine, order(format="wav"))
    assert spoken.data[:4] == b"RIFF"
    assert spoken.data[36:44] == b"data" + b"\xff" * 4
    assert spoken.data.count(b"RIFF") == 1


async def test_a_tag_before_the_first_frame_is_left_out(engine: FishEngine, fish: StandIn) -> None:
    fish.state.switches.has_id3 = True
    spoken = await speak(engine, order())
    assert spoken.data.startswith(b"\xff\xfb")
    assert spoken.duration_s == pytest.approx(decoded_seconds(spoken.data, "mp3", 44_100), abs=0.08)


async def test_pieces_are_bounded_and_only_the_last_are_the_whole_text(engine: FishEngine) -> None:
    spoken = await speak(engine, order(format="wav", sample_rate=44_100, text=TEXT * 3))
    counts = [piece.characters for piece in spoken.pieces]
    assert counts == sorted(counts)
    assert all(len(piece.data) <= MAX_PIECE_BYTES for piece in spoken.pieces)
    assert all(piece.characters < len(TEXT) * 3 for piece in spoken.pieces if piece.data)
    assert spoken.pieces[-1].characters == len(TEXT) * 3


async def test_progress_stays_behind_the_voice(engine: FishEngine) -> None:
    text = TEXT * 10
    spoken = await speak(engine, order(text=text, format="pcm", sample_rate=8_000))
    total_ms = spoken.pieces[-1].duration_ms
    sounding = [piece for piece in spoken.pieces if piece.data]
    assert sounding[len(sounding) // 2].characters > 0.3 * len(text)
    assert all(piece.characters <= piece.duration_ms / total_ms * len(text) for piece in sounding)


async def test_segments_share_the_time(engine: FishEngine) -> None:
    spoken = await speak(engine, order())
    segments = [piece.segment for piece in spoken.pieces if piece.segment]
    assert "".join(segment.text for segment in segments) == TEXT
    assert segments[0].start_ms == 0
    assert segments[-1].end_ms == spoken.pieces[-1].duration_ms
    assert all(one.end_ms == two.start_ms for one, two in pairwise(segments))


async def test_parameters_travel(engine: FishEngine, fish: StandIn) -> None:
    voice = next(iter(fish.app.models.catalogue.entries))
    wanted = order(voice_ref={"id": voice}, speed=2.0, volume_db=-6.0, temperature=0.3, latency="low")
    spoken = await speak(engine, wanted)
    fields = fish.asked("tts")[0]["fields"]
    assert fields["reference_id"] == voice
    assert fields["prosody"] == {"speed": 2.0, "volume": -6.0}
    assert (fields["temperature"], fields["latency"]) == (0.3, "low")
    assert spoken.duration_s == pytest.approx(SECONDS / 2, abs=0.15)


@pytest.mark.parametrize(
    ("details", "field", "value", "code"),
    [
        ({"temperature": 1.5}, "temperature", 1.0, "temperature_mapped"),
        ({"speed": 3.0}, "speed", 2.0, "speed_mapped"),
        ({"speed": 0.1}, "speed", 0.5, "speed_mapped"),
        ({"volume_db": 30.0}, "volume_db", 20.0, "volume_mapped"),
        ({"latency": "turbo"}, "latency", "balanced", "latency_mapped"),
        ({"format": "flac"}, "format", "mp3", "format_mapped"),
        ({"sample_rate": 22_050, "format": "wav"}, "sample_rate", 24_000, "sample_rate_mapped"),
        ({"sample_rate": 48_000, "format": "mp3"}, "sample_rate", 44_100, "sample_rate_mapped"),
    ],
)
async def test_what_fish_cannot_is_mapped_and_told(
    engine: FishEngine, details: dict, field: str, value: object, code: str
) -> None:
    possible, warnings = engine.check(order(**details))
    assert getattr(possible, field) == value
    assert [warning.code for warning in warnings] == [code]
    assert (await speak(engine, order(**details))).data


async def test_a_server_that_wants_opus_in_bits_is_served(engine: FishEngine, fish: StandIn) -> None:
    fish.state.switches.is_opus_strict = True
    assert (await speak(engine, order(format="opus"))).data.startswith(b"OggS")


@pytest.mark.parametrize("text", ["...", " ?! \n", "—", "🙂"])
async def test_nothing_to_say_is_refused_without_asking(engine: FishEngine, fish: StandIn, text: str) -> None:
    with pytest.raises(TextNotSpeakable):
        await speak(engine, order(text=text))
    assert fish.asked("tts") == []


async def test_an_unknown_voice_is_told_apart(engine: FishEngine) -> None:
    with pytest.raises(VoiceUnknown):
        await speak(engine, order(voice_ref={"id": "f" * 32}))


async def test_one_connection_serves_one_order_after_another(engine: FishEngine, fish: StandIn) -> None:
    for _ in range(3):
        await speak(engine, order(text="Bonjour."))
    assert len(fish.asked("tts")) == 3
    assert len(engine._wire.client._transport._pool.connections) == 1  # type: ignore[attr-defined]
