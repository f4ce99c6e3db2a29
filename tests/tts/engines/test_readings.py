"""What FR02 says is what a French reader would: heard again by a recogniser, sentence by sentence."""

import asyncio
from pathlib import Path

import pytest
from django.conf import settings

from tests.recogniser import character_error_rate, recognise
from tests.tts.engines.sentences import PAIRS
from tts.engines.base import EngineOrder
from tts.engines.kokoro import KokoroEngine

LARGEST_DIFFERENCE = 0.015
VOICE = {"styles": [["ff_siwis", 1.0]], "language": "fr-fr"}


@pytest.fixture(scope="module")
def engine():
    engine = KokoroEngine(
        model_path=Path(settings.KOKORO_MODEL_PATH), voices_dir=Path(settings.KOKORO_VOICES_DIR), workers=2
    )
    yield engine
    asyncio.run(engine.close())


async def spoken(engine, text):
    return b"".join(
        [piece.data async for piece in engine.stream(EngineOrder(text=text, voice_ref=VOICE, format="wav"))]
    )


async def test_figures_are_heard_as_well_as_words(engine):
    """Speak each sentence as written and in words; both are compared with the words, by the same recogniser."""
    written_rates, word_rates = [], []
    for written, words in PAIRS:
        as_written, as_words = await spoken(engine, written), await spoken(engine, words)
        written_rates.append(character_error_rate(words, recognise(as_written)))
        word_rates.append(character_error_rate(words, recognise(as_words)))
    assert len(PAIRS) >= 40
    mean_written, mean_words = (sum(rates) / len(rates) for rates in (written_rates, word_rates))
    assert mean_words < 0.1, "the recogniser does not understand the voice at all"
    assert mean_written - mean_words <= LARGEST_DIFFERENCE, (mean_written, mean_words)


async def test_a_wrong_reading_is_heard(engine):
    """The measure can fail: what espeak alone would say of these is far from the words."""
    wrong = "Le train pour Lyon part à quinze H trente, monsieur M point Dupont doit un deux cent trente-quatre euros."
    right = "Le train pour Lyon part à quinze heures trente, monsieur Dupont doit mille deux cent trente-quatre euros."
    assert character_error_rate(right, recognise(await spoken(engine, wrong))) > 0.08
