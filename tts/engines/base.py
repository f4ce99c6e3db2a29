"""What every speech engine promises: one order in, encoded pieces out, typed errors."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

MAX_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True)
class EngineOrder:
    """Describe one text to speak: values are validated, `voice_ref` is the engine's own reference.

    `text` is NFC; `sample_rate` in Hz; `speed` a factor; `volume_db` in dB; `latency` is normal|balanced|low.
    `account` names the customer, for engines that share their room fairly; `has_room`: its session keeps room for it.
    """

    text: str
    voice_ref: Mapping[str, Any]
    format: str = "mp3"
    sample_rate: int = 24_000
    speed: float = 1.0
    volume_db: float = 0.0
    temperature: float = 0.7
    latency: str = "balanced"
    account: str = ""
    has_room: bool = False


@dataclass(frozen=True)
class Warning:
    """Say what an engine maps or ignores: a stable English code and a French sentence."""

    code: str
    detail: str


@dataclass(frozen=True)
class Segment:
    """Place a stretch of the customer's text on the time line of the audio, for subtitles."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class Piece:
    """Carry one piece of encoded sound, ready for the customer.

    `data` is at most 64 KiB and may be empty (a progress marker). `characters` counts the characters of the
    order's
    text that are paid for once this piece is delivered: it never decreases and is `len(order.text)` on the
    last.
    `duration_ms` is the length of the sound up to and including this piece. `segment` stands on the first
    piece of
    a segment.
    """

    data: bytes
    characters: int
    duration_ms: int
    segment: Segment | None = None


class Live(Protocol):
    """Take text bit by bit and speak it as it comes: send from one task, iterate in another.

    An empty piece whose `characters` are all that was flushed marks the end of a flush. The iterator ends
    after `stop`; leaving the context that gave it stops the work at once. All its bytes are one file.
    """

    async def send_text(self, text: str) -> None:
        """Add text to what is to be spoken, put together as it is."""
        ...

    async def flush(self) -> bool:
        """Have everything spoken that was sent so far. Returns False when nothing was left to speak."""
        ...

    async def stop(self) -> None:
        """Say that no more text comes: the rest is spoken, then the iterator ends."""
        ...

    def __aiter__(self) -> AsyncGenerator[Piece]: ...


class Engine(Protocol):
    """Speak orders; every engine is reached through these methods only.

    A session in which nothing is left to say gives its room back after `rest_after_s` seconds (None: never).
    """

    name: str

    @property
    def rest_after_s(self) -> float | None: ...

    def check(self, order: EngineOrder) -> tuple[EngineOrder, list[Warning]]:
        """Return the order as this engine will speak it, and what it had to map or ignore."""
        ...

    def stream(self, order: EngineOrder) -> AsyncGenerator[Piece]:
        """Yield the encoded audio as it is made; closing or cancelling the iterator stops the work at once.

        Raises EngineBusy, VoiceUnknown and TextNotSpeakable before the first piece only; EngineFailed (or its
        EngineUnavailable) and EngineTimeout any time.
        """
        ...

    def room(self, order: EngineOrder) -> AbstractAsyncContextManager[EngineOrder]:
        """Keep room for a session that calls `live` again and again; its order is to be used for that.

        Raises EngineBusy.
        """
        ...

    def live(self, order: EngineOrder) -> AbstractAsyncContextManager[Live]:
        """Open a way to speak text that comes bit by bit; the order's own text is not spoken.

        Raises as `stream` does, when it is opened or by its iterator before the first piece.
        """
        ...

    async def close(self) -> None:
        """Stop every stream and give back threads, connections and memory."""
        ...


class EngineError(Exception):
    """Stand for every way an engine can fail to speak an order."""


class EngineBusy(EngineError):
    """Refuse an order that would make listeners wait; it is worth trying again in `retry_after_s` seconds."""

    def __init__(self, retry_after_s: float, message: str = "the engine is full"):
        super().__init__(message)
        self.retry_after_s = retry_after_s


class EngineFailed(EngineError):
    """Report that the engine could not make the sound; the message is for the operator's log."""


class EngineTimeout(EngineError):
    """Report that the engine did not answer in time."""


class EngineUnavailable(EngineFailed):
    """Report that the engine refuses the platform itself (key, credit, limit): only its operator can help."""


class VoiceUnknown(EngineError):
    """Report that the engine does not know the voice any more."""


class TextNotSpeakable(EngineError):
    """Refuse a text in which there is nothing to say, such as bare punctuation."""
