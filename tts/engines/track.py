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


class Tape:
    """Be the one file that speech becomes. Several tracks may follow each other on it, one at a time."""

    def __init__(self, order: EngineOrder):
        self.has_sound = False
        self._samples = 0
        self._encoder = SpeechEncoder(
            audio_format=order.format,
            sample_rate=order.sample_rate,
            source_rate=SAMPLE_RATE,
            volume_db=order.volume_db,
        )

    @property
    def duration_ms(self) -> int:
        return round(self._samples * 1000 / SAMPLE_RATE)

    def feed(self, sound: Sound) -> bytes:
        """Encode more sound and return the bytes that are ready."""
        self._samples += len(sound)
        return self._encoder.feed(sound)

    def finish(self) -> bytes:
        """End the file and return its last bytes."""
        return self._encoder.finish()


class Track:
    """Take the segments of one order in any order, from any thread, and emit their pieces in the text's
    order.

    `emit` gets every Piece; it is called from the thread that completed the next segment. A `tape` that is given
    goes on after this track, so that it is not ended; `last_silence_s` is then the least silence at the end.
    """

    def __init__(
        self,
        order: EngineOrder,
        segments: list[str],
        emit: Callable[[Piece], None],
        *,
        tape: Tape | None = None,
        last_silence_s: float = LAST_SILENCE_S,
    ):
        self._order = order
        self._segments = segments
        self._emit = emit
        self._goes_on = tape is not None
        self._tape = tape or Tape(order)
        self._last_silence_s = last_silence_s
        self._waiting: dict[int, Sound] = {}
        self._next = 0
        self._characters = 0
        self.has_sound = False  # something has been emitted
        self._lock = threading.Lock()

    def shape(self, index: int, sound: Sound) -> Sound:
        """Return a segment as it will be heard: trimmed, with the silence before and after it."""
        speech = trim(sound, sample_rate=SAMPLE_RATE)
        if not len(speech):
            return speech
        pause_s = pause_after(self._segments[index], speed=self._order.speed)
        if index == len(self._segments) - 1:
            pause_s = max(pause_s, self._last_silence_s) if self._goes_on else self._last_silence_s
        return np.concatenate([speech, silence(pause_s, sample_rate=SAMPLE_RATE)])

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
        if len(sound) and not self._tape.has_sound:
            sound = np.concatenate([silence(FIRST_SILENCE_S, sample_rate=SAMPLE_RATE), sound])
            self._tape.has_sound = True
        if not self._tape.has_sound:
            self._characters = after
            if is_last:
                self._end_in_silence()
            return
        self.has_sound = True
        start_ms = self._tape.duration_ms
        segment = Segment(text.strip(), start_ms, start_ms + round(len(sound) * 1000 / SAMPLE_RATE))
        blocks = list(_blocks(sound))
        for number, block in enumerate(blocks, start=1):
            is_end = number == len(blocks)
            self._characters = after if is_end else before + len(text) * number // (len(blocks) + 1)
            is_over = is_last and is_end and not self._goes_on
            data = self._tape.feed(block) + (self._tape.finish() if is_over else b"")
            self._emit_bytes(data, segment if number == 1 and len(sound) else None)

    def _end_in_silence(self) -> None:
        """Say that this text is done although nothing of it can be heard."""
        if not self._goes_on:
            raise TextNotSpeakable("there is nothing to say in this text")
        self._emit_bytes(b"", None)

    def _emit_bytes(self, data: bytes, segment: Segment | None) -> None:
        for piece in cut_pieces(data, self._characters, self._tape.duration_ms, segment):
            self._emit(piece)


def cut_pieces(
    data: bytes, characters: int, duration_ms: int, segment: Segment | None = None
) -> Iterator[Piece]:
    """Yield the pieces of encoded sound, none of them too large; one of them even when there is no sound."""
    for offset in range(0, max(1, len(data)), MAX_PIECE_BYTES):
        part = data[offset : offset + MAX_PIECE_BYTES]
        yield Piece(part, characters, duration_ms, segment if offset == 0 else None)


def _blocks(sound: Sound) -> Iterator[Sound]:
    for start in range(0, max(1, len(sound)), BLOCK_SAMPLES):
        yield sound[start : start + BLOCK_SAMPLES]
