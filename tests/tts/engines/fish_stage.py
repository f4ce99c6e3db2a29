"""What the tests of the cloud engine share: a stand-in, the engine pointed at it, and orders."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import av
import psutil
import pytest
from django.db import connections
from django.utils import timezone

from fr02.bridge import in_database
from tests.fish_stand_in.running import StandIn, running_stand_in
from tts.engines.base import EngineOrder, Piece
from tts.engines.fish import FishEngine
from tts.engines.fish_live import FishLiveSession
from voices.models import UpstreamAlarm, UpstreamDemand, UpstreamSlot

TEXT = "Bonjour, ceci est un essai de la voix. Elle parle assez longtemps pour plusieurs morceaux de son."
SECONDS = len(TEXT) / 14


@pytest.fixture(scope="session")
def _stand_in() -> Iterator[StandIn]:
    with running_stand_in() as stand_in:
        yield stand_in


@pytest.fixture
def fish(_stand_in: StandIn, settings: Any) -> StandIn:
    """The stand-in, as if nobody had used it, with FR02 configured for it."""
    _stand_in.state.reset()
    settings.FISH_API_KEY, settings.FISH_BASE_URL = "key", _stand_in.base_url
    settings.FISH_FIRST_BYTE_SECONDS, settings.FISH_CHUNK_SECONDS = 5, 5
    return _stand_in


@pytest.fixture
def upstream_rows(db: None) -> Iterator[None]:
    """A database for the engine's threads. What they commit is removed in one too: quicker than a flush."""
    yield
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_remove_upstream_rows).result()


def _remove_upstream_rows() -> None:
    try:
        for model in (UpstreamSlot, UpstreamDemand, UpstreamAlarm):
            model.objects.all().delete()
    finally:
        connections.close_all()


@pytest.fixture
async def engine(fish: StandIn, upstream_rows: None) -> AsyncIterator[FishEngine]:
    """The engine, with a database that its threads see."""
    engine = FishEngine()
    yield engine
    await engine.close()


@dataclass
class Spoken:
    """What came of an order."""

    pieces: list[Piece]

    @property
    def data(self) -> bytes:
        return b"".join(piece.data for piece in self.pieces)

    @property
    def duration_s(self) -> float:
        return self.pieces[-1].duration_ms / 1000


def order(**details: Any) -> EngineOrder:
    """Return an order as the pipeline makes it."""
    return EngineOrder(**{"text": TEXT, "voice_ref": {}, "account": "alice"} | details)


async def speak(engine: FishEngine, wanted: EngineOrder, pieces: list[Piece] | None = None) -> Spoken:
    """Speak an order to its end; `pieces` keeps what came even when it fails."""
    spoken = Spoken([] if pieces is None else pieces)
    possible, _warnings = engine.check(wanted)
    async with contextlib.aclosing(engine.stream(possible)) as stream:
        async for piece in stream:
            spoken.pieces.append(piece)
    return spoken


async def say(engine: FishEngine, *texts: str, **details: Any) -> list[Piece]:
    """Open a session, send the texts, stop, and return what came."""
    pieces: list[Piece] = []
    async with engine.live(engine.check(order(**details))[0]) as session:
        for text in texts:
            await session.send_text(text)
        await session.stop()
        await hear(session, pieces)
    return pieces


async def hear(session: FishLiveSession, pieces: list[Piece]) -> None:
    """Add to `pieces` what comes until the end."""
    async for piece in session:
        pieces.append(piece)  # noqa: PERF401  (what came before a failure counts)


async def flushed(session: FishLiveSession) -> Piece:
    """Listen up to the mark of a flush and return it."""
    async for piece in session:
        if not piece.data:
            return piece
    raise AssertionError("no marker")


def decoded_seconds(data: bytes, audio_format: str, rate: int) -> float:
    """Return how long a decoder finds the sound."""
    if audio_format == "pcm":
        return len(data) / 2 / rate
    with av.open(io.BytesIO(data), "r") as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the stand-in, which runs in another thread, has come so far."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  (another thread's state has no event to wait for)
            await asyncio.sleep(0.01)


async def until_no_slot_is_held() -> None:
    """Wait until every upstream slot was given back."""
    async with asyncio.timeout(5):
        while await in_database(UpstreamSlot.objects.count):  # noqa: ASYNC110  (rows of another thread)
            await asyncio.sleep(0.02)


async def until_lease_is_over() -> None:
    """Wait until nobody extends an upstream slot any more: the next who asks takes it."""
    async with asyncio.timeout(5):
        while await in_database(_is_a_lease_running):  # noqa: ASYNC110  (rows of another thread)
            await asyncio.sleep(0.02)


def _is_a_lease_running() -> bool:
    return UpstreamSlot.objects.filter(expires_at__gt=timezone.now()).exists()


@pytest.fixture
def resident_bytes() -> Callable[[], int]:
    """Tell how much memory this process holds."""
    return lambda: psutil.Process().memory_info().rss
