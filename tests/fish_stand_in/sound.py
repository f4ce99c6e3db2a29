"""What the stand-in says: tones as long as the words would be, or the words, through the local engine."""

import asyncio
import hashlib
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol, cast

import av
import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float32]

RATE = 44_100
FRAME = 2_048  # the service's codec makes sound in frames of so many samples
BLOCK = 10 * FRAME  # 464 ms: what it sends at once
CHARACTERS_PER_S = 14.0
PLACEHOLDER_SIZE = 0xFFFFFF00


class Speaker(Protocol):
    """Speak a text: mono float32 at 44.1 kHz, in parts of any length."""

    def speak(self, text: str, *, voice: str, speed: float) -> AsyncIterator[Sound]: ...


class ToneSpeaker:
    """Hum as long as the words would take. Fast, never twice the same bytes."""

    async def speak(self, text: str, *, voice: str, speed: float) -> AsyncIterator[Sound]:
        """Yield a tone whose pitch is the voice's, with a little noise in it."""
        if not text.strip():
            return
        seconds = max(0.3, len(text.strip()) / CHARACTERS_PER_S / speed)
        count = math.ceil(seconds * RATE / FRAME) * FRAME
        pitch = 110 + hashlib.md5(voice.encode(), usedforsecurity=False).digest()[0]
        wave: NDArray[Any] = 0.3 * np.sin(np.arange(count, dtype=np.float32) * (2 * np.pi * pitch / RATE))
        noise = np.random.default_rng().normal(0, 0.003, count)
        yield np.asarray(wave + noise, dtype=np.float32)


class EngineSpeaker:
    """Speak with one of FR02's own engines; `styles` are its voices, one of which each voice id gets."""

    def __init__(self, engine: Any, order_type: Any, styles: list[str]):
        self._engine, self._order_type, self._styles = engine, order_type, styles

    async def speak(self, text: str, *, voice: str, speed: float) -> AsyncIterator[Sound]:
        """Yield real speech, brought to whole codec frames at its end."""
        number = hashlib.md5(voice.encode(), usedforsecurity=False).digest()[0]
        style = self._styles[number % len(self._styles)]
        order = self._order_type(
            text=text,
            voice_ref={"styles": [[style, 1.0]], "language": "fr-fr"},
            format="pcm",
            sample_rate=RATE,
            speed=speed,
        )
        count = 0
        async for piece in self._engine.stream(order):
            part = np.asarray(np.frombuffer(piece.data, dtype="<i2") / 32_768, dtype=np.float32)
            count += len(part)
            yield part
        yield np.zeros(-count % FRAME, dtype=np.float32)


async def blocks(parts: AsyncIterator[Sound]) -> AsyncIterator[Sound]:
    """Yield the same sound in the service's blocks; the last one may be shorter."""
    rest = np.zeros(0, dtype=np.float32)
    async for part in parts:
        rest = np.concatenate([rest, part])
        while len(rest) >= BLOCK:
            block, rest = rest[:BLOCK], rest[BLOCK:]
            yield block
    if len(rest):
        yield rest


class Encoder:
    """Encode blocks as they come into one file of the wanted format."""

    def __init__(self, request: dict[str, Any], wav_sizes: str = "placeholder"):
        self.format = request["format"]
        self.rate = request["sample_rate"]
        self._gain = 10 ** (float((request.get("prosody") or {}).get("volume") or 0) / 20)
        self._head = wav_header(self.rate, wav_sizes) if self.format == "wav" else b""
        self._sink = _Sink()
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=self.rate)
        if self.format in ("mp3", "opus"):
            self._open_codec(request)

    def feed(self, sound: Sound) -> bytes:
        """Return the bytes that are ready after this block."""
        samples = np.clip(sound * self._gain, -1, 1) * 32_767
        frame = av.AudioFrame.from_ndarray(samples.astype("<i2")[None, :], format="s16", layout="mono")
        frame.sample_rate = RATE
        return self._encoded(self._resampler.resample(frame))

    def finish(self) -> bytes:
        """Return the last bytes of the file."""
        data = self._encoded(self._resampler.resample(None))
        if self.format not in ("mp3", "opus"):
            return data
        for packet in self._stream.encode(None):
            self._container.mux(packet)
        self._container.close()
        return data + self._sink.take()

    def _open_codec(self, request: dict[str, Any]) -> None:
        container, codec = ("mp3", "libmp3lame") if self.format == "mp3" else ("ogg", "libopus")
        options = (
            {"id3v2_version": "0", "write_xing": "0"} if self.format == "mp3" else {"page_duration": "200000"}
        )
        self._container: Any = av.open(
            self._sink, "w", format=container, options={"flush_packets": "1", **options}
        )
        self._stream = cast(Any, self._container.add_stream(codec, rate=self.rate))
        self._stream.layout = "mono"
        self._stream.bit_rate = bit_rate(request)
        self._stream.codec_context.open()
        self._framer = av.AudioResampler(
            format=self._stream.codec_context.format.name,
            layout="mono",
            rate=self.rate,
            frame_size=self._stream.codec_context.frame_size,
        )

    def _encoded(self, frames: list[av.AudioFrame]) -> bytes:
        if self.format in ("wav", "pcm"):
            head, self._head = self._head, b""
            return head + b"".join(frame.to_ndarray().tobytes() for frame in frames)
        for frame in frames:
            for cut in self._framer.resample(frame):
                for packet in self._stream.encode(cut):
                    self._container.mux(packet)
        return self._sink.take()


def id3_tag(size: int = 300) -> bytes:
    """Return an ID3v2 tag, most of it padding, that has the sync bytes of a frame in it."""
    body = b"TXXX" + b"\xff\xfb\x90\xc4" * 8
    return b"ID3\x04\0\0" + bytes([0, 0, size >> 7, size & 0x7F]) + body.ljust(size, b"\0")


async def encoded_blocks(speaker: Speaker, request: dict[str, Any], wav_sizes: str) -> AsyncIterator[bytes]:
    """Yield the encoded blocks of one request's text; encoding runs in a thread."""
    encoder = Encoder(request, wav_sizes)
    speed = float((request.get("prosody") or {}).get("speed") or 1.0)
    parts = speaker.speak(request["text"], voice=voice_of(request), speed=speed)
    async for block in blocks(parts):
        yield await asyncio.to_thread(encoder.feed, block)
    yield await asyncio.to_thread(encoder.finish)


def voice_of(request: dict[str, Any]) -> str:
    """Return the id of the (first) voice that speaks."""
    voice = request.get("reference_id")
    return (voice[0] if voice else "") if isinstance(voice, list) else voice or ""


def bit_rate(request: dict[str, Any]) -> int:
    """Return bits per second; SDKs send kbit/s for Opus, the docs bit/s, -1000 lets the service choose."""
    if request["format"] == "mp3":
        return request["mp3_bitrate"] * 1000
    wanted = request["opus_bitrate"]
    return 32_000 if wanted <= 0 else wanted if wanted > 1000 else wanted * 1000


def wav_header(rate: int, sizes: str, data_bytes: int = 0) -> bytes:
    """Return the 44 bytes before the samples, with the sizes that are known before there are any."""
    data_size = {"placeholder": PLACEHOLDER_SIZE, "zero": 0}.get(sizes, data_bytes)
    riff_size = {"placeholder": PLACEHOLDER_SIZE + 36, "zero": 0}.get(sizes, data_bytes + 36)
    fields: Iterator[bytes] = iter(
        [
            b"RIFF" + riff_size.to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little"),
            (1).to_bytes(2, "little") + (1).to_bytes(2, "little") + rate.to_bytes(4, "little"),
            (rate * 2).to_bytes(4, "little") + (2).to_bytes(2, "little") + (16).to_bytes(2, "little"),
            b"data" + data_size.to_bytes(4, "little"),
        ]
    )
    return b"".join(fields)


class _Sink:
    """Collect what a muxer writes; it cannot seek back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data
