"""Turn what Fish Audio answers into pieces: measured, bounded, each with its place in the text."""

import re
from collections.abc import Iterator

from tts.engines.base import MAX_PIECE_BYTES, EngineFailed, EngineOrder, Piece, Segment
from tts.engines.fish_meter import create_meter
from tts.text.segments import Limits, split_text

# Nobody says more letters in a second: French is read at 14 to 17. Less sound than this is not the whole text.
MAX_LETTERS_PER_S = 40.0
MIN_SOUND_MS = 40.0  # more than one MP3 frame, which is all that an empty answer holds
FEED_BYTES = 16 * 1024  # what is measured at once: with what was held back before it, it fits a piece
SUBTITLES = Limits(first=90, later=90)

# A slow speaker, in letters per second, and what else there is to say in letters: « 97 » is twenty of them.
SLOW_LETTERS_PER_S = 10.0
DIGIT_LETTERS, SIGN_LETTERS, IDEOGRAPH_LETTERS, REST_LETTERS = 9.0, 9.0, 3.0, 0.3

_SIGN = re.compile(r"[€$£¥%@&=+×÷°/#_<>]")
_IDEOGRAPH = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
# How it is to be said, not what: [whisper], (happy), <|speaker:0|>.
_CUE = re.compile(r"\[[^\[\]\n]{1,80}\]|\([^()\n]{1,80}\)|<\|[^|<>\n]{1,40}\|>")


class PieceMaker:
    """Make pieces of the answer's bytes: bounded, measured, and none before there is sound.

    What comes before the first sound (headers, tags) is kept for the piece that holds it, so that an empty
    answer is refused before anything was sent.
    """

    def __init__(self, order: EngineOrder):
        self.sent_text = order.text
        self._speed = order.speed
        self._meter = create_meter(order.format, order.sample_rate)
        self._held = b""
        self._has_sound = False
        self._place = _Place(order.speed)

    @property
    def duration_ms(self) -> int:
        return int(self._meter.duration_ms)

    def feed(self, chunk: bytes) -> Iterator[Piece]:
        """Yield the pieces of a chunk, at once; raises EngineFailed when it is not the sound asked for."""
        for start in range(0, len(chunk), FEED_BYTES):
            data = self._held + self._meter.feed(chunk[start : start + FEED_BYTES])
            self._has_sound = self._has_sound or self._meter.duration_ms >= MIN_SOUND_MS
            self._held = b"" if self._has_sound else data
            if data and self._has_sound:
                yield from self._pieces(data)

    def mark(self, characters: int) -> None:
        """Note that so much of the text is spoken for certain."""
        self._place.move_to(characters, self._meter.duration_ms)

    def finish(self) -> Iterator[Piece]:
        """Check that the text can have been spoken whole, and yield the last, empty pieces with its segments.

        The segments share the time by their length: the service tells no times on this path.
        """
        self._meter.finish()
        if self._meter.duration_ms < max(MIN_SOUND_MS, least_ms(self.sent_text, self._speed)):
            raise EngineFailed(f"only {self.duration_ms} ms of sound for {len(self.sent_text)} characters")
        for segment in shared_segments(self.sent_text, self.duration_ms):
            yield Piece(b"", len(self.sent_text), self.duration_ms, segment)

    def _pieces(self, data: bytes) -> Iterator[Piece]:
        characters = self._place.after(self.sent_text, self._meter.duration_ms)
        for start in range(0, len(data), MAX_PIECE_BYTES):
            yield Piece(data[start : start + MAX_PIECE_BYTES], characters, self.duration_ms)


class _Place:
    """Follow the voice through the text, from behind: it is a slow one as far as anybody here knows."""

    def __init__(self, speed: float):
        self._speed = speed
        self._characters = 0
        self._said = 0.0  # in letters, since `_since_ms`
        self._since_ms = 0.0

    def move_to(self, characters: int, duration_ms: float) -> None:
        """Go on from a place that is known."""
        self._characters, self._said, self._since_ms = characters, 0.0, duration_ms

    def after(self, text: str, duration_ms: float) -> int:
        """Return how many characters of the text are spoken for certain. Never all: that is said at the end."""
        heard = (duration_ms - self._since_ms) / 1000 * SLOW_LETTERS_PER_S * self._speed
        while self._characters < len(text) - 1:
            said = self._said + _letters_to_say(text[self._characters])
            if said > heard:
                break
            self._characters, self._said = self._characters + 1, said
        return self._characters


def least_ms(text: str, speed: float, *, letters_per_s: float = MAX_LETTERS_PER_S) -> float:
    """Return how long the text takes at least, in milliseconds, however fast the speaker."""
    letters = sum(character.isalnum() for character in _CUE.sub("", text))
    return letters * 1000 / letters_per_s / speed


def _letters_to_say(character: str) -> float:
    if character.isdigit():
        return DIGIT_LETTERS
    if _SIGN.match(character):
        return SIGN_LETTERS
    if _IDEOGRAPH.match(character):
        return IDEOGRAPH_LETTERS
    return 1.0 if character.isalpha() else REST_LETTERS


def shared_segments(text: str, duration_ms: int) -> Iterator[Segment]:
    """Yield the subtitles of a text that shares its time by length, in milliseconds from zero."""
    done = 0
    for part in split_text(text, SUBTITLES):
        start, done = done, done + len(part)
        start_ms, end_ms = (duration_ms * place // len(text) for place in (start, done))
        yield Segment(part, start_ms, end_ms)
