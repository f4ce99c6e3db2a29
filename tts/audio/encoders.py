"""Encode sound while it is being made: mp3, opus in Ogg, wav and pcm."""

from typing import Protocol

import av
import numpy as np
from numpy.typing import NDArray

from tts.audio.levels import Limiter
from tts.audio.wav import wav_header

Sound = NDArray[np.float32]

MP3_BIT_RATE = 128_000
OPUS_BIT_RATE = 64_000
OPUS_SAMPLE_RATE = 48_000
OPUS_PAGE_US = 100_000  # what a listener waits for at most: an Ogg page is sent when it is full
MP3_SAMPLE_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
# LAME and its decoders put this much silence in front; it is taken out of the silence that is already there.
MP3_DELAY_SAMPLES = 1_105


class Encoder(Protocol):
    """Turn float32 mono samples into the bytes of one file, piece by piece."""

    def feed(self, sound: Sound) -> bytes: ...

    def finish(self) -> bytes: ...


class SpeechEncoder:
    """Bring 24 kHz speech to the wanted rate and level and encode it as a stream.

    `feed` and `finish` return bytes whose concatenation is a valid file; they are not thread-safe and cost
    about
    1 % of the time of the sound, so they belong in a worker thread.
    """

    def __init__(
        self, *, audio_format: str, sample_rate: int, source_rate: int = 24_000, volume_db: float = 0.0
    ):
        if audio_format == "opus":
            sample_rate = OPUS_SAMPLE_RATE
        self._resampler = _Resampler(source_rate, sample_rate)
        self._limiter = Limiter(sample_rate=sample_rate, gain_db=volume_db)
        self._encoder = create_encoder(audio_format, sample_rate)

    def feed(self, sound: Sound) -> bytes:
        """Encode more samples (float32, mono, source rate) and return the bytes that are ready."""
        return self._encoder.feed(self._limiter.process(self._resampler.feed(sound)))

    def finish(self) -> bytes:
        """End the file and return its last bytes."""
        head = self._encoder.feed(self._limiter.process(self._resampler.finish()))
        body = self._encoder.feed(self._limiter.flush())
        return head + body + self._encoder.finish()


def create_encoder(audio_format: str, sample_rate: int) -> Encoder:
    """Return the encoder of a format (mp3|opus|wav|pcm) at `sample_rate` Hz.

    Raises ValueError for another format.
    """
    if audio_format == "mp3":
        return _Mp3Encoder(sample_rate)
    if audio_format == "opus":
        return _ContainerEncoder(
            "ogg", "libopus", sample_rate, OPUS_BIT_RATE, {"page_duration": str(OPUS_PAGE_US)}
        )
    if audio_format in ("wav", "pcm"):
        return _PcmEncoder(sample_rate, with_header=audio_format == "wav")
    raise ValueError(f"unknown audio format {audio_format!r}")


class _PcmEncoder:
    """Write s16le samples, after a WAV header of unknown length when it is asked for."""

    def __init__(self, sample_rate: int, *, with_header: bool):
        self._head = wav_header(sample_rate=sample_rate) if with_header else b""

    def feed(self, sound: Sound) -> bytes:
        samples = np.clip(np.rint(sound * 32767.0), -32768, 32767).astype("<i2").tobytes()
        head, self._head = self._head, b""
        return head + samples

    def finish(self) -> bytes:
        return self.feed(np.zeros(0, dtype=np.float32))


class _ContainerEncoder:
    """Drive one FFmpeg encoder and muxer that write into memory and never seek back."""

    def __init__(self, container: str, codec: str, sample_rate: int, bit_rate: int, options: dict[str, str]):
        self._sink = _Sink()
        self._sample_rate = sample_rate
        self._container = av.open(
            self._sink, "w", format=container, options={"flush_packets": "1", **options}
        )
        stream = self._container.add_stream(codec, rate=sample_rate)
        assert isinstance(stream, av.AudioStream)
        self._stream: av.AudioStream = stream
        self._stream.bit_rate = bit_rate
        self._stream.layout = "mono"
        # frame_size is known once the codec is open: the resampler converts the sample format and cuts
        # frames.
        self._stream.codec_context.open()
        self._framer = av.AudioResampler(
            format=self._stream.codec_context.format.name,
            layout="mono",
            rate=sample_rate,
            frame_size=self._stream.codec_context.frame_size,
        )

    def feed(self, sound: Sound) -> bytes:
        if len(sound):
            self._encode(self._framer.resample(_frame(sound, self._sample_rate)))
        return self._sink.take()

    def finish(self) -> bytes:
        self._encode(self._framer.resample(None))
        for packet in self._stream.encode(None):
            self._container.mux(packet)
        self._container.close()
        return self._sink.take()

    def _encode(self, frames: list[av.AudioFrame]) -> None:
        for frame in frames:
            frame.pts = None
            for packet in self._stream.encode(frame):
                self._container.mux(packet)


class _Mp3Encoder(_ContainerEncoder):
    """Encode mp3 without tags, and take the codec's own delay out of the silence the sound starts with."""

    def __init__(self, sample_rate: int):
        options = {"write_xing": "0", "id3v2_version": "0"}
        super().__init__("mp3", "libmp3lame", sample_rate, MP3_BIT_RATE, options)
        self._to_skip = MP3_DELAY_SAMPLES

    def feed(self, sound: Sound) -> bytes:
        if self._to_skip and len(sound):
            head = sound[: self._to_skip]
            loud = np.flatnonzero(np.abs(head) > 1e-3)
            skipped = int(loud[0]) if len(loud) else len(head)
            self._to_skip = 0 if len(loud) else self._to_skip - skipped
            sound = sound[skipped:]
        return super().feed(sound)


class _Resampler:
    """Change the sample rate of a stream; does nothing when the rates agree."""

    def __init__(self, source_rate: int, target_rate: int):
        self._source_rate = source_rate
        self._resampler = None
        if source_rate != target_rate:
            self._resampler = av.AudioResampler(format="flt", layout="mono", rate=target_rate)

    def feed(self, sound: Sound) -> Sound:
        if self._resampler is None or not len(sound):
            return sound
        return _samples(self._resampler.resample(_frame(sound, self._source_rate)))

    def finish(self) -> Sound:
        if self._resampler is None:
            return np.zeros(0, dtype=np.float32)
        return _samples(self._resampler.resample(None))


class _Sink:
    """Collect what the muxer writes; without `seek`, FFmpeg treats it as a stream."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def _frame(sound: Sound, sample_rate: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound[None, :]), format="flt", layout="mono")
    frame.sample_rate = sample_rate
    return frame


def _samples(frames: list[av.AudioFrame]) -> Sound:
    parts = [frame.to_ndarray().reshape(-1) for frame in frames]
    return np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, dtype=np.float32)
