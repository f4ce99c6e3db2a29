"""Voices for the community's tests."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache

from voices.models import Voice
from voices.words import search_text

MakeVoice = Callable[..., Voice]


@pytest.fixture(autouse=True)
def _forget() -> None:
    """Forget which ids were unknown to Fish Audio."""
    cache.clear()


@pytest.fixture
def make_voice(db) -> MakeVoice:
    """Return a function that puts a public voice into the catalogue; any field may be given."""

    def make(title: str = "Voix", **fields: Any) -> Voice:
        values: dict[str, Any] = {
            "engine": Voice.Engine.KOKORO,
            "kind": Voice.Kind.SEEDED,
            "reference": {"styles": [["ff_siwis", 1.0]], "language": "fr-fr"},
            "visibility": Voice.Visibility.PUBLIC,
            "author_nickname": "Auteur",
            "languages": ["fr"],
        } | fields
        text = search_text(
            title=title,
            author=values["author_nickname"],
            tags=values.get("tags", ()),
            languages=values["languages"],
        )
        return Voice.objects.create(title=title, search_text=text, **values)

    return make
