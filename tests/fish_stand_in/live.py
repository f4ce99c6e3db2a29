"""The msgpack socket `GET /v1/tts/live`, and the same with timestamps."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgpack

from tests.fish_stand_in.sound import Encoder, Speaker, blocks, voice_of, wav_header
from tests.fish_stand_in.speech import alignment
from tests.fish_stand_in.state import Fault, State
from tests.fish_stand_in.validation import Refusal
from tests.fish_stand_in.wire import Socket

Check = Callable[[dict[str, Any]], dict[str, Any]]


class LiveSession:
    """One socket: idle, then open after `start`, then draining after `stop`, then idle again."""

    def __init__(self, socket: Socket, state: State, speaker: Speaker, check: Check, *, has_times: bool):
        self._socket, self._state, self._speaker, self._check = socket, state, speaker, check
        self._has_times = has_times
        self._request: dict[str, Any] | None = None
        self._buffer = ""
        self._audio_count = 0

    async def run(self) -> None:
        """Serve the socket until one side leaves."""
        try:
            await self._serve()
        finally:
            self._state.pongs += self._socket.pongs

    async def _serve(self) -> None:
        while (frame := await self._socket.receive()) is not None:
            message = msgpack.unpackb(frame, raw=False)
            event = message.get("event")
            self._state.asked.append({"where": "live", "message": message})
            if event == "start":
                if not await self._start(message.get("request") or {}):
                    return
            elif self._request is None:
                await self._refuse("The first message must be `start`")
                return
            elif not await self._take(event, message):
                return

    async def _start(self, fields: dict[str, Any]) -> bool:
        fault = self._state.due("live", "error_event")
        if fault is not None:
            await self._refuse(fault.message or "Invalid request", fault.max_concurrency)
            return False
        try:
            self._request = self._check(fields)
        except Refusal as refusal:
            await self._refuse(refusal.message)
            return False
        self._started_at = time.monotonic()
        self._encoder = Encoder(self._request, self._state.switches.wav_sizes)
        self._buffer = self._request["text"]
        self._chunk, self._offset_s = 0, 0.0
        return True

    async def _take(self, event: str | None, message: dict[str, Any]) -> bool:
        assert self._request is not None
        if event == "text":
            self._buffer += message.get("text") or ""
            if len(self._buffer) >= self._request["chunk_length"]:
                return await self._speak()
        elif event == "flush":
            return await self._speak()
        elif event == "stop":
            return await self._speak() and await self._finish()
        return True

    async def _speak(self) -> bool:
        text, self._buffer = self._buffer, ""
        if not text.strip() or self._state.due("live", "no_sound"):
            return True
        assert self._request is not None
        slow = self._state.due("live", "slow_first_byte")
        await asyncio.sleep(slow.seconds if slow else self._state.switches.first_byte_s)
        speed = float((self._request.get("prosody") or {}).get("speed") or 1.0)
        seconds = 0.0
        waiting = b""
        async for block in blocks(self._speaker.speak(text, voice=voice_of(self._request), speed=speed)):
            data = waiting + await asyncio.to_thread(self._encoder.feed, block)
            if self._state.switches.is_one_event:
                waiting, data = data, b""
            if not await self._send_sound(self._with_header(data), text):
                return False
            seconds += len(block) / 44_100
            await asyncio.sleep(self._state.switches.chunk_s)
        if waiting and not await self._send_sound(waiting, text):
            return False
        if self._has_times:
            await self._send_sound(b"", text, alignment(text, seconds))
        self._chunk, self._offset_s = self._chunk + 1, self._offset_s + seconds
        return True

    def _with_header(self, data: bytes) -> bytes:
        """Put a WAV header where the switch wants it: before every event, or nowhere."""
        assert self._request is not None
        how, is_first = self._state.switches.live_header, data.startswith(b"RIFF")
        if self._request["format"] != "wav" or how == "once" or not data:
            return data
        if how == "never":
            return data[44:] if is_first else data
        return data if is_first else wav_header(self._request["sample_rate"], "placeholder") + data

    async def _send_sound(self, data: bytes, text: str, times: dict[str, Any] | None = None) -> bool:
        if not await self._send_faults():
            return False
        if data or times:
            event: dict[str, Any] = {"event": "audio", "audio": data, "time": self._elapsed_ms()}
            if self._has_times:
                event |= {"content": text, "alignment": times, "chunk_seq": self._chunk}
                event |= {"chunk_audio_offset_sec": self._offset_s}
            await self._send(event)
            self._audio_count += 1
        return not self._socket.is_gone

    async def _send_faults(self) -> bool:
        """Let go wrong what is due before the next sound; False when the socket is gone."""
        if self._state.due("live", "unknown_event"):
            await self._send({"event": "log", "message": "for nobody"})
        if self._state.due("live", "text_frame"):
            await self._socket.send_text('{"event": "audio"}')
        if self._state.due("live", "empty_audio"):
            await self._send({"event": "audio", "audio": b"", "time": self._elapsed_ms()})
        if self._state.due("live", "ping"):
            await self._socket.ping()
        if self._state.due("live", "bad_frame"):
            await self._socket.send(b"\xc1 not msgpack")
        waiting = [
            fault
            for fault in self._state.faults
            if fault.kind in ("close", "stall", "chatter", "finish_stop") and fault.where == "live"
        ]
        if waiting and self._audio_count >= waiting[0].after:
            return await self._stop_short(waiting[0])
        fault = self._state.due("live", "finish_error")
        if fault is not None:
            await self._send(
                {"event": "finish", "reason": "error"} | ({"message": fault.message} if fault.message else {})
            )
            return False
        return True

    async def _stop_short(self, fault: Fault) -> bool:
        self._state.faults.remove(fault)
        if fault.kind == "stall":
            await asyncio.sleep(fault.seconds)
            return True
        if fault.kind == "chatter":
            for _ in range(round(fault.seconds / 0.1)):
                await self._send({"event": "log", "message": "still here"})
                await asyncio.sleep(0.1)
            return True
        if fault.kind == "finish_stop":
            await self._send({"event": "finish", "reason": "stop"})
        elif fault.code is None:
            self._socket.drop()
        else:
            await self._socket.close(fault.code)
        return False

    async def _finish(self) -> bool:
        rest = await asyncio.to_thread(self._encoder.finish)
        if rest and self._audio_count:
            await self._send({"event": "audio", "audio": rest, "time": self._elapsed_ms()})
        if not await self._send_faults():
            return False
        await self._send({"event": "finish", "reason": "stop"})
        self._request = None
        how = self._state.switches.after_finish
        if how == "drop":
            self._socket.drop()
        elif how != "keep":
            await self._socket.close(int(how))
        return how == "keep"

    async def _refuse(self, message: str, max_concurrency: int | None = None) -> None:
        event: dict[str, Any] = {"event": "error", "error": message}
        if max_concurrency is not None:
            event["max_concurrency"] = max_concurrency
        await self._send(event)
        await self._socket.close(1000)

    async def _send(self, event: dict[str, Any]) -> None:
        await self._socket.send(msgpack.packb(event))

    def _elapsed_ms(self) -> float:
        return round((time.monotonic() - self._started_at) * 1000, 1)
