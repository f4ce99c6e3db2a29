"""The 44 bytes in front of a WAV file, before and after its length is known."""

import struct

HEADER_BYTES = 44
UNKNOWN_SIZE = 0xFFFFFFFF

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")


def wav_header(*, sample_rate: int, data_bytes: int | None = None) -> bytes:
    """Build the header of a mono s16le WAV; `data_bytes=None` while the length is unknown (a stream).

    A stream carries 0xFFFFFFFF in both size fields, which players read as "until the end".
    """
    riff_size = UNKNOWN_SIZE if data_bytes is None else data_bytes + HEADER_BYTES - 8
    data_size = UNKNOWN_SIZE if data_bytes is None else data_bytes
    return _HEADER.pack(
        *(
            b"RIFF",
            riff_size,
            b"WAVE",
            b"fmt ",
            16,
            1,
            1,
            sample_rate,
            sample_rate * 2,
            2,
            16,
            b"data",
            data_size,
        )
    )
