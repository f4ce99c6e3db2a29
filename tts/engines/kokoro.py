"""The local engine: Kokoro-82M, French by default, spoken on this machine's cores."""

import asyncio
import atexit
import contextlib
import functools
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

import numpy as np
import onnxruntime
from django.conf import settings
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from tts.audio.encoders import MP3_SAMPLE_RATES, OPUS_SAMPLE_RATE
from tts.engines.base import EngineOrder, EngineTimeout, Piece, Warning
from tts.engines.kokoro_live import KokoroLive, Part
from tts.engines.kokoro_model import SAMPLE_RATE, KokoroModel, core_count
from tts.engines.phonemes import SAMPLE_LANGUAGE, phonemize, tokens_of
from tts.engines.scheduler import Job, Stream
from tts.engines.track import Track
from tts.engines.workers import Load, Stopped, WorkerPool
from tts.text.normalise import normalise
from tts.text.segments import Limits, split_text

Sound = NDArray[np.float32]
Put = Callable[[Piece | BaseException], None]

DEFAULT_TEMPERATURE = 0.7
LIMITS = {"low": Limits(first=28), "balanced": Limits(), "normal": Limits(first=90)}
# Beside others, shorter segments that hardly grow: the workers change hands more often, so more fit.
CROWD_LATER, CROWD_GROWTH = 80, 1.2
CALL_TOKENS = (
    230  # per model call: about 15 s of speech; memory grows with it, and 510 is the model's own limit
)
STALL_S = 60.0
_CALL_ENDS = re.compile(r"(?<=[.!?;:,…—]) | ")


@dataclass
class _Speech:
    """Tie a scheduled stream to its order, its segments and its consumer."""

    order: EngineOrder
    segments: list[str]
    track: Track
    put: Put
    stream: Stream | None = None
    is_end: bool = True  # of what is said: the voice may fall


class KokoroEngine:
    """Speak orders with Kokoro; one instance per process, usable from any event loop."""

    name = "kokoro"
    rest_after_s = None

    def __init__(self, *, model_path: Path, voices_dir: Path, workers: int = 0):
        cores = core_count()
        self._model = KokoroModel(model_path=model_path, voices_dir=voices_dir, cores=min(cores, 4))
        self._pool = WorkerPool(
            workers=workers or cores,
            speak=self._speak,
            failed=self._fail,
            new_stop=onnxruntime.RunOptions,
        )
        self._speeches: dict[Stream, _Speech] = {}
        # Cutting and admitting a long text takes milliseconds that do not belong on the event loop.
        self._planner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kokoro-plan")

    @property
    def load(self) -> Load:
        """What this process has to do at this moment."""
        return self._pool.load

    def prepare(self) -> None:
        """Load the model and speak one sentence to nobody, so that the first order is as fast as the next.

        Blocks.
        """
        tokens = tokens_of(phonemize(normalise("La voix est prête.")))
        for is_alone in (True, False):
            self._model.synthesise(tokens, blend=[("ff_siwis", 1.0)], speed=1.0, is_alone=is_alone)

    def check(self, order: EngineOrder) -> tuple[EngineOrder, list[Warning]]:
        """Return the order as Kokoro speaks it, and what it maps or ignores."""
        warnings = []
        if order.temperature != DEFAULT_TEMPERATURE:
            detail = _("La voix locale est déterministe\u00a0: «\u202ftemperature\u202f» est sans effet.")
            warnings.append(Warning("temperature_ignored", detail))
        sample_rate = _possible_rate(order.format, order.sample_rate)
        if sample_rate != order.sample_rate and (order.format, order.sample_rate) != ("opus", SAMPLE_RATE):
            detail = _("La fréquence d’échantillonnage a été ramenée à %(rate)s\u00a0Hz.") % {
                "rate": sample_rate
            }
            warnings.append(Warning("sample_rate_mapped", detail))
        return replace(order, sample_rate=sample_rate), warnings

    async def stream(self, order: EngineOrder) -> AsyncGenerator[Piece]:
        """Yield the pieces of one order as they are made; closing or cancelling it stops the work at once."""
        async with contextlib.aclosing(self._spoken(order)) as pieces:
            async for piece in pieces:
                yield piece

    @contextlib.asynccontextmanager
    async def room(self, order: EngineOrder) -> AsyncIterator[EngineOrder]:
        """Give the order back: each part of a session asks for admission by itself."""
        yield order

    @contextlib.asynccontextmanager
    async def live(self, order: EngineOrder) -> AsyncIterator[KokoroLive]:
        """Open a way to speak text that comes bit by bit; the order's own text is not spoken.

        Its iterator raises EngineBusy and TextNotSpeakable as `stream` does.
        """
        yield KokoroLive(order, self._spoken, self._planner)

    async def _spoken(self, order: EngineOrder, part: Part | None = None) -> AsyncGenerator[Piece]:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Piece | BaseException] = asyncio.Queue()

        def put(item: Piece | BaseException) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(queue.put_nowait, item)

        speech = await self._admitted(order, part, put)
        assert speech.stream is not None
        before_ms = part.starts_at_ms if part else 0
        try:
            is_first = True
            while True:
                piece = await _next_piece(queue)
                if is_first:
                    await asyncio.sleep(max(0.0, speech.stream.release_at - monotonic()))
                    is_first = False
                self._pool.taken(speech.stream, (piece.duration_ms - before_ms) / 1000)
                yield piece
                if piece.characters == len(order.text):
                    break
        finally:
            self._release(speech)

    async def close(self) -> None:
        """Stop every stream and end the worker threads."""
        await asyncio.to_thread(self.stop)

    def stop(self) -> None:
        """Stop every stream and end the worker threads. Blocks, for some milliseconds."""
        self._pool.close()

    async def _admitted(self, order: EngineOrder, part: Part | None, put: Put) -> _Speech:
        planned: Future[_Speech] = self._planner.submit(self._admit, order, part, put)
        try:
            return await asyncio.wrap_future(planned)
        except asyncio.CancelledError:
            planned.add_done_callback(self._release_planned)
            raise

    def _release_planned(self, planned: "Future[_Speech]") -> None:
        if not planned.cancelled() and planned.exception() is None:
            self._release(planned.result())

    def _admit(self, order: EngineOrder, part: Part | None, put: Put) -> _Speech:
        limits = LIMITS.get(order.latency, Limits())
        if self._pool.is_busy:
            limits = replace(limits, later=CROWD_LATER, growth=CROWD_GROWTH)
        if part is not None and not part.is_start:
            limits = replace(limits, first=limits.later)
        segments = split_text(order.text, limits)
        if part is None:
            speech = _Speech(order, segments, Track(order, segments, put), put)
        else:
            track = Track(order, segments, put, tape=part.tape, last_silence_s=part.last_silence_s)
            speech = _Speech(order, segments, track, put, is_end=part.is_end)

        def attach(stream: Stream) -> None:
            speech.stream = stream
            self._speeches[stream] = speech

        self._pool.add([self._pool.pace.sound_s(segment, order.speed) for segment in segments], attach)
        return speech

    def _release(self, speech: _Speech) -> None:
        if speech.stream is not None:
            self._pool.remove(speech.stream)
            self._speeches.pop(speech.stream, None)

    def _speak(self, job: Job) -> float:
        speech = self._speeches.get(job.stream)
        if speech is None:
            raise Stopped
        text, speed = speech.segments[job.index], speech.order.speed
        sound = speech.track.shape(job.index, self._sound(speech, job))
        sound_s = len(sound) / SAMPLE_RATE
        self._pool.pace.learn_length(text=text, sound_s=sound_s, speed=speed)
        speech.track.add(job.index, sound)
        if speech.track.has_sound:
            self._pool.started(job.stream)
        return sound_s

    def _sound(self, speech: _Speech, job: Job) -> Sound:
        text, order = speech.segments[job.index], speech.order
        language = order.voice_ref.get("language", SAMPLE_LANGUAGE)
        blend = [(name, float(weight)) for name, weight in order.voice_ref["styles"]]
        parts = [np.zeros(0, dtype=np.float32)]
        is_end = speech.is_end and job.index == len(speech.segments) - 1
        for tokens in _calls(_ended(phonemize(normalise(text), language), is_end=is_end)):
            if job.stop.terminate:
                raise Stopped
            parts.append(
                self._model.synthesise(
                    tokens, blend=blend, speed=order.speed, is_alone=job.is_alone, options=job.stop
                )
            )
        return np.concatenate(parts)

    def _fail(self, stream: Stream, error: BaseException) -> None:
        speech = self._speeches.pop(stream, None)
        if speech is not None:
            speech.put(error)


@functools.lru_cache(maxsize=1)
def kokoro_engine() -> KokoroEngine:
    """Return this process's engine, as the settings describe it."""
    engine = KokoroEngine(
        model_path=Path(settings.KOKORO_MODEL_PATH),
        voices_dir=Path(settings.KOKORO_VOICES_DIR),
        workers=settings.KOKORO_WORKERS,
    )
    # Python ends a thread that comes back to it too late by unwinding its stack, and C++ aborts the process for that.
    atexit.register(engine.stop)
    return engine


async def _next_piece(queue: "asyncio.Queue[Piece | BaseException]") -> Piece:
    try:
        item = await asyncio.wait_for(queue.get(), STALL_S)
    except TimeoutError as error:
        raise EngineTimeout(f"no sound for {STALL_S:.0f} s") from error
    if isinstance(item, BaseException):
        raise item
    return item


def _ended(phonemes: str, *, is_end: bool) -> str:
    """Give bare phonemes the final sign that fits: the voice must not fall where the sentence goes on."""
    if not phonemes or phonemes[-1] in ".!?;:,…—":
        return phonemes
    return phonemes + ("." if is_end else ",")


def _calls(phonemes: str) -> list[list[int]]:
    """Cut phonemes into what one model call takes, at punctuation or else at a space.

    Sounds only, never bare signs.
    """
    calls = []
    while any(symbol.isalpha() for symbol in phonemes):
        if len(phonemes) <= CALL_TOKENS:
            calls.append(tokens_of(phonemes))
            break
        ends = [match.end() for match in _CALL_ENDS.finditer(phonemes, 0, CALL_TOKENS)]
        end = next((end for end in reversed(ends) if end > CALL_TOKENS // 2), CALL_TOKENS)
        calls.append(tokens_of(phonemes[:end]))
        phonemes = phonemes[end:]
    return calls


def _possible_rate(audio_format: str, sample_rate: int) -> int:
    if audio_format == "opus":
        return OPUS_SAMPLE_RATE
    if audio_format == "mp3":
        return min(MP3_SAMPLE_RATES, key=lambda rate: abs(rate - sample_rate))
    return min(max(sample_rate, 8_000), 48_000)
