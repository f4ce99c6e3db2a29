"""`/wallet` and `/v1/asr`: what the rest of an account consists of."""

import io
from datetime import UTC, datetime
from typing import Any

import av
import msgpack
import numpy as np

from tests.fish_stand_in.bodies import parse_form
from tests.fish_stand_in.speech import alignment
from tests.fish_stand_in.state import State
from tests.fish_stand_in.validation import Refusal
from tests.fish_stand_in.wire import Request

USER_ID = "5f" * 12
HEARD = "Bonjour, ceci est un essai."


def api_credit(state: State) -> dict[str, Any]:
    """Return the API wallet."""
    now = datetime.now(UTC).isoformat()
    return {
        "_id": "c" * 24,
        "user_id": USER_ID,
        "credit": str(state.credit()),
        "cumulative_top_up": "10.000000",
        "created_at": now,
        "updated_at": now,
        "has_phone_sha256": False,
        "has_free_credit": None,
    }


def package() -> dict[str, Any]:
    """Return the web plan, which has nothing to do with the API wallet."""
    now = datetime.now(UTC).isoformat()
    known = {"_id": "d" * 24, "user_id": USER_ID, "type": "free", "total": 8_000, "balance": 8_000}
    return known | {
        "created_at": now,
        "updated_at": now,
        "finished_at": now,
        "extra_balance": 0,
        "has_used_trial": False,
    }


def transcription(request: Request) -> dict[str, Any]:
    """Return what was said: always the same words, over the real duration of the sound, in seconds."""
    if request.media_type == "application/msgpack":
        fields = msgpack.unpackb(request.body, raw=False)
        audio, has_times = fields.get("audio"), fields.get("ignore_timestamps") is False
    else:
        form = parse_form(request)
        audio, has_times = (form.files.get("audio") or [b""])[0], form.text("ignore_timestamps") == "false"
    duration_s, loudness = _measured(audio or b"")
    if loudness < 1e-4:
        raise Refusal(503, "Failed to transcribe audio: upstream ASR service timed out.")
    segments = alignment(HEARD, duration_s)["segments"] if has_times else []
    return {"text": HEARD, "duration": duration_s, "segments": segments, "language_code": "fr"}


def _measured(audio: bytes) -> tuple[float, float]:
    try:
        with av.open(io.BytesIO(audio), "r") as container:
            resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
            parts = [
                part.to_ndarray().reshape(-1)
                for frame in container.decode(audio=0)
                for part in resampler.resample(frame)
            ]
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise Refusal(400, "Audio could not be decoded") from error
    sound = np.concatenate(parts) if parts else np.zeros(1, dtype=np.float32)
    return len(sound) / 16_000, float(np.abs(sound).max())
