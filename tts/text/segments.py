"""Cut a text into what is spoken in one breath: an early clause first, then sentences, long sentences at
clauses.

The parts are slices of the text: put end to end they are the text again, so counting their characters
counts the
text's. Every pattern is linear and bounded, whatever the text holds.
"""

import bisect
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

FIRST_CHARS = 40  # about 2.4 s of speech: the first audio of a lone caller comes after 0.4 s on two cores
SENTENCE_CHARS = 140
LEAST_CHARS = 40  # shorter sentences are spoken together with the next one
TAIL_CHARS = 12  # not worth a segment of its own
GROWTH = 1.6  # a segment may be this much longer than all before it: it is made while they are heard
SMALLEST_LIMIT = 30

# How good a place to cut is, best first.
PARAGRAPH, SENTENCE, CLAUSE, COMMA, PHRASE, GROUP, SPACE, ANY_SPACE = 7, 6, 5, 4, 3, 2, 1, 0

# For the first segment: which place is taken, and the fewest characters that must stand before it.
_FIRST_CUTS = (
    (SENTENCE, 12), (CLAUSE, 12), (COMMA, 12), (SENTENCE, 4),
    (PHRASE, 18), (GROUP, 18), (SPACE, 8), (ANY_SPACE, 8)
)  # fmt: skip

_SPACES = r"[ \t\u00a0\u202f\u2009]"
_CLOSING = r"[\"'»”’)\]*_]"
_PARAGRAPH = re.compile(r"\n[ \t\r]{0,20}\n\s*|\n(?=[ \t]{0,8}(?:[-*+•]|\d{1,3}[.)]|#{1,6})[ \t])")
_SENTENCE = re.compile(
    rf"[.!?…]{{1,20}}(?:{_SPACES}?{_CLOSING}){{0,3}}\s+(?![a-zà-öø-ÿ])|[。！？｡]{_CLOSING}?\s*|[؟।॥]\s*"
)
_CLAUSE = re.compile(rf"(?<=[;:]){_SPACES}*\s|[；：]|\n+\s*")
_COMMA = re.compile(r"(?<=,)\s+|[、，،]|(?<=[)\]»])\s+|(?<!\s)\s+(?=[(\[«—–])|(?<=[—–])\s+")
_PHRASE = re.compile(
    r"(?<!\s)\s+(?=(?:et|ou|mais|donc|car|qui|que|dont|où|quand|lorsque|comme|pour|par|dans|avec|sans|sur|sous|chez|afin|"
    r"après|avant|depuis|pendant|entre|vers|parce|puisque|tandis|est|sont|ne|en|à|au|aux)\b|qu['’]|lorsqu['’])",
    re.IGNORECASE,
)
_GROUP = re.compile(
    r"(?<!\s)\s+(?=(?:de|du|des|le|la|les|un|une|ce|cet|cette|ces|son|sa|ses|leur|leurs|notre|votre|nos|vos|mon|ma|mes)\b"
    r"|[dl]['’])",
    re.IGNORECASE,
)
_SPACE = re.compile(r"\s+")
# Words that cling to the next one: a breath after them sounds like a stumble.
_CLINGING = re.compile(
    r"\b(?:de|du|des|le|la|les|un|une|ce|cet|cette|ces|son|sa|ses|leur|leurs|notre|votre|nos|vos|mon|ma|mes|je|tu|il|elle|on|"
    r"nous|vous|ils|elles|ne|se|me|te|y|en|à|au|aux|et|ou|mais|dans|par|pour|sur|sous|avec|sans|chez|entre|vers|qui|que|"
    r"dont|où|si|très|plus|moins|trop|est|sont|a|ont|n°|no)\s+",
    re.IGNORECASE,
)

# Never cut inside: addresses, numbers with their separators and units, abbreviations with what they stand
# before.
_WHOLE = re.compile(
    rf"""
    (?:https?://|www\.)\S{{1,300}}
    | [\w.+-]{{1,64}}@[\w.-]{{1,100}}
    | [+-]?\d{{1,12}}(?:{_SPACES}?[.,:/hH×x*+=%°€$£-]?{_SPACES}?\d{{1,12}}){{1,12}}
      (?:{_SPACES}[^\s\d]{{1,7}}(?=[\s.,;:!?)]|$))?
    | \d{_SPACES}(?=[^\s\d]{{1,7}}(?:[\s.,;:!?)]|$))
    | \bh{_SPACES}(?=\d)
    | \b[nN][°ºo]\.?{_SPACES}?(?=\d)
    | \b(?:M|MM|Mme|Mmes|Mlle|Mlles|Dr|Pr|Me|St|Ste|[A-ZÀ-Ý])\.?{_SPACES}(?=[A-ZÀ-Ý])
    | \b(?:M|MM)\.{_SPACES}
    | \b(?:p|pp|art|chap|cf|env|tél|av|apr|bd|fig|vol|éd|max|vs|ex)\.(?:{_SPACES}?ex\.)?{_SPACES}
    | \b[IVXLC]{{1,6}}e{_SPACES}
    | [A-ZÀ-Ýa-zà-ÿ]{_SPACES}(?=[IVX]{{1,6}}\b)
    | \([^()\n]{{1,12}}\)
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Limits:
    """Bound the segments of one text, in characters: the first, every later one, and how fast they grow."""

    first: int = FIRST_CHARS
    later: int = SENTENCE_CHARS
    growth: float = GROWTH


def split_text(text: str, limits: Limits = Limits()) -> list[str]:
    """Return the segments of `text` in order; put together they are exactly `text`. Empty text gives none."""
    cuts = _Cuts(text)
    segments: list[str] = []
    start = 0
    while start < len(text):
        end = _segment_end(cuts, start, limits)
        segments.append(text[start:end])
        start = end
    return segments


def ready_length(text: str, *, is_start: bool) -> int:
    """Return how much of a text that is still being written can be spoken now: 0 while no part of it is complete.

    Whole sentences, once something follows them; at the start of a speech also an early clause. Of a sentence
    that is longer than what is spoken in one breath, all but its last segment.
    """
    cuts = _Cuts(text)
    sentences_end = cuts.last(SENTENCE, 1, len(text) - 1) or 0
    if sentences_end and not text[:sentences_end].isspace():
        return sentences_end
    first = FIRST_CHARS if is_start else SENTENCE_CHARS
    segments = split_text(text, Limits(first=first))
    return sum(map(len, segments[:-1]))


def _segment_end(cuts: "_Cuts", start: int, limits: Limits) -> int:
    size = len(cuts.text)
    if start == 0:
        least, limit = TAIL_CHARS, limits.first
    else:
        limit = min(limits.later, max(SMALLEST_LIMIT, int(start * limits.growth)))
        least = min(LEAST_CHARS, limit)
    paragraph = cuts.first(PARAGRAPH, start + 1, start + limit)
    if paragraph is not None and not cuts.text[start:paragraph].isspace():
        return paragraph
    is_rest_short = size - start <= limit + TAIL_CHARS
    if (
        is_rest_short
        and cuts.first(COMMA if start == 0 else SENTENCE, start + least, size - TAIL_CHARS) is None
    ):
        return size
    end = _first_clause_end(cuts, limit) if start == 0 else _sentence_end(cuts, start, least, limit)
    return size if is_rest_short and size - end <= TAIL_CHARS else end


def _first_clause_end(cuts: "_Cuts", limit: int) -> int:
    for kind, least in _FIRST_CUTS:
        end = cuts.last(kind, least, limit)
        if end is not None:
            return end
    return cuts.anywhere(0, limit)


def _sentence_end(cuts: "_Cuts", start: int, least: int, limit: int) -> int:
    end = cuts.first(SENTENCE, start + least, start + limit)
    if end is not None:
        return end
    for kind in (SENTENCE, CLAUSE, COMMA, PHRASE, GROUP, SPACE):
        end = cuts.last(kind, start + limit // 3, start + limit)
        if end is not None:
            return end
    end = cuts.last(ANY_SPACE, start + 1, start + limit)
    return end if end is not None else cuts.anywhere(start, limit)


class _Cuts:
    """Know every place where a text may be cut, and how good each place is."""

    def __init__(self, text: str):
        self.text = text
        kinds: dict[int, int] = {}
        patterns = ((PARAGRAPH, _PARAGRAPH), (SENTENCE, _SENTENCE), (CLAUSE, _CLAUSE), (COMMA, _COMMA))
        for kind, pattern in (*patterns, (PHRASE, _PHRASE), (GROUP, _GROUP), (SPACE, _SPACE)):
            for match in pattern.finditer(text):
                kinds.setdefault(match.end(), kind)
        for begin, end in _whole_spans(text):
            for place in range(begin + 1, end + 1):
                if kinds.get(place, PARAGRAPH) < PARAGRAPH and (place < end or text[place - 1].isspace()):
                    kinds[place] = ANY_SPACE
        for match in _CLINGING.finditer(text):
            if kinds.get(match.end(), PARAGRAPH) < COMMA:
                kinds[match.end()] = ANY_SPACE
        places = sorted(kinds)
        self._places = {
            kind: [p for p in places if kinds[p] >= kind] for kind in range(ANY_SPACE, PARAGRAPH + 1)
        }

    def first(self, kind: int, low: int, high: int) -> int | None:
        """Return the first place in [low, high] that is at least as good as `kind`."""
        places = self._places[kind]
        index = bisect.bisect_left(places, low)
        return places[index] if index < len(places) and places[index] <= high else None

    def last(self, kind: int, low: int, high: int) -> int | None:
        """Return the last place in [low, high] that is at least as good as `kind`."""
        places = self._places[kind]
        index = bisect.bisect_right(places, high) - 1
        return places[index] if index >= 0 and places[index] >= low else None

    def anywhere(self, start: int, limit: int) -> int:
        """Cut text without any place to cut at `limit`, but never between a letter and its accents."""
        end = min(start + limit, len(self.text))
        for place in range(end, max(start, end - 16), -1):
            if place == len(self.text) or not unicodedata.category(self.text[place]).startswith("M"):
                return place
        return end


def _whole_spans(text: str) -> Iterator[tuple[int, int]]:
    for match in _WHOLE.finditer(text):
        yield match.span()
