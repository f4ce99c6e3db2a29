"""`POST /v1/tts` and its twin with timestamps."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from tests.fish_stand_in.sound import Speaker, encoded_blocks, id3_tag
from tests.fish_stand_in.state import State
from tests.fish_stand_in.wire import Exchange

CONTENT_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav", "pcm": "audio/pcm", "opus": "audio/opus"}
# One MP3 frame at 128 kbit/s and 44.1 kHz, all silence: what a model name once answered with a 200.
NEAR_EMPTY = b"\xff\xfb\x90\xc4" + bytes(413)


async def send_speech(exchange: Exchange, state: State, speaker: Speaker, request: dict[str, Any]) -> None:
    """Answer with the sound, as it is made."""
    if await _send_fault(exchange, state, request):
        return
    short = state.due("tts", "short")
    if short is not None:
        request = request | {"text": text_share(request["text"], short.share)}
    cut = state.due("tts", "truncate", "stall")
    await _wait_first(state)
    await exchange.begin(CONTENT_TYPES[request["format"]])
    if state.switches.has_id3:
        for part in (id3_tag()[:7], id3_tag()[7:]):
            await exchange.chunk(part)
    number = 0
    async for data in paced(encoded_blocks(speaker, request, state.switches.wav_sizes), state):
        if cut is not None and number >= cut.after:
            if cut.kind == "truncate":
                if cut.inside:
                    await exchange.cut_chunk(data)
                exchange.abort()
                return
            await asyncio.sleep(cut.seconds)
        await exchange.chunk(data)
        number += bool(data)
    await exchange.end()


async def send_timed_speech(
    exchange: Exchange, state: State, speaker: Speaker, request: dict[str, Any]
) -> None:
    """Answer with events that carry the sound and the times of its words."""
    await _wait_first(state)
    await exchange.begin("text/event-stream; charset=utf-8")
    offset_s = 0.0
    for number, text in enumerate(text_chunks(request["text"], request["chunk_length"])):
        part = request | {"text": text}
        duration_s = 0.0
        async for data in encoded_blocks(speaker, part, state.switches.wav_sizes):
            event = timed_event(data, text, number, offset_s, None)
            duration_s += 0.464
            await exchange.chunk(f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode())
        last = timed_event(b"", text, number, offset_s, alignment(text, duration_s))
        await exchange.chunk(f"data: {json.dumps(last, ensure_ascii=False)}\n\n".encode())
        offset_s += duration_s
    await exchange.end()


async def paced(parts: AsyncIterator[bytes], state: State) -> AsyncIterator[bytes]:
    """Yield the parts no faster than the switch says."""
    is_first = True
    async for part in parts:
        if not is_first and state.switches.chunk_s:
            await asyncio.sleep(state.switches.chunk_s)
        is_first = False
        yield part


def text_chunks(text: str, length: int) -> Iterator[str]:
    """Yield the text in pieces of at most `length` characters."""
    for start in range(0, len(text), length):
        yield text[start : start + length]


def text_share(text: str, share: float) -> str:
    """Return the beginning of a text."""
    return text[: round(len(text) * share)]


def timed_event(
    data: bytes, text: str, number: int, offset_s: float, times: dict[str, Any] | None
) -> dict[str, Any]:
    """Return one event of the stream with timestamps."""
    return {
        "audio_base64": base64.b64encode(data).decode(),
        "content": text,
        "alignment": times,
        "chunk_seq": number,
        "chunk_audio_offset_sec": offset_s,
    }


def alignment(text: str, duration_s: float) -> dict[str, Any]:
    """Return the times of the words, which share the time evenly; punctuation is dropped."""
    words = ["".join(c for c in word if c.isalnum()) for word in text.split()]
    words = [word for word in words if word]
    step = duration_s / max(1, len(words))
    segments = [
        {"text": word, "start": round(i * step, 3), "end": round((i + 1) * step, 3)}
        for i, word in enumerate(words)
    ]
    return {"segments": segments, "audio_duration": duration_s}


async def _wait_first(state: State) -> None:
    slow = state.due("tts", "slow_first_byte")
    await asyncio.sleep(slow.seconds if slow else state.switches.first_byte_s)


async def _send_fault(exchange: Exchange, state: State, request: dict[str, Any]) -> bool:
    """Answer 200 with what is not the sound that was asked for."""
    fault = state.due("tts", "near_empty", "empty", "not_sound", "cut_frame", "drop", "slow_body")
    if fault is None:
        return False
    if fault.kind == "drop":
        exchange.abort()
        return True
    if fault.kind == "not_sound":
        await exchange.answer(200, b'{"message": "maintenance"}', fault.message or "application/json")
        return True
    await exchange.begin(CONTENT_TYPES[request["format"]])
    with contextlib.suppress(ConnectionError):
        if fault.kind == "near_empty":
            await exchange.chunk(NEAR_EMPTY)
        elif fault.kind == "cut_frame":
            await exchange.chunk(NEAR_EMPTY * 200 + NEAR_EMPTY[:100])
        elif fault.kind == "slow_body":
            await asyncio.sleep(fault.seconds)
        await exchange.end()
    return True
