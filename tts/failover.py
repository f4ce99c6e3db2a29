"""Finish with the local engine what the cloud engine could not.

The customer allows it by request (`fallback`) or by key. The sentence that was cut is spoken again from its start:
a few words may be heard twice, none is missing. Each engine is paid for the characters that it spoke.
"""

import contextlib
import logging
import re
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

from django.conf import settings
from django.utils.translation import gettext as _

from tts.audio.wav import HEADER_BYTES
from tts.engines.base import (
    EngineBusy,
    EngineFailed,
    EngineOrder,
    EngineTimeout,
    Piece,
    TextNotSpeakable,
    Warning,
)
from tts.engines.fish_pieces import shared_segments
from tts.engines.registry import engine_named

logger = logging.getLogger(__name__)

LOCAL = "kokoro"
_SENTENCE_END = re.compile(r"[.!?…]+(?:[ \u00a0\u202f]?[»”\"')\]])*\s+|\n+")


async def stream_with_failover(
    order: EngineOrder, engine_name: str, *, may_fail_over: bool, warn: Callable[[Warning], None]
) -> AsyncGenerator[tuple[str, Piece]]:
    """Yield (engine name, piece) until the whole text is spoken; `warn` is told who steps in, and with which limits.

    Raises the engine's error when nobody may step in.
    """
    last = Piece(b"", characters=0, duration_ms=0)
    has_sound = False
    try:
        async with contextlib.aclosing(engine_named(engine_name).stream(order)) as pieces:
            async for piece in pieces:
                last, has_sound = piece, has_sound or bool(piece.data)
                yield engine_name, piece
        return
    except (EngineBusy, EngineFailed, EngineTimeout) as error:
        if not may_fail_over:
            raise
        logger.warning(
            "engine %s failed after %d characters, %s steps in: %s",
            engine_name,
            last.characters,
            LOCAL,
            error,
        )
    start = sentence_start(order.text, last.characters)
    for segment in shared_segments(order.text[:start], last.duration_ms):
        yield engine_name, replace(last, data=b"", segment=segment)
    try:
        async with contextlib.aclosing(_rest(order, start, warn)) as rest:
            skip = HEADER_BYTES if has_sound and order.format == "wav" else 0
            async for piece in rest:
                data, skip = piece.data[skip:], max(0, skip - len(piece.data))
                yield LOCAL, _moved(replace(piece, data=data), start, last)
    except TextNotSpeakable:
        if not has_sound:
            raise
        # What is left holds nothing to say: the voice had come to its end.
        yield engine_name, Piece(b"", len(order.text), last.duration_ms)


async def _rest(order: EngineOrder, start: int, warn: Callable[[Warning], None]) -> AsyncGenerator[Piece]:
    local = engine_named(LOCAL)
    voice = {"styles": [[settings.KOKORO_DEFAULT_VOICE, 1.0]], "language": "fr-fr"}
    local_order, warnings = local.check(replace(order, text=order.text[start:], voice_ref=voice))
    is_first = True
    async with contextlib.aclosing(local.stream(local_order)) as pieces:
        async for piece in pieces:
            if is_first:
                detail = _("Le moteur en ligne a échoué\u00a0: la suite est dite par le moteur local.")
                for warning in [Warning("failover", detail), *warnings]:
                    warn(warning)
                is_first = False
            yield piece


def _moved(piece: Piece, start: int, last: Piece) -> Piece:
    """Return a piece of the rest as a piece of the whole."""
    offset_ms = last.duration_ms
    segment = piece.segment and replace(
        piece.segment, start_ms=piece.segment.start_ms + offset_ms, end_ms=piece.segment.end_ms + offset_ms
    )
    return replace(
        piece,
        characters=max(last.characters, start + piece.characters),
        duration_ms=offset_ms + piece.duration_ms,
        segment=segment,
    )


def sentence_start(text: str, position: int) -> int:
    """Return where the sentence around a position of the text begins."""
    ends = (match.end() for match in _SENTENCE_END.finditer(text))
    return max((end for end in ends if end <= position), default=0)
