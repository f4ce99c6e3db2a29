"""Turn written French into what a reader says aloud."""

import functools
import re
import threading

from damga import TextNormalizer

from tts.text.cleaning import clean
from tts.text.figures import read_figures
from tts.text.gender import is_feminine, is_quantity
from tts.text.words import read_abbreviations, read_addresses, read_signs

# What is left for damga: a number with the words after it that decide its gender. It is shown nothing else, because
# it takes lone letters for Roman numerals ("art. L." is not "art. cinquante") and for units ("2024 l'entreprise").
_NUMBER = re.compile(
    r"(?<![\w,.])\d[\d,]{0,20}(?:-\d{1,9})?(?:er|re|ère|e|ème)?(?!\w)"
    r"(?:-[a-zà-ÿ]{1,20})?(?: [a-zà-ÿœ]{2,30}(?![\w'-])){0,2}"
)
_ENDS_IN_ONE = re.compile(r"\d*[02-68]1")
_SPEAKABLE = re.compile(r"[^\W_]")
_LOADING = threading.Lock()


def normalise(text: str) -> str:
    """Return `text` in speakable words and punctuation; "" when there is nothing to say.

    Takes any str and does not raise; meant for a sentence or so at a time (a millisecond or two). Thread-
    safe.
    Own rules come first, for what damga reads wrongly or not at all; damga then spells the numbers that are
    left.
    """
    text = clean(text)
    text = read_addresses(text)
    text = read_abbreviations(text)
    text = read_figures(text)
    text = read_signs(text).strip()
    text = _NUMBER.sub(_spelled, text)
    return text if _SPEAKABLE.search(text) else ""


def _spelled(match: re.Match[str]) -> str:
    number = match[0]
    end = "," if number.endswith(",") else ""
    return _numerals(number.removesuffix(","), is_quantity(match.string[: match.start()])) + end


@functools.lru_cache(maxsize=4096)
def _numerals(number: str, is_counted: bool) -> str:
    spelled = _damga().normalize(number)
    figure, *words = number.split(" ")
    # damga knows but few feminine nouns
    counts = is_counted if figure == "1" else bool(_ENDS_IN_ONE.fullmatch(figure))
    if counts and is_feminine(words):
        spelled = re.sub(rf"\bun (?={re.escape(words[0])}\b)", "une ", spelled, count=1)
    return spelled


def _damga() -> TextNormalizer:
    with _LOADING:
        return _load()


@functools.cache
def _load() -> TextNormalizer:
    return TextNormalizer(lang="fr")
