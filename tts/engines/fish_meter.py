"""Measure encoded sound as it passes: how long it is, whether it is sound at all, whether its end is missing.

Fish Audio sends bytes without telling their duration, and a 200 may carry an empty or a cut file; its WAV
headers state a placeholder length. So the bytes are counted: MP3 by its frames, Opus by the granule positions
of its Ogg pages (RFC 7845), WAV and PCM by their samples. Nothing is decoded. Only whole samples, frames and pages
are passed on: what else is put behind them when the answer breaks off (another engine's rest, the next take) is heard
as it is.
"""

import struct
from typing import Protocol

from tts.audio.wav import wav_header
from tts.engines.base import EngineFailed

WAV_HEADER_LIMIT = 4096
BYTES_PER_SAMPLE = 2
OPUS_CLOCK = 48  # samples per millisecond, whatever the rate of what was encoded

# MPEG-1, MPEG-2 and MPEG-2.5 layer III, by the two version bits and the four bit-rate bits of a frame header.
_MP3_KBPS = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
    0: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}
_MP3_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_PAGE = struct.Struct("<4sBBqIIIB")


class Meter(Protocol):
    """Take the bytes of one file in order."""

    @property
    def duration_ms(self) -> float:
        """Return how long the complete sound up to here is."""
        ...

    def feed(self, chunk: bytes) -> bytes:
        """Return the bytes to pass on, without the incomplete end. Raises EngineFailed for another format."""
        ...

    def finish(self) -> None:
        """Say that nothing more comes. Raises EngineFailed when the file ends in the middle of something."""
        ...


def create_meter(audio_format: str, sample_rate: int) -> Meter:
    """Return the meter of a format (mp3|opus|wav|pcm) at `sample_rate` Hz."""
    if audio_format == "mp3":
        return Mp3Meter()
    if audio_format == "opus":
        return OggMeter()
    return WavMeter(sample_rate) if audio_format == "wav" else PcmMeter(sample_rate)


class PcmMeter:
    """Count s16le mono samples."""

    def __init__(self, sample_rate: int):
        self.duration_ms = 0.0
        self._sample_rate = sample_rate
        self._size = 0
        self._rest = b""

    def feed(self, chunk: bytes) -> bytes:
        data = self._rest + chunk
        whole = len(data) - len(data) % BYTES_PER_SAMPLE
        self._size += whole
        self.duration_ms = self._size // BYTES_PER_SAMPLE * 1000 / self._sample_rate
        self._rest = data[whole:]
        return data[:whole]

    def finish(self) -> None:
        if self._rest:
            raise EngineFailed("the sound ends in the middle of a sample")


class WavMeter:
    """Replace the header, whatever its length and its sizes, by FR02's own, and count the samples.

    A chunk that begins with a header again is the next part of the same sound: the header is left out.
    """

    def __init__(self, sample_rate: int):
        self._sample_rate = sample_rate
        self._samples = PcmMeter(sample_rate)
        self._own_header = wav_header(sample_rate=sample_rate)
        self._head: bytearray | None = bytearray()

    @property
    def duration_ms(self) -> float:
        return self._samples.duration_ms

    def feed(self, chunk: bytes) -> bytes:
        if self._head is None and chunk.startswith(b"RIFF") and chunk[8:12] == b"WAVE":
            self._head = bytearray()
        if self._head is None:
            return self._samples.feed(chunk)
        self._head += chunk
        start = _wav_data_start(bytes(self._head), self._sample_rate)
        if start is None:
            return b""
        body, self._head = bytes(self._head[start:]), None
        header, self._own_header = self._own_header, b""
        return header + self._samples.feed(body)

    def finish(self) -> None:
        if self._head:
            raise EngineFailed("the sound ends within its WAV header")
        self._samples.finish()


class Mp3Meter:
    """Walk from frame to frame; tags before, between and after them are left out.

    A decoder takes a tag at its word: one that was cut off would swallow the sound that is put behind it.
    """

    def __init__(self) -> None:
        self.duration_ms = 0.0
        self._rest = b""
        self._skip = 0
        self._has_frames = False
        self._is_lost = False

    def feed(self, chunk: bytes) -> bytes:
        if self._is_lost:
            return chunk
        data = self._rest + chunk
        place, frames = self._skip, []
        while place + 10 <= len(data):
            step, sound_ms = self._step(data, place)
            if self._is_lost:
                return b"".join([*frames, data[place:]])
            if sound_ms and place + step > len(data):
                break
            if sound_ms:
                frames.append(data[place : place + step])
                self.duration_ms += sound_ms
                self._has_frames = True
            place += step
        self._skip = max(0, place - len(data))
        self._rest = data[place:]
        return b"".join(frames)

    def finish(self) -> None:
        if self._is_lost or (not self._rest and not self._skip):
            return
        if self._skip or len(self._rest) >= 10 or not self._rest.startswith((b"\0", b"TAG")):
            raise EngineFailed("the sound ends in the middle of an MP3 frame")

    def _step(self, data: bytes, place: int) -> tuple[int, float]:
        if data.startswith(b"ID3", place):
            size = 0
            for byte in data[place + 6 : place + 10]:
                size = size << 7 | byte & 0x7F
            return 10 + size, 0.0
        if data.startswith(b"TAG", place):
            return 128, 0.0
        frame = _mp3_frame(data[place : place + 4])
        if frame is not None:
            return frame
        if not self._has_frames:
            raise EngineFailed("the answer is not MP3")
        # What follows the last frame is none of the sound: padding, or a tag of another kind. It is passed on unseen.
        self._is_lost = True
        return 0, 0.0


class OggMeter:
    """Walk from page to page; the granule position of a page is the sound up to its end."""

    def __init__(self) -> None:
        self.duration_ms = 0.0
        self._rest = b""
        self._pre_skip = 0
        self._before_ms = 0.0

    def feed(self, chunk: bytes) -> bytes:
        data = self._rest + chunk
        place = 0
        while (page_size := _ogg_page_size(data, place)) and place + page_size <= len(data):
            self._read_page(data[place : place + page_size])
            place += page_size
        self._rest = data[place:]
        return data[:place]

    def finish(self) -> None:
        if self._rest:
            raise EngineFailed("the sound ends in the middle of an Ogg page")

    def _read_page(self, page: bytes) -> None:
        _magic, _version, kind, granule, _serial, _number, _checksum, segments = _PAGE.unpack_from(page)
        body = page[_PAGE.size + segments :]
        if kind & 2:
            if not body.startswith(b"OpusHead") or len(body) < 12:
                raise EngineFailed("the answer is Ogg, but not Opus")
            self._before_ms = self.duration_ms
            self._pre_skip = int.from_bytes(body[10:12], "little")
        elif granule > self._pre_skip:
            sound_ms = (granule - self._pre_skip) / OPUS_CLOCK
            self.duration_ms = max(self.duration_ms, self._before_ms + sound_ms)


def _wav_data_start(head: bytes, sample_rate: int) -> int | None:
    """Return where the samples begin, or None while the header is not complete."""
    if not b"RIFF".startswith(head[:4]) or (len(head) >= 12 and head[8:12] != b"WAVE"):
        raise EngineFailed("the answer is not WAV")
    place, is_described = 12, False
    while place + 8 <= len(head):
        name, size = head[place : place + 4], int.from_bytes(head[place + 4 : place + 8], "little")
        if name == b"data" and is_described:
            return place + 8
        if name == b"fmt " and place + 24 <= len(head):
            found = struct.unpack_from("<HHIIHH", head, place + 8)
            if (found[1], found[2], found[5]) != (1, sample_rate, 16):
                raise EngineFailed(f"asked for 16-bit mono at {sample_rate} Hz, got {found}")
            is_described = True
        place += 8 + size + size % 2
    if len(head) > WAV_HEADER_LIMIT:
        raise EngineFailed("the answer has no WAV samples")
    return None


def _mp3_frame(header: bytes) -> tuple[int, float] | None:
    """Return the size in bytes and the length in milliseconds of a layer III frame, None if it is none."""
    word = int.from_bytes(header, "big")
    version, layer = word >> 19 & 3, word >> 17 & 3
    if word >> 21 != 0x7FF or version == 1 or layer != 1:
        return None
    rate_index = word >> 10 & 3
    kbps = _MP3_KBPS[version][word >> 12 & 15]
    if rate_index == 3 or not kbps:
        return None
    rate = _MP3_RATES[version][rate_index]
    samples = 1152 if version == 3 else 576
    return samples // 8 * kbps * 1000 // rate + (word >> 9 & 1), samples * 1000 / rate


def _ogg_page_size(data: bytes, place: int) -> int:
    """Return the size of the page at `place`, or 0 while it is not known."""
    if not b"OggS".startswith(data[place : place + 4]):
        raise EngineFailed("the answer is not Ogg")
    if len(data) - place < _PAGE.size:
        return 0
    segments = data[place + _PAGE.size - 1]
    table = data[place + _PAGE.size : place + _PAGE.size + segments]
    return _PAGE.size + segments + sum(table) if len(table) == segments else 0
