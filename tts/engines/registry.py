"""The engines of this process, each made once, when it is first asked for."""

import functools
import logging
import threading
from collections.abc import Callable

from django.conf import settings

from fr02.errors import EngineUnavailable
from tts.engines.base import Engine, EngineError
from tts.engines.fish import FishEngine
from tts.engines.kokoro import kokoro_engine

logger = logging.getLogger(__name__)

_lock = threading.Lock()


def engine_named(name: str) -> Engine:
    """Return the engine of that name. Raises EngineUnavailable when it is not set up here."""
    if name == "fish" and not settings.FISH_API_KEY:
        raise EngineUnavailable()
    with _lock:
        return _made(name)


def prepare_engines() -> None:
    """Load the local model ahead of the first request; blocks for about a second."""
    try:
        kokoro_engine().prepare()
    except EngineError as error:
        # Fish Audio may well serve without it; whoever asks for a local voice gets the same error.
        logger.error("local engine: %s", error)


@functools.cache
def _made(name: str) -> Engine:
    makers: dict[str, Callable[[], Engine]] = {"kokoro": kokoro_engine, "fish": FishEngine}
    return makers[name]()
