import io

import av
import numpy as np
import pytest

from tests.recogniser import decode
from tts.audio.encoders import SpeechEncoder, create_encoder
from tts.audio.joins import pause_after, silence, trim
from tts.audio.levels import CEILING, Limiter
from tts.audio.wav import HEADER_BYTES

RATE = 24_000
FORMATS = ["mp3", "wav", "pcm", "opus"]
RATES = [8_000, 16_000, 24_000, 44_100, 48_000]


def hum(seconds=3.0, level=0.5, pitch=220):
    """Return a hum that swells three times a second, after 60 ms of silence, like speech does."""
    time = np.arange(int(seconds * RATE)) / RATE
    sound = level * np.sin(2 * np.pi * pitch * time) * (0.55 + 0.45 * np.sin(2 * np.pi * 3 * time))
    sound[: int(0.06 * RATE)] = 0
    return sound.astype(np.float32)


def encode(sound, audio_format, sample_rate=RATE, volume_db=0.0, step=7_001):
    encoder = SpeechEncoder(audio_format=audio_format, sample_rate=sample_rate, volume_db=volume_db)
    parts = [encoder.feed(sound[start : start + step]) for start in range(0, len(sound), step)]
    return b"".join([*parts, encoder.finish()])


def heard(data, audio_format, sample_rate=RATE, rate=RATE):
    return decode(data, rate=rate, pcm_rate=sample_rate if audio_format == "pcm" else None)


@pytest.mark.parametrize("sample_rate", RATES)
@pytest.mark.parametrize("audio_format", FORMATS)
def test_it_works(audio_format, sample_rate):
    sound = hum()
    back = heard(encode(sound, audio_format, sample_rate), audio_format, sample_rate)
    assert len(back) == pytest.approx(len(sound), rel=0.05)
    spectrum = np.abs(np.fft.rfft(back[: len(sound)]))
    assert np.argmax(spectrum) * RATE / len(back[: len(sound)]) == pytest.approx(220, abs=4)


@pytest.mark.parametrize("audio_format", FORMATS)
def test_one_second_lasts_one_second(audio_format):
    sound = hum(1.0)
    assert len(heard(encode(sound, audio_format), audio_format)) == pytest.approx(RATE, rel=0.05)


@pytest.mark.parametrize("audio_format", FORMATS)
def test_the_size_of_the_steps_does_not_change_the_sound(audio_format):
    sound = hum(1.5)
    whole = heard(encode(sound, audio_format, step=len(sound)), audio_format)
    pieces = heard(encode(sound, audio_format, step=331), audio_format)
    assert len(whole) == len(pieces)
    assert np.abs(whole - pieces).max() < 0.02


@pytest.mark.parametrize("audio_format", FORMATS)
def test_sound_comes_out_while_it_goes_in(audio_format):
    encoder = SpeechEncoder(audio_format=audio_format, sample_rate=RATE)
    assert len(encoder.feed(hum(1.0))) > 3_000


def test_opus_is_48_khz_in_ogg_and_mp3_128_kbit():
    with av.open(io.BytesIO(encode(hum(), "opus"))) as container:
        assert container.format.name == "ogg"
        assert container.streams.audio[0].rate == 48_000
    assert len(encode(hum(), "mp3")) * 8 / 3 == pytest.approx(128_000, rel=0.05)


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match="flac"):
        create_encoder("flac", RATE)


def test_a_streamed_wav_does_not_know_its_sizes():
    stream = encode(hum(1.0), "wav")
    assert stream[4:8] == stream[40:44] == b"\xff\xff\xff\xff"
    assert len(stream) == HEADER_BYTES + 2 * RATE


@pytest.mark.parametrize("audio_format", FORMATS)
@pytest.mark.parametrize("level", [0.1, 0.5, 1.0])
def test_loud_never_clips(audio_format, level):
    sound = hum(2.0, level)
    back = heard(encode(sound, audio_format, volume_db=20.0), audio_format)
    assert np.abs(back).max() < 0.999
    quiet = heard(encode(sound, audio_format), audio_format)
    assert np.sqrt(np.mean(back**2)) > np.sqrt(np.mean(quiet**2))


def test_without_the_limiter_loud_does_clip():
    assert np.abs(hum(2.0, 0.5) * 10).max() > 1.0


def test_quiet_is_a_tenth():
    sound = hum(1.0)
    back = heard(encode(sound, "wav", volume_db=-20.0), "wav")
    assert np.abs(back).max() == pytest.approx(np.abs(sound).max() / 10, rel=0.02)


@pytest.mark.parametrize("step", [1, 7, 240, 5_000, 48_000])
def test_the_limiter_keeps_every_sample_and_the_ceiling(step):
    sound = (np.random.default_rng(1).normal(0, 0.6, 4_800)).astype(np.float32)
    limiter = Limiter(sample_rate=RATE, gain_db=12.0)
    parts = [limiter.process(sound[start : start + step]) for start in range(0, len(sound), step)]
    out = np.concatenate([*parts, limiter.flush()])
    assert len(out) == len(sound)
    assert np.abs(out).max() <= CEILING + 1e-6


def test_the_limiter_leaves_soft_sound_alone():
    sound = hum(1.0, 0.4)
    limiter = Limiter(sample_rate=RATE)
    np.testing.assert_allclose(np.concatenate([limiter.process(sound), limiter.flush()]), sound, atol=1e-7)


def test_the_limiter_changes_its_gain_smoothly():
    sound = np.full(RATE, 0.3, dtype=np.float32)
    sound[12_000] = 3.0
    limiter = Limiter(sample_rate=RATE)
    out = np.concatenate([limiter.process(sound), limiter.flush()])
    around = np.delete(out, 12_000)
    assert np.abs(np.diff(around)).max() < 0.01


def test_trim_keeps_speech_and_fades_its_edges():
    speech = hum(1.0, 0.5)[2_000:]
    padded = np.concatenate([silence(0.8, sample_rate=RATE), speech, silence(0.9, sample_rate=RATE)])
    trimmed = trim(padded, sample_rate=RATE)
    assert len(speech) * 0.95 < len(trimmed) < len(speech) + 0.15 * RATE
    assert abs(trimmed[0]) < 1e-3
    assert abs(trimmed[-1]) < 1e-3
    assert len(trim(silence(1.0, sample_rate=RATE), sample_rate=RATE)) == 0


def test_pauses_follow_the_punctuation():
    full, comma, none = (pause_after(text, speed=1.0) for text in ("Fin. ", "puis, ", "puis "))
    assert full > comma > none > 0
    assert pause_after("Titre\n\n", speed=1.0) > full
    assert pause_after("« Oui. » ", speed=1.0) == full
    assert pause_after("Fin. ", speed=2.0) == full / 2
