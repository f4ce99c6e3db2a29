"""Recordings for the tests: a voice-like hum in any format, and files that only pretend."""

import io
import struct
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

RATE = 44_100
CODECS = {
    "wav": ("wav", "pcm_s16le"),
    "mp3": ("mp3", "libmp3lame"),
    "flac": ("flac", "flac"),
    "ogg": ("ogg", "libopus"),
    "m4a": ("ipod", "aac"),
    "webm": ("webm", "libopus"),
}


def hum(seconds: float, *, level: float = 0.3, rate: int = RATE) -> NDArray[np.int16]:
    """Return a hum with the rhythm of syllables, mono."""
    times = np.arange(int(seconds * rate)) / rate
    wave = np.sin(2 * np.pi * 140 * times) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * times))
    return (wave * level * 32_767).astype(np.int16)


def encoded(seconds: float, kind: str = "flac", *, level: float = 0.3) -> bytes:
    """Return the hum as a file of one of the kinds that are accepted."""
    container, codec = CODECS[kind]
    rate = 48_000 if codec == "libopus" else RATE
    return encode(hum(seconds, level=level, rate=rate), container, codec, rate)


def encode(samples: NDArray[np.int16], container: str, codec: str, rate: int) -> bytes:
    """Return samples as a file."""
    whole = io.BytesIO()
    with av.open(whole, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=rate, layout="mono")
        wanted = stream.codec_context.format.name
        resampler = av.AudioResampler(
            format=wanted, layout="mono", rate=rate, frame_size=stream.codec_context.frame_size or 4_096
        )
        frame = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
        frame.sample_rate = rate
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return whole.getvalue()


def wav(samples: bytes, *, said_bytes: int | None = None, rate: int = RATE) -> bytes:
    """Return a WAV file whose header says whatever length is wanted."""
    size = len(samples) if said_bytes is None else said_bytes
    header = struct.pack(
        "<4sI4s4sIHHIIHH",
        b"RIFF",
        min(size + 36, 2**32 - 1),
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        rate,
        rate * 2,
        2,
        16,
    )
    return header + struct.pack("<4sI", b"data", size) + samples


def flac_bomb(hours: float) -> bytes:
    """Return hours of a constant, ninety bytes for each half second. Not silence: silence is refused anyway."""
    return encode(np.full(int(hours * 3600 * 8_000), 9_000, np.int16), "flac", "flac", 8_000)


def opus_bomb(hours: float) -> bytes:
    """Return hours of empty Opus packets in Ogg: two bytes for each 120 ms."""
    head = b"OpusHead" + struct.pack("<BBHIHB", 1, 1, 0, 48_000, 0, 0)
    tags = b"OpusTags" + struct.pack("<I4sI", 4, b"test", 0)
    pages = [_ogg_page([head], 0, 0, 2), _ogg_page([tags], 1, 0, 0)]
    packet = b"\x1b\x02"  # two frames of 60 ms, both empty
    count = int(hours * 3600 / 0.12 / 255)
    pages += (_ogg_page([packet] * 255, number + 2, (number + 1) * 255 * 5_760, 0) for number in range(count))
    return b"".join(pages)


def _ogg_page(packets: list[bytes], number: int, granule: int, flags: int) -> bytes:
    lacing = bytes(len(packet) for packet in packets)
    head = struct.pack("<4sBBQIIIB", b"OggS", 0, flags, granule, 1, number, 0, len(lacing))
    page = head + lacing + b"".join(packets)
    return page[:22] + struct.pack("<I", _ogg_crc(page)) + page[26:]


def _ogg_crc(data: bytes) -> int:
    """CRC-32 with the polynomial 0x04c11db7, neither reflected nor inverted (RFC 3533)."""
    crc = 0
    for byte in data:
        crc = (crc << 8) & 0xFFFFFFFF ^ _CRC_TABLE[crc >> 24 ^ byte]
    return crc


def _crc_of(byte: int) -> int:
    crc = byte << 24
    for _bit in range(8):
        crc = (crc << 1) ^ (0x04C11DB7 if crc & 0x80000000 else 0)
    return crc & 0xFFFFFFFF


_CRC_TABLE = [_crc_of(byte) for byte in range(256)]
