"""The stand-in speaks with the local engine's voices: what comes through the cloud engine is real French."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fish_stand_in.running import StandIn, running_stand_in
from tests.fish_stand_in.sound import EngineSpeaker
from tests.recogniser import character_error_rate, recognise
from tests.tts.engines.fish_stage import order, speak
from tts.engines.base import EngineOrder
from tts.engines.fish import FishEngine
from tts.engines.fish_pieces import PieceMaker
from tts.engines.kokoro import kokoro_engine

TEXT = "Bonjour à tous et bienvenue. Le train pour Lyon part ce matin."


@pytest.fixture(scope="module")
def _speaking() -> Iterator[StandIn]:
    speaker = EngineSpeaker(kokoro_engine(), EngineOrder, ["ff_siwis"])
    with running_stand_in(speaker=speaker, catalogue_size=5) as stand_in:
        yield stand_in


@pytest.fixture
def fish(_speaking: StandIn, settings: Any) -> StandIn:
    settings.FISH_API_KEY, settings.FISH_BASE_URL = "key", _speaking.base_url
    return _speaking


FRENCH = {"styles": [["ff_siwis", 1.0]], "language": "fr-fr"}
NUMBERS = [
    "Votre numéro est le 06 12 34 56 78. ",
    "Votre code est 84 739 261. ",
    "Il reste 97 % de 1 999 € à payer. ",
    "Merci et à bientôt.",
]


async def test_the_place_in_the_text_stays_behind_the_voice() -> None:
    maker = PieceMaker(order(text="".join(NUMBERS), format="pcm"))
    said = 0
    for sentence in NUMBERS[:-1]:
        said += len(sentence)
        async for piece in kokoro_engine().stream(order(text=sentence, format="pcm", voice_ref=FRENCH)):
            places = [made.characters for made in maker.feed(piece.data)]
            assert all(place < said for place in places)
        assert places[-1] > said / 3


@pytest.mark.parametrize("audio_format", ["mp3", "opus"])
async def test_it_is_heard(engine: FishEngine, fish: StandIn, audio_format: str) -> None:
    spoken = await speak(engine, order(text=TEXT, format=audio_format))
    assert character_error_rate(TEXT, recognise(spoken.data)) < 0.1


async def test_it_is_heard_over_the_socket(engine: FishEngine, fish: StandIn) -> None:
    async with engine.live(engine.check(order(format="wav"))[0]) as session:
        for word in TEXT.split(" "):
            await session.send_text(word + " ")
        await session.stop()
        data = b"".join([piece.data async for piece in session])
    assert character_error_rate(TEXT, recognise(data)) < 0.1
