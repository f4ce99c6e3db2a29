"""Turn an order into what Fish Audio takes, and what it answers into pieces."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from tts.engines.base import MAX_PIECE_BYTES, EngineFailed, EngineOrder, Piece, Segment, Warning
from tts.engines.fish_meter import create_meter
from tts.text.segments import Limits, split_text
from voices.fish import headers

FORMATS = ("mp3", "opus", "wav", "pcm")
PCM_RATES = (8_000, 16_000, 24_000, 32_000, 44_100)
RATES = {"mp3": (32_000, 44_100), "opus": (48_000,), "wav": PCM_RATES, "pcm": PCM_RATES}
# What FR02 asks for when the customer did not choose: compressed sound then gets the service's best rate.
UNCHOSEN_RATE = 24_000
BEST_RATES = {"mp3": 44_100, "opus": 48_000}
SPEEDS = (0.5, 2.0)
VOLUMES_DB = (-20.0, 20.0)
MAX_TEMPERATURE = 1.0
LATENCIES = ("low", "normal", "balanced")

CHARACTERS_PER_S = 12.0  # a slow speaker; French is read at 14 to 17
# No voice says more letters in a second: less sound than this is not the text.
MAX_LETTERS_PER_S = 150.0
MIN_SOUND_MS = 40.0  # more than one MP3 frame, which is all that an empty answer holds
SUBTITLES = Limits(first=90, later=90)


def checked_order(order: EngineOrder) -> tuple[EngineOrder, list[Warning]]:
    """Return the order within Fish Audio's ranges, and a warning for everything that had to move."""
    warnings = []
    if order.format not in FORMATS:
        detail = _("Le format demandé n’existe pas chez Fish Audio\u00a0: mp3 est utilisé.")
        warnings.append(Warning("format_mapped", detail))
        order = replace(order, format="mp3")
    rate = _possible_rate(order.format, order.sample_rate)
    if rate != order.sample_rate and order.sample_rate != UNCHOSEN_RATE:
        detail = _("La fréquence d’échantillonnage a été ramenée à %(rate)s\u00a0Hz.") % {"rate": rate}
        warnings.append(Warning("sample_rate_mapped", detail))
    if order.temperature > MAX_TEMPERATURE:
        detail = _("Fish Audio accepte une température de 1 au plus\u00a0: 1 est utilisée.")
        warnings.append(Warning("temperature_mapped", detail))
    speed = min(max(order.speed, SPEEDS[0]), SPEEDS[1])
    if speed != order.speed:
        warnings.append(Warning("speed_mapped", _("La vitesse a été ramenée entre 0,5 et 2.")))
    volume_db = min(max(order.volume_db, VOLUMES_DB[0]), VOLUMES_DB[1])
    if volume_db != order.volume_db:
        warnings.append(Warning("volume_mapped", _("Le volume a été ramené entre -20 et +20\u00a0dB.")))
    latency = order.latency if order.latency in LATENCIES else "balanced"
    if latency != order.latency:
        warnings.append(
            Warning("latency_mapped", _("Ce mode de latence n’existe pas\u00a0: balanced est utilisé."))
        )
    temperature = min(max(order.temperature, 0.0), MAX_TEMPERATURE)
    possible = replace(
        order, sample_rate=rate, speed=speed, volume_db=volume_db, latency=latency, temperature=temperature
    )
    return possible, warnings


def request_body(order: EngineOrder) -> dict[str, Any]:
    """Return the fields of `POST /v1/tts`, and of the socket's `start`."""
    body: dict[str, Any] = {
        "text": order.text,
        "format": order.format,
        "sample_rate": order.sample_rate,
        "mp3_bitrate": 128,
        # Servers disagree whether this is kbit/s or bit/s; "automatic" is the same number for all of them.
        "opus_bitrate": -1000,
        "latency": order.latency,
        "temperature": order.temperature,
    }
    if order.voice_ref.get("id"):
        body["reference_id"] = order.voice_ref["id"]
    if order.speed != 1.0 or order.volume_db != 0.0:
        body["prosody"] = {"speed": order.speed, "volume": order.volume_db}
    return body


def request_headers() -> dict[str, str]:
    """Return the headers of a speech request. The model is one: without it the dearest would speak."""
    known = headers(settings.FISH_API_KEY)
    return known | {"model": settings.FISH_MODEL, "Content-Type": "application/msgpack"}


def is_speakable(text: str) -> bool:
    """Say whether there is a letter or a digit in the text."""
    return any(character.isalnum() for character in text)


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
        self._characters = 0

    @property
    def duration_ms(self) -> int:
        return int(self._meter.duration_ms)

    def feed(self, chunk: bytes) -> Iterator[Piece]:
        """Yield the pieces of a chunk, at once; raises EngineFailed when it is not the sound asked for."""
        data = self._meter.feed(chunk)
        if not self._has_sound:
            data, self._held = self._held + data, b""
            self._has_sound = self._meter.duration_ms >= MIN_SOUND_MS
            if not self._has_sound:
                self._held = data
                return
        for start in range(0, len(data), MAX_PIECE_BYTES):
            yield Piece(data[start : start + MAX_PIECE_BYTES], self._estimate(), self.duration_ms)

    def finish(self) -> Iterator[Piece]:
        """Check that the text can have been spoken whole, and yield the last, empty pieces with its segments.

        The segments share the time by their length: the service tells no times on this path.
        """
        self._meter.finish()
        letters = sum(character.isalnum() for character in self.sent_text)
        least_ms = max(MIN_SOUND_MS, letters * 1000 / MAX_LETTERS_PER_S / self._speed)
        if self._meter.duration_ms < least_ms:
            raise EngineFailed(f"only {self.duration_ms} ms of sound for {letters} letters")
        for segment in _shared_segments(self.sent_text, self.duration_ms):
            yield Piece(b"", len(self.sent_text), self.duration_ms, segment)

    def _estimate(self) -> int:
        spoken = int(self._meter.duration_ms / 1000 * CHARACTERS_PER_S * self._speed)
        self._characters = max(self._characters, min(spoken, len(self.sent_text) - 1))
        return self._characters


def _possible_rate(audio_format: str, rate: int) -> int:
    if rate == UNCHOSEN_RATE and audio_format in BEST_RATES:
        return BEST_RATES[audio_format]
    return min(RATES[audio_format], key=lambda known: abs(known - rate))


def _shared_segments(text: str, duration_ms: int) -> Iterator[Segment]:
    done = 0
    for part in split_text(text, SUBTITLES):
        start, done = done, done + len(part)
        start_ms, end_ms = (duration_ms * place // len(text) for place in (start, done))
        yield Segment(part, start_ms, end_ms)
