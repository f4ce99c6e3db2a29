"""Cut the silence around spoken segments and put natural pauses between them."""

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float32]

SILENCE_BELOW = 0.012  # of full scale: breath and room tone of the voices lie under it, consonants above
KEEP_BEFORE_S = 0.040
KEEP_AFTER_S = 0.060
FADE_S = 0.006
FIRST_SILENCE_S = 0.060
LAST_SILENCE_S = 0.120

PAUSES_S = {
    "\n": 0.55,
    ".": 0.32,
    "!": 0.32,
    "?": 0.34,
    "…": 0.36,
    ";": 0.24,
    ":": 0.22,
    ",": 0.12,
    "—": 0.14,
}
PLAIN_PAUSE_S = 0.05


def trim(sound: Sound, *, sample_rate: int) -> Sound:
    """Remove the silence at both ends but a breath of it, and fade the edges so that a join cannot click."""
    loud = np.flatnonzero(np.abs(sound) > SILENCE_BELOW)
    if not len(loud):
        return np.zeros(0, dtype=np.float32)
    start = max(0, int(loud[0]) - int(KEEP_BEFORE_S * sample_rate))
    end = min(len(sound), int(loud[-1]) + 1 + int(KEEP_AFTER_S * sample_rate))
    trimmed = sound[start:end].copy()
    fade = min(int(FADE_S * sample_rate), len(trimmed) // 2)
    if fade:
        ramp = np.linspace(0.0, 1.0, fade, dtype=np.float32)
        trimmed[:fade] *= ramp
        trimmed[-fade:] *= ramp[::-1]
    return trimmed


def pause_after(text: str, *, speed: float) -> float:
    """Return the seconds of silence that a reader leaves after `text`, by its last sign."""
    tail = text.rstrip(" \t\u00a0\u202f")
    if tail.endswith("\n"):
        return PAUSES_S["\n"] / speed
    last = tail.rstrip("\"'»”’)]*_ \u00a0\u202f")[-1:]
    return PAUSES_S.get(last, PLAIN_PAUSE_S) / speed


def silence(seconds: float, *, sample_rate: int) -> Sound:
    """Return `seconds` of silence as float32 samples."""
    return np.zeros(max(0, round(seconds * sample_rate)), dtype=np.float32)
