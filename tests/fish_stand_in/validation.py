"""What a speech request may be, and what the service says to one that may not."""

import json
from collections.abc import Callable
from typing import Any

import msgpack

from tests.fish_stand_in.state import Switches
from tests.fish_stand_in.wire import Request

MODELS = {"s1", "s2-pro", "s2.1-pro", "s2.1-pro-free", "drama-3-preview"}
FALLBACK_MODEL = "s2.1-pro"
PCM_RATES = (8_000, 16_000, 24_000, 32_000, 44_100)
RATES = {"mp3": (32_000, 44_100), "wav": PCM_RATES, "pcm": PCM_RATES, "opus": (48_000,)}
OPUS_BPS = (-1000, 24_000, 32_000, 48_000, 64_000)
OPUS_KBPS = (24, 32, 48, 64)
DEFAULTS: dict[str, Any] = {
    "format": "mp3",
    "mp3_bitrate": 128,
    "opus_bitrate": -1000,
    "latency": "normal",
    "chunk_length": 300,
    "min_chunk_length": 50,
    "reference_id": None,
    "references": [],
    "prosody": None,
    "sample_rate": None,
}
MIN_AUDIO_BYTES = 64


class Refusal(Exception):
    """An answer that is not a success."""

    def __init__(
        self,
        status: int,
        message: str = "",
        *,
        is_plain: bool = False,
        fields: Any = None,
        headers: dict[str, str] | None = None,
    ):
        super().__init__(message)
        self.status, self.message = status, message
        self.is_plain, self.fields, self.headers = is_plain, fields, headers or {}


def model_of(request: Request) -> str:
    """Return the model that speaks: an unknown or missing one is silently the default."""
    model = request.headers.get("model", "")
    return model if model in MODELS else FALLBACK_MODEL


def parse_body(request: Request) -> dict[str, Any]:
    """Return the fields of a JSON or msgpack body; a body that cannot be read is refused in plain text."""
    try:
        if request.media_type == "application/msgpack":
            value = msgpack.unpackb(request.body, raw=False)
        else:
            value = json.loads(request.body)
    except (ValueError, msgpack.UnpackException) as error:
        kind = "MsgPack" if request.media_type == "application/msgpack" else "json"
        raise Refusal(400, f"Failed to parse {kind} request body: {error}", is_plain=True) from error
    if not isinstance(value, dict):
        raise Refusal(400, "Failed to parse json request body: invalid type, expected a map", is_plain=True)
    return value


def checked_speech(
    fields: dict[str, Any], model: str, switches: Switches, knows_voice: Callable[[str], bool]
) -> dict[str, Any]:
    """Return the request with its defaults, or refuse it as the service does: mostly 400."""
    status = switches.validation_status
    given = {name: value for name, value in fields.items() if value is not None}
    request = DEFAULTS | given
    if not isinstance(request.get("text"), str):
        raise Refusal(status, "missing field text")
    _check_enums(request, status)
    _check_rates(request, status, switches)
    _check_numbers(request, status)
    _check_voices(request, model, knows_voice)
    _check_references(request["references"])
    return request


def _check_enums(request: dict[str, Any], status: int) -> None:
    enums = {"format": tuple(RATES), "latency": ("low", "normal", "balanced"), "mp3_bitrate": (64, 128, 192)}
    for name, known in enums.items():
        if request[name] not in known:
            expected = ", ".join(f"`{value}`" for value in known)
            raise Refusal(status, f"unknown variant `{request[name]}`, expected one of {expected}")


def _check_rates(request: dict[str, Any], status: int, switches: Switches) -> None:
    audio_format = request["format"]
    request["sample_rate"] = request["sample_rate"] or (48_000 if audio_format == "opus" else 44_100)
    if request["sample_rate"] not in RATES[audio_format]:
        known = ", ".join(str(rate) for rate in RATES[audio_format])
        message = (
            f"Invalid sample rate {request['sample_rate']} for format {audio_format}. Supported: {known}"
        )
        raise Refusal(status, message)
    bitrates = OPUS_BPS if switches.is_opus_strict and audio_format == "opus" else OPUS_BPS + OPUS_KBPS
    if request["opus_bitrate"] not in bitrates:
        raise Refusal(status, f"Invalid opus bitrate {request['opus_bitrate']}")


def _check_numbers(request: dict[str, Any], status: int) -> None:
    speed = (request["prosody"] or {}).get("speed", 1.0)
    if not isinstance(speed, int | float) or not 0.5 <= speed <= 2.0:
        raise Refusal(status, "speed must be in [0.5, 2.0]")
    for name, low, high in (("chunk_length", 100, 300), ("min_chunk_length", 0, 100)):
        if not isinstance(request[name], int) or not low <= request[name] <= high:
            raise Refusal(status, f"{name} must be in [{low}, {high}]")


def _check_voices(request: dict[str, Any], model: str, knows_voice: Callable[[str], bool]) -> None:
    voice = request["reference_id"]
    if isinstance(voice, list) and model == "s1":
        raise Refusal(
            400,
            "Failed to parse MsgPack request body: invalid type: sequence, expected a string",
            is_plain=True,
        )
    for one in voice if isinstance(voice, list) else [voice]:
        if one and not knows_voice(one):
            raise Refusal(400, "Reference not found")


def _check_references(references: list[Any]) -> None:
    flat = [item for entry in references for item in (entry if isinstance(entry, list) else [entry])]
    for reference in flat:
        audio = reference.get("audio") if isinstance(reference, dict) else None
        audio = bytes(audio) if isinstance(audio, list) else audio
        if not isinstance(audio, bytes) or len(audio) < MIN_AUDIO_BYTES:
            raise Refusal(400, "Reference Audio is not valid, please check your reference audio")
