"""Decode strangers' recordings, in a process of its own that can do nothing else.

`python -I voices/decoder.py '<job>'`, job: `{"files": [[source, demuxer, target], …], "max_s": 377,
"total_s": 600}`. Each source is
decoded with the demuxer named, and written anew as 16-bit mono FLAC at 44.1 kHz: nothing of the sender's
bytes survives, neither tags nor pictures nor a second format in the same file. Prints one JSON object a file, in
order: `{"duration_ms", "peak_db", "rms_db"}` or `{"refusal"}`: not_decodable|too_long|too_long_together. After what is
too long, by itself (`max_s`) or with those before it (`total_s`), nothing more is decoded.

It imports nothing of FR02. Memory, processor time and file size are limited; once all files are open no other can be
opened, and no socket either: a playlist, an MP4 reference or a faulty parser has nowhere to go.
"""

import contextlib
import io
import json
import math
import resource
import sys
from typing import IO, Any

import av
import numpy as np

RATE = 44_100
MAX_CHANNELS, RATES = 8, (8_000, 192_000)
MEMORY_BYTES = 640 * 1024 * 1024  # of addresses; 240 MB of them are the libraries'
TARGET_BYTES = 96 * 1024 * 1024
CPU_S, CPU_S_PER_FILE = 3, 3
CODECS = (
    "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_u8", "pcm_f32le", "pcm_f64le",
    "mp3float", "mp3", "flac", "opus", "libopus", "vorbis", "libvorbis", "aac", "alac",
)  # fmt: skip
OPTIONS = {
    "protocol_whitelist": "file",
    "codec_whitelist": ",".join(CODECS),
    "probesize": str(1024 * 1024),
    "analyzeduration": "2000000",
    "max_streams": "8",
}


def main() -> None:
    """Limit this process, then decode what the job names."""
    job = json.loads(sys.argv[1])
    warm_up()
    with contextlib.ExitStack() as stack:
        opened = [
            (stack.enter_context(open(source, "rb")), demuxer, stack.enter_context(open(target, "wb")))
            for source, demuxer, target in job["files"]
        ]
        limit(len(opened))
        left_s = job["total_s"]
        for source, demuxer, target in opened:
            found = convert(source, demuxer, target, min(job["max_s"], left_s))
            if found.get("refusal") == "too_long" and left_s < job["max_s"]:
                found = {"refusal": "too_long_together"}
            print(json.dumps(found), flush=True)
            if found.get("refusal", "").startswith("too_long"):
                return
            left_s -= found.get("duration_ms", 0) / 1000


def warm_up() -> None:
    """Import what PyAV imports only when it is used: later nothing can be opened."""
    whole = io.BytesIO()
    with Recoder(whole) as recoder:
        recoder.feed(_frame(np.zeros((1, 4_096), dtype=np.int16)))
    whole.seek(0)
    with open_input(whole, "flac") as container:
        list(container.decode(audio=0))


def limit(count: int) -> None:
    """Take away what decoding does not need."""
    cpu_s = CPU_S + CPU_S_PER_FILE * count
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (TARGET_BYTES, TARGET_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def convert(source: IO[bytes], demuxer: str, target: IO[bytes], max_s: float) -> dict[str, Any]:
    """Decode one recording into its target and measure it."""
    try:
        with open_input(source, demuxer) as container, Recoder(target) as recoder:
            stream = container.streams.audio[0]
            stream.thread_type = "NONE"
            codec = stream.codec_context
            if codec.name not in CODECS or codec.channels > MAX_CHANNELS:
                return {"refusal": "not_decodable"}
            if not RATES[0] <= codec.sample_rate <= RATES[1]:
                return {"refusal": "not_decodable"}
            for frame in container.decode(stream):
                recoder.feed(frame)
                if recoder.count > max_s * RATE:
                    return {"refusal": "too_long"}
    except (av.FFmpegError, IndexError, ValueError, MemoryError):
        return {"refusal": "not_decodable"}
    return recoder.measured() if recoder.count else {"refusal": "not_decodable"}


def open_input(source: IO[bytes], demuxer: str) -> Any:
    """Open a stranger's file with the one demuxer that its first bytes ask for."""
    return av.open(source, format=demuxer, options=OPTIONS)


class Recoder:
    """Write frames of any kind as one clean FLAC file, and measure them on the way."""

    def __init__(self, target: IO[bytes]):
        self.count, self.peak, self.energy = 0, 0, 0.0
        self._output = av.open(target, "w", format="flac")
        self._stream = self._output.add_stream("flac", rate=RATE, layout="mono")
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE, frame_size=4_096)

    def __enter__(self) -> "Recoder":
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        if kind is None:
            self._write(None)
            self._output.mux(self._stream.encode(None))
        self._output.close()

    def feed(self, frame: av.AudioFrame) -> None:
        """Take over one decoded frame."""
        frame.pts = None  # times are the sender's, samples are what counts
        self._write(frame)

    def measured(self) -> dict[str, Any]:
        """Return the true length, and the levels in decibels below full scale."""
        return {
            "duration_ms": round(self.count * 1000 / RATE),
            "peak_db": _decibels(self.peak / 32_768),
            "rms_db": _decibels(math.sqrt(self.energy / self.count) / 32_768),
        }

    def _write(self, frame: av.AudioFrame | None) -> None:
        for part in self._resampler.resample(frame):
            samples = part.to_ndarray().astype(np.int32)
            self.count += samples.size
            self.peak = max(self.peak, int(np.abs(samples).max(initial=0)))
            self.energy += float(np.square(samples, dtype=np.float64).sum())
            self._output.mux(self._stream.encode(part))


def _frame(samples: Any) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    frame.sample_rate = RATE
    return frame


def _decibels(level: float) -> float:
    return round(20 * math.log10(max(level, 1e-6)), 1)


if __name__ == "__main__":
    main()
