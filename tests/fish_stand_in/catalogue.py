"""A catalogue of generated voices, always the same, seen through windows of about a thousand rows."""

import functools
import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

WINDOW = 1_000
EPOCH = datetime(2026, 10, 1, tzinfo=UTC)
LANGUAGES = {
    "en": 38, "zh": 16, "fr": 9, "es": 8, "ja": 6, "de": 5, "pt": 5, "ar": 3, "ru": 3, "ko": 3, "it": 2,
    "hi": 1, "pl": 1,
}  # fmt: skip
_TAGS = """
    male female young old middle-aged narration conversational social-media educational entertainment
    characters-animation advertisement audiobook gaming news podcast asmr deep soft calm energetic warm
    authoritative funny sad angry whisper robot celebrity politics anime movie music sports kids meditation
    storytelling customer-service documentary trailer radio horror romance
"""
_FIRST = """
    Élise Théo Camille Zoé Noël Hélène François Anaïs Benoît Chloé Donald Emma Lucas Marie Oliver Sofia Yuki
    Wei Hans Ingrid João Maria Ahmed Fatima Ivan Olga Min-jun Giulia Ravi Agnieszka Ève Loïc Solène Gaëlle
"""
_SECOND = """
    Narratrice Conteur Présentateur Professeur Trump Macron Dubois Lefèvre Müller Smith García Tanaka 王
    Petrov Rossi Kowalski Silva Kim Haddad Sharma Voice Narrator Storyteller Hero Villain Robot Grandma Coach
    Reporter
"""
_THIRD = "I II HD Pro calme joyeuse studio v2 officiel remix classic pour_la_radio nocturne 2026"
TAGS, FIRST, SECOND, THIRD = (words.split() for words in (_TAGS, _FIRST, _SECOND, _THIRD))
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7*7 }}",
    "=HYPERLINK(0)",
    "\u202eediov",
    "'; DROP TABLE voices;--",
)


@dataclass
class Entry:
    """What is kept of one voice; the rest is made from its number when it is shown."""

    number: int
    id: str
    title: str
    languages: list[str]
    tags: list[str]
    task_count: int
    like_count: int
    age_minutes: int
    changes: int = 0
    folded: str = field(default="", repr=False)


class Catalogue:
    """So many voices, found by what the service lets one filter and sort by."""

    def __init__(self, count: int):
        self.entries = {entry.id: entry for entry in map(make_entry, range(count))}
        self._found: dict[tuple[Any, ...], tuple[list[str], int]] = {}

    def find(
        self,
        *,
        languages: Iterable[str] = (),
        tags: Iterable[str] = (),
        title: str = "",
        author_id: str = "",
        sort_by: str = "score",
    ) -> tuple[list[str], int]:
        """Return the ids in the window of a query, and how many there really are."""
        key = (tuple(sorted(languages)), tuple(sorted(tags)), title.casefold(), author_id, sort_by)
        if key not in self._found:
            if len(self._found) > 2_000:
                self._found.clear()
            self._found[key] = self._search(*key)
        return self._found[key]

    def change(self, voice_id: str) -> None:
        """Let the owner of a voice rename it."""
        entry = self.entries[voice_id]
        entry.changes += 1
        entry.title = f"{entry.title} ({entry.changes})"
        entry.folded = entry.title.casefold()
        self._found.clear()

    def remove(self, voice_id: str) -> None:
        """Let a voice disappear."""
        del self.entries[voice_id]
        self._found.clear()

    def _search(
        self, languages: tuple[str, ...], tags: tuple[str, ...], title: str, author_id: str, sort_by: str
    ) -> tuple[list[str], int]:
        kept = [
            entry
            for entry in self.entries.values()
            if (not languages or any(language in entry.languages for language in languages))
            and all(tag in entry.tags for tag in tags)
            and title in entry.folded
            and (not author_id or author_of(entry.number)["_id"] == author_id)
        ]
        orders = {
            "task_count": lambda e: (-e.task_count, e.number),
            "created_at": lambda e: (e.age_minutes, e.number),
            "score": lambda e: (-e.like_count * 3 - e.task_count // 50, e.number),
        }
        kept.sort(key=orders[sort_by])
        return [entry.id for entry in kept[:WINDOW]], len(kept)


def make_entry(number: int) -> Entry:
    """Return the voice of a number, always the same."""
    chance = random.Random(number)
    name, surname, extra = chance.choice(FIRST), chance.choice(SECOND), chance.choice(THIRD)
    title = f"{name} {surname} {extra}" if number % 3 else f"{name} {surname} {number}"
    if number % 997 == 0:
        title = HOSTILE[number // 997 % len(HOSTILE)]
    popularity = int(2_000_000 / (1 + chance.random() * 400) ** 2)
    languages = _draw(chance, _LANGUAGE_NAMES, _LANGUAGE_WEIGHTS, 2 if number % 17 == 0 else 1)
    return Entry(
        number=number,
        id=hashlib.md5(f"fish {number}".encode(), usedforsecurity=False).hexdigest(),
        title=title,
        languages=languages,
        tags=_draw(chance, TAGS, _TAG_WEIGHTS, chance.randint(0, 4)),
        task_count=popularity,
        like_count=popularity // chance.randint(20, 200),
        age_minutes=chance.randint(0, 1_500_000),
        folded=title.casefold(),
    )


def shown(entry: Entry, base_url: str) -> dict[str, Any]:
    """Return the voice as the service shows it."""
    created_at = EPOCH - timedelta(minutes=entry.age_minutes)
    updated_at = created_at + timedelta(minutes=entry.changes)
    text = "Bonjour, voici un exemple de ma voix." if "fr" in entry.languages else "Hello, this is my voice."
    sample = {"title": "Default Sample", "text": text, "task_id": entry.id}
    return model_entity(
        _id=entry.id,
        title=entry.title,
        description=f"Voix générée numéro {entry.number}." if entry.number % 5 else "",
        cover_image=f"coverimage/{entry.id}",
        tags=entry.tags,
        languages=entry.languages,
        samples=[sample | {"audio": f"{base_url}/_samples/{entry.id}.mp3"}],
        created_at=created_at.isoformat().replace("+00:00", "Z"),
        updated_at=updated_at.isoformat().replace("+00:00", "Z"),
        like_count=entry.like_count,
        mark_count=entry.like_count // 3,
        shared_count=entry.like_count // 10,
        task_count=entry.task_count,
        author=author_of(entry.number),
    )


def model_entity(**known: Any) -> dict[str, Any]:
    """Return a ModelEntity with every key that some client wants."""
    return {
        "type": "tts",
        "description": "",
        "cover_image": "",
        "train_mode": "fast",
        "state": "trained",
        "samples": [],
        "visibility": "public",
        "lock_visibility": False,
        "like_count": 0,
        "mark_count": 0,
        "shared_count": 0,
        "task_count": 0,
        "liked": False,
        "marked": False,
        "unliked": False,
        "default_text": "",
        "source": None,
        "dmca_taken_down": False,
        "quality": None,
    } | known


@functools.lru_cache(maxsize=4_096)
def author_of(number: int) -> dict[str, str]:
    """Return who made the voice: every author made a few."""
    chance = random.Random(number % 20_011)
    author_id = hashlib.md5(f"author {number % 20_011}".encode(), usedforsecurity=False).hexdigest()
    nickname = f"{chance.choice(FIRST)}{chance.randint(1, 99)}"
    return {"_id": author_id, "nickname": nickname, "avatar": f"avatars/{author_id}.jpg"}


_LANGUAGE_NAMES = list(LANGUAGES)
_LANGUAGE_WEIGHTS = list(accumulate(LANGUAGES.values()))
_TAG_WEIGHTS = list(accumulate(1 / (rank + 1) for rank in range(len(TAGS))))


def _draw(chance: random.Random, names: list[str], weights: Sequence[float], count: int) -> list[str]:
    return list(dict.fromkeys(chance.choices(names, cum_weights=list(weights), k=count))) if count else []
