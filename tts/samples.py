"""What a local voice sounds like: one fixed sentence, free of charge, which says nothing else and so replaces nothing."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import storages

from fr02.bridge import in_thread
from fr02.media import storage_at_work
from tts.engines.base import EngineError, EngineOrder
from tts.engines.registry import engine_named
from tts.pipeline import translate
from voices.builtin import LANGUAGES

SENTENCES = {
    "fr": "Bonjour, voici comment je parle.",
    "en": "Hello, this is how I speak.",
    "es": "Hola, así es como hablo.",
    "it": "Ciao, ecco come parlo.",
    "pt": "Olá, é assim que eu falo.",
    "hi": "नमस्ते, यह मेरी आवाज़ है।",
    "ja": "こんにちは、これが わたしの こえ です。",
    "zh": "你好，这是我的声音。",
}
SAMPLE_RATE = 24_000
_LANGUAGE_OF = {speech: language for speech, language, _name in LANGUAGES.values()}
# One at a time in each process: whoever only listens around takes no more of the engine from those who pay.
_turn = asyncio.Lock()


def sample_order(reference: Mapping[str, Any], *, account: str) -> EngineOrder:
    """Return the order that has a local voice, given by its engine reference, say the sentence of its language."""
    return EngineOrder(
        text=SENTENCES[_LANGUAGE_OF[reference["language"]]],
        voice_ref=reference,
        format="mp3",
        sample_rate=SAMPLE_RATE,
        latency="low",
        account=account,
    )


def sample_name(reference: Mapping[str, Any]) -> str:
    """Return the name of the sample in the storage: the same sentence in the same voice is made once."""
    said = json.dumps([sample_order(reference, account="").text, SAMPLE_RATE, reference], sort_keys=True)
    return f"samples/{hashlib.sha256(said.encode()).hexdigest()[:32]}.mp3"


async def is_made(name: str) -> bool:
    """Say whether the sample is in the storage. Raises StorageUnavailable."""
    return await in_thread(_exists, name)


async def make_sample(reference: Mapping[str, Any], *, account: str) -> None:
    """Speak the sample and store it, unless somebody else just did. Raises EngineError and StorageUnavailable."""
    name = sample_name(reference)
    async with _turn:
        if await is_made(name):
            return
        sound = bytearray()
        try:
            pieces = engine_named("kokoro").stream(sample_order(reference, account=account))
            async with aclosing(pieces):
                async for piece in pieces:
                    sound += piece.data
        except EngineError as error:
            raise translate(error) from error
        await in_thread(_keep, name, bytes(sound))


def _exists(name: str) -> bool:
    with storage_at_work():
        return storages["default"].exists(name)


def _keep(name: str, sound: bytes) -> None:
    with storage_at_work():
        storages["default"].save(name, ContentFile(sound))
