"""Look at audio from outside: its duration and how loud it gets."""

import io

import av
import numpy as np


def measure(data: bytes, audio_format: str = "mp3") -> tuple[float, float]:
    """Return the duration in seconds and the highest absolute sample (0 to 1)."""
    if audio_format == "pcm":
        samples = np.frombuffer(data, "<i2").astype(np.float32) / 32768
        return len(samples) / 24_000, float(np.abs(samples).max(initial=0))
    count, peak, rate = 0, 0.0, 1
    with av.open(io.BytesIO(data), mode="r") as container:
        resampler = av.AudioResampler(format="fltp", layout="mono")
        for frame in container.decode(audio=0):
            for out in resampler.resample(frame):
                array = out.to_ndarray()
                count, rate, peak = (
                    count + array.shape[-1],
                    out.sample_rate,
                    max(peak, float(np.abs(array).max())),
                )
    return count / rate, peak
