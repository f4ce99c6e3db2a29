"""Measure what FR02 adds between Fish Audio and the customer, chunk by chunk.

Run it by `python -m bench.fish`. The upstream is a process of its own that speaks at a steady pace and writes the
time into each chunk (bench.fish_upstream); the listener reads that time. The same listener hears the upstream
directly, then through the engine alone, then through a running server, so that each row's own lateness stands
beside the others.
"""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.fish_upstream import CHUNK_BYTES, STAMP
from bench.place import use_own_database
from tests.servers import free_port, start_server

TEXT = "Mesure de la vitesse."
ROUNDS = 20
CROWD = 200
CROWD_CHUNKS = 100
RAMP_S = 5.0
WARM_UP = 10
SETTINGS = {
    "FISH_API_KEY": "bench",
    "FISH_CONCURRENCY": "1000",
    "STREAMS_PER_ACCOUNT": "1000",
    "REQUESTS_PER_MINUTE": "1000000",
    "SOCKETS_PER_ACCOUNT": "1000",
}


@dataclass
class Heard:
    """One stream: when it was asked for, and how late each chunk was, in milliseconds."""

    first_ms: float = 0.0
    late_ms: list[float] = field(default_factory=list)
    at: list[float] = field(default_factory=list)


Listen = Callable[[], AsyncGenerator[bytes]]


def main() -> None:
    """Print the tables."""
    use_own_database("fr02_bench")
    with _upstream(8) as steady, _upstream(CROWD_CHUNKS) as slow, tempfile.TemporaryDirectory() as folder:
        key, voice_id = _customer()
        fish = [
            start_server(Path(folder), Path(folder), None, FISH_BASE_URL=url, **SETTINGS)
            for url in (steady, slow)
        ]
        try:
            asyncio.run(_one_by_one(steady, fish[0].url, key, voice_id))
            asyncio.run(_at_once(slow, fish[1].url, key, voice_id))
        finally:
            for server in fish:
                server.stop()


async def _one_by_one(upstream: str, server: str, key: str, voice_id: str) -> None:
    rows = {
        "l’amont directement": lambda: _http(upstream, "/v1/tts", {}, b"{}"),
        "par le moteur seul": lambda: _engine(upstream),
        "par FR02 (REST, audio/*)": lambda: _rest(server, key, voice_id),
    }
    heard: dict[str, list[Heard]] = {name: [] for name in rows}
    for _round in range(ROUNDS):
        for name, listen in rows.items():
            heard[name].append(await _hear(listen))
    print(
        f"\nUn flux à la fois, {ROUNDS} tours, médianes en ms (l’amont donne son premier octet après 50 ms)"
    )
    print("                             premier octet   retard du 1er   retard des suivants   p99")
    for name, streams in heard.items():
        first = sorted(stream.late_ms[0] for stream in streams[2:])
        later = sorted(late for stream in streams[2:] for late in stream.late_ms[1:])
        asked = sorted(stream.first_ms for stream in streams[2:])
        print(
            f"  {name:<26} {_p(asked, 50):11.1f} {_p(first, 50):15.2f} {_p(later, 50):17.2f} {_p(later, 99):13.2f}"
        )


async def _at_once(upstream: str, server: str, key: str, voice_id: str) -> None:
    rows = {
        "l’amont directement": lambda: _http(upstream, "/v1/tts", {}, b"{}"),
        "par FR02 (REST, audio/*)": lambda: _rest(server, key, voice_id),
    }
    seconds = CROWD_CHUNKS * 0.1
    print(f"\n{CROWD} flux à la fois sur un processus, {CROWD_CHUNKS} morceaux chacun, un toutes les 100 ms")
    print(
        f"(ouverts en {RAMP_S:.0f} s ; « tous ouverts » ne compte que les morceaux d’après, pendant {seconds:.0f} s)"
    )
    print("                             retard p50      p99      max   tous ouverts p50      p99   échecs")
    for _ in range(WARM_UP):
        await _hear(lambda: _rest(server, key, voice_id), limit=1)
    for name, listen in rows.items():
        started = time.perf_counter()
        tasks = [asyncio.create_task(_hear(listen, number * RAMP_S / CROWD)) for number in range(CROWD)]
        done = await asyncio.gather(*tasks, return_exceptions=True)
        streams = [
            stream for stream in done if isinstance(stream, Heard) and len(stream.late_ms) == CROWD_CHUNKS
        ]
        late = sorted(value for stream in streams for value in stream.late_ms)
        open_at = started + RAMP_S + 1
        steady = sorted(
            value
            for stream in streams
            for value, at in zip(stream.late_ms, stream.at, strict=True)
            if at > open_at
        )
        failed = CROWD - len(streams)
        figures = [_p(late, 50), _p(late, 99), late[-1], _p(steady, 50), _p(steady, 99)]
        print("  {:<26} {:10.1f} {:8.1f} {:8.1f} {:18.1f} {:8.1f} {:8.0f}".format(name, *figures, failed))


async def _hear(listen: Listen, after_s: float = 0.0, limit: int = 0) -> Heard:
    await asyncio.sleep(after_s)
    heard, started, rest = Heard(), time.perf_counter(), b""
    async with contextlib.aclosing(listen()) as parts:
        async for data in parts:
            now = time.perf_counter()
            rest += data
            while len(rest) >= CHUNK_BYTES:
                (sent_ns,) = STAMP.unpack_from(rest)
                rest = rest[CHUNK_BYTES:]
                heard.first_ms = heard.first_ms or (now - started) * 1_000
                heard.late_ms.append(now * 1_000 - sent_ns / 1_000_000)
                heard.at.append(now)
            if limit and len(heard.late_ms) >= limit:
                break
    return heard


def _rest(server: str, key: str, voice_id: str) -> AsyncGenerator[bytes]:
    body = json.dumps({"text": TEXT, "voice_id": voice_id, "format": "pcm"}).encode()
    headers = {"X-API-Key": key, "Accept": "audio/*", "Content-Type": "application/json"}
    return _http(server, "/api/v1/tts/", headers, body)


async def _http(url: str, path: str, headers: dict[str, str], body: bytes) -> AsyncGenerator[bytes]:
    """Post and yield the chunks: a listener that costs next to nothing, so that it does not measure itself."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
    every = {"Host": address.netloc, "Content-Length": str(len(body)), "Connection": "close"} | headers
    head = "".join(f"{name}: {value}\r\n" for name, value in every.items())
    writer.write(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
    try:
        answer = (await reader.readuntil(b"\r\n\r\n")).decode()
        if " 200 " not in answer.splitlines()[0]:
            raise RuntimeError(answer + (await reader.read(2_000)).decode())
        while size := int(await reader.readline(), 16):
            yield (await reader.readexactly(size + 2))[:-2]
    finally:
        writer.close()


async def _engine(upstream: str) -> AsyncGenerator[bytes]:
    from django.conf import settings

    from tts.engines.base import EngineOrder
    from tts.engines.fish import FishEngine

    if not _engines:
        settings.FISH_BASE_URL, settings.FISH_API_KEY, settings.FISH_CONCURRENCY = upstream, "bench", 1_000
        _engines.append(FishEngine())
    order, _warnings = _engines[0].check(EngineOrder(text=TEXT, voice_ref={}, format="pcm"))
    async with contextlib.aclosing(_engines[0].stream(order)) as pieces:
        async for piece in pieces:
            yield piece.data


_engines: list[Any] = []


@contextlib.contextmanager
def _upstream(chunks: int) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "bench.fish_upstream", "--port", str(port), "--chunks", str(chunks)]
    process = subprocess.Popen(command)
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _customer() -> tuple[str, str]:
    from accounts.services import create_api_key, create_verified_user
    from billing.ledger import grant_credit
    from voices.models import Voice

    user = create_verified_user(email=f"mesure-{time.time_ns()}@exemple.fr", password="mesure de vitesse")
    grant_credit(user_id=user.pk, amount_micros=1_000_000_000, reason="Mesure")
    voice = Voice.objects.create(
        engine=Voice.Engine.FISH,
        kind=Voice.Kind.ADOPTED,
        owner=user,
        title="Mesure",
        reference={"id": uuid.uuid4().hex},
    )
    return create_api_key(user=user, name="Mesure")[1], voice.public_id


def _p(values: list[float], percent: int) -> float:
    return values[min(len(values) - 1, len(values) * percent // 100)]


if __name__ == "__main__":
    main()
