"""What a session of the socket tells its client besides the audio: one JSON text frame for each event."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from tts.conversation import Answer
from tts.engines.base import Piece
from tts.pipeline import Synthesis


def opening(synthesis: Synthesis) -> Iterator[dict[str, Any]]:
    """Yield `started`, and a `warning` for each parameter that the engine maps or ignores."""
    generation = synthesis.generation
    yield {
        "event": "started",
        "id": str(generation.pk),
        "voice_id": generation.voice.public_id if generation.voice else None,
        "format": generation.format,
        "sample_rate": generation.sample_rate,
    }
    for warning in generation.warnings:
        yield {"event": "warning", **warning}


def about(piece: Piece) -> Iterator[dict[str, Any]]:
    """Yield the `segment` that begins with a piece, or the answer that a piece stands for."""
    if piece.segment is not None:
        yield {"event": "segment", **asdict(piece.segment)}
    if isinstance(piece, Answer):
        yield {"event": piece.event}


def done(synthesis: Synthesis) -> dict[str, Any]:
    """Return the last event, once the synthesis is settled."""
    delivery = synthesis.delivery
    return {
        "event": "done",
        "characters": delivery.total_characters,
        "cost_micros": synthesis.cost_micros,
        "balance_micros": synthesis.balance_micros,
        "duration_ms": delivery.duration_ms,
        "first_audio_ms": delivery.first_audio_ms,
    }
