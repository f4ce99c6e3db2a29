"""One stream's sound, put in order, joined, levelled, encoded and cut into pieces."""

import threading
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from tts.audio.encoders import SpeechEncoder
from tts.audio.joins import FIRST_SILENCE_S, LAST_SILENCE_S, pause_after, silence, trim
from tts.engines.base import MAX_PIECE_BYTES, EngineOrder, Piece, Segment, TextNotSpeakable

Sound = NDArray[np.float32]

SAMPLE_RATE = 24_000
BLOCK_SAMPLES = SAMPLE_RATE  # one second: what is sent, and paid for, at a time


class Track:
    """Take the segments of one order in any order, from any thread, and emit their pieces in the text's
    order.

    `emit` gets every Piece; it is called from the thread that completed the next segment.
    """

    def __init__(self, order: EngineOrder, segments: list[str], emit: Callable[[Piece], None]):
        self._order = order
        self._segments = segments
        self._emit = emit
        self._encoder = SpeechEncoder(
            audio_format=order.format,
            sample_rate=order.sample_rate,
            source_rate=SAMPLE_RATE,
            volume_db=order.volume_db,
        )
        self._waiting: dict[int, Sound] = {}
        self._next = 0
        self._characters = 0
        self._samples = 0
        self.has_sound = False  # something has been emitted
        self._lock = threading.Lock()

    def shape(self, index: int, sound: Sound) -> Sound:
        """Return a segment as it will be heard: trimmed, with the silence before and after it."""
        speech = trim(sound, sample_rate=SAMPLE_RATE)
        if not len(speech):
            return speech
        pause = pause_after(self._segments[index], speed=self._order.speed)
        seconds = LAST_SILENCE_S if index == len(self._segments) - 1 else pause
        return np.concatenate([speech, silence(seconds, sample_rate=SAMPLE_RATE)])

    def add(self, index: int, sound: Sound) -> None:
        """Accept a shaped segment and emit whatever is now complete.

        Raises TextNotSpeakable at a silent end.
        """
        with self._lock:
            self._waiting[index] = sound
            while self._next in self._waiting:
                self._deliver(self._next, self._waiting.pop(self._next))
                self._next += 1

    def _deliver(self, index: int, sound: Sound) -> None:
        text = self._segments[index]
        is_last = index == len(self._segments) - 1
        before, after = self._characters, self._characters + len(text)
        if len(sound) and not self.has_sound:
            sound = np.concatenate([silence(FIRST_SILENCE_S, sample_rate=SAMPLE_RATE), sound])
            self.has_sound = True
        if is_last and not self.has_sound:
            raise TextNotSpeakable("there is nothing to say in this text")
        if not self.has_sound:
            self._characters = after
            return
        start_ms = self._duration_ms()
        segment = Segment(text.strip(), start_ms, start_ms + round(len(sound) * 1000 / SAMPLE_RATE))
        blocks = list(_blocks(sound))
        for number, block in enumerate(blocks, start=1):
            self._samples += len(block)
            is_end = number == len(blocks)
            self._characters = after if is_end else before + len(text) * number // (len(blocks) + 1)
            data = self._encoder.feed(block) + (self._encoder.finish() if is_last and is_end else b"")
            self._emit_bytes(data, segment if number == 1 and len(sound) else None)

    def _emit_bytes(self, data: bytes, segment: Segment | None) -> None:
        for offset in range(0, max(1, len(data)), MAX_PIECE_BYTES):
            part = data[offset : offset + MAX_PIECE_BYTES]
            self._emit(Piece(part, self._characters, self._duration_ms(), segment if offset == 0 else None))

    def _duration_ms(self) -> int:
        return round(self._samples * 1000 / SAMPLE_RATE)


def _blocks(sound: Sound) -> Iterator[Sound]:
    for start in range(0, max(1, len(sound)), BLOCK_SAMPLES):
        yield sound[start : start + BLOCK_SAMPLES]
