"""Turn an order into what Fish Audio takes."""

from dataclasses import replace
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from tts.engines.base import EngineOrder, Warning
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


def _possible_rate(audio_format: str, rate: int) -> int:
    if rate == UNCHOSEN_RATE and audio_format in BEST_RATES:
        return BEST_RATES[audio_format]
    return min(RATES[audio_format], key=lambda known: abs(known - rate))
