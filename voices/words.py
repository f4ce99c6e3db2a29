"""Turn titles, authors, tags and searches into the same plain words, so that accents and case never matter.

Both sides of every search go through here: what is stored in `Voice.search_text`, and what somebody types.
Doing it in Python, not with PostgreSQL's `unaccent`, keeps it independent of the database's locale.
One test covers both.
"""

import re
import unicodedata
from collections.abc import Iterable

MAX_WORD_LENGTH = 64
MAX_WORDS = 60
# Letters that Unicode does not take apart, but that people type without.
_LETTERS = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
# Before a word only, so that `aujourd’hui` and `don’t` stay.
_ELIDED = re.compile(r"\b(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu|quoiqu)['’ʼ](?=\w)", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")
# Scripts written without spaces: Han, Kana. They are cut into overlapping pairs of characters.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")


def words(text: str) -> list[str]:
    """Return the words of a text: `Éric à l’Élysée` -> `eric a l elysee`; `女声旁白` -> `女声 声旁 旁白`."""
    found = []
    for word in _WORD.findall(_plain(text)):
        for part in _split_scripts(word):
            if _UNSPACED.fullmatch(part) and len(part) > 1:
                found += [part[at : at + 2] for at in range(len(part) - 1)]
            else:
                found.append(part[:MAX_WORD_LENGTH])
    return list(dict.fromkeys(found))[:MAX_WORDS]


def asked_words(text: str) -> list[str]:
    """Return the words of a search, without elided articles: `l’homme d’Artagnan` -> `homme artagnan`."""
    return words(_ELIDED.sub("", text))


def language_token(language: str) -> str:
    """Return the mark under which a language is indexed: `fr-FR` -> `@fr`. No word begins with @."""
    return "@" + language_code(language)


def language_code(language: str) -> str:
    """Return what is searched of a language: `fr-FR` -> `fr`; nothing for what is none."""
    return re.sub(r"[^a-z]", "", language.lower().replace("_", "-").partition("-")[0])[:8]


def tag_token(tag: str) -> str:
    """Return the mark of a tag: `Voix générée` -> `#voix-generee`, `🎉` -> `#1f389`. No word begins with #."""
    return "#" + "-".join(words(tag) or _signs(tag))[:MAX_WORD_LENGTH]


def search_text(
    *, title: str, author: str = "", tags: Iterable[str] = (), languages: Iterable[str] = ()
) -> str:
    """Return what a voice is found by: the distinct words of title, author and tags, then the marks.

    Whoever changes one of the four stores the result in `Voice.search_text` in the same write.
    """
    tags = list(tags)
    found = words(title)[:MAX_WORDS] + words(author)
    for tag in tags:
        found += words(tag)
    # Pairs hide where a run ends: its last character is indexed by itself, for one-letter searches.
    found += [run[-1] for text in (title, author) for run in _UNSPACED.findall(_plain(text))]
    marks = [language_token(language) for language in languages] + [tag_token(tag) for tag in tags]
    return " ".join(
        list(dict.fromkeys(found))[: 2 * MAX_WORDS] + [mark for mark in dict.fromkeys(marks) if len(mark) > 1]
    )


def _signs(text: str) -> list[str]:
    """Return the code points of symbols; what only joins or varies them does not count."""
    return [f"{ord(sign):x}" for sign in _plain(text) if unicodedata.category(sign).startswith("S")]


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in folded if not unicodedata.combining(letter)).translate(_LETTERS)


def _split_scripts(word: str) -> list[str]:
    parts, end = [], 0
    for run in _UNSPACED.finditer(word):
        parts += [word[end : run.start()], run.group()]
        end = run.end()
    return [part for part in (*parts, word[end:]) if part]
