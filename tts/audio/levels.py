"""Gain and a look-ahead limiter: louder on request, never clipped."""

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float32]

CEILING = 0.89  # -1 dBFS: lossy codecs overshoot a little, and that must not clip either
LOOKAHEAD_S = 0.010
HOLD_S = 0.040


class Limiter:
    """Amplify a stream of mono samples and hold every sample under the ceiling.

    The gain of a sample is the mean, over a window, of the minimum gain its neighbourhood needs; a mean of
    values
    that are all small enough is small enough, so no peak passes, and the gain moves smoothly, so nothing
    crackles.
    Output lags input by the look-ahead; `flush` returns the rest.
    """

    def __init__(self, *, sample_rate: int, gain_db: float = 0.0, ceiling: float = CEILING):
        self._gain = np.float32(10.0 ** (gain_db / 20.0))
        self._ceiling = ceiling
        self._attack = max(1, int(sample_rate * LOOKAHEAD_S))
        self._hold = max(self._attack, int(sample_rate * HOLD_S))
        # `hold` samples already given out (their peaks still keep the gain down), then those waiting for
        # their future.
        self._buffer: Sound = np.zeros(self._hold, dtype=np.float32)

    def process(self, sound: Sound) -> Sound:
        """Return the samples that are ready, in order; float32 in, float32 out, any length."""
        self._buffer = np.concatenate([self._buffer, np.nan_to_num(sound) * self._gain])
        ready = len(self._buffer) - self._hold - self._attack
        if ready <= 0:
            return np.zeros(0, dtype=np.float32)
        out = self._limited(ready)
        self._buffer = self._buffer[ready:]
        return out

    def flush(self) -> Sound:
        """Return the samples still held back at the end of the sound."""
        left = len(self._buffer) - self._hold
        self._buffer = np.concatenate([self._buffer, np.zeros(self._attack, dtype=np.float32)])
        out = self._limited(left)
        self._buffer = np.zeros(self._hold, dtype=np.float32)
        return out

    def _limited(self, count: int) -> Sound:
        window = self._buffer[: self._hold + count + self._attack]
        body = window[self._hold : self._hold + count]
        peaks = np.abs(window)
        if peaks.max(initial=0.0) <= self._ceiling:
            return body.copy()
        needed = np.minimum(1.0, self._ceiling / np.maximum(peaks, 1e-9))
        # lowest[j] = least gain in needed[j : j + hold + 1]; a sample averages `attack + 1` windows that
        # all hold it.
        lowest = _sliding_minimum(needed, self._hold + 1)
        gain = _sliding_mean(lowest, self._attack + 1)
        return np.clip(body * gain, -self._ceiling, self._ceiling).astype(np.float32)


def _sliding_minimum(values: NDArray, width: int) -> NDArray:
    """Return min(values[i : i + width]) for every full window, in O(n log width)."""
    result, done = values, 1
    while done < width:
        step = min(done, width - done)
        result = np.minimum(result[:-step], result[step:])
        done += step
    return result


def _sliding_mean(values: NDArray, width: int) -> NDArray:
    """Return mean(values[i : i + width]) for every full window."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return (sums[width:] - sums[:-width]) / width
