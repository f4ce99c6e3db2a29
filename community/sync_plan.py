"""Which queries find a catalogue of which each query shows about a thousand rows.

First every language in every order, French first: that brings what is used most. A language that has more
than a query shows is then asked for title by title: by the words with which known titles begin, the
commonest first, and where a word still has too many, by that word and each letter that follows it in a
known title. What still does not fit is asked for in the other orders and by tag. `title` is a filter of
unsettled meaning at Fish Audio (beginning, part or word of a title): each of these meanings makes such
queries narrower.
"""

import re
from collections import Counter

from django.db.models import Count, F, Func, TextField, Value
from django.db.models.functions import Substr

from community.models import SyncQuery, SyncRun
from voices.models import Voice

SORTS = ("score", "task_count", "created_at")
LANGUAGES = (
    "fr", "", "en", "es", "de", "it", "pt", "zh", "ja", "ko", "ar", "ru", "nl", "pl", "tr", "hi",
)  # fmt: skip
MOST_WORDS = 400
MOST_TAGS = 40
MOST_LETTERS = 60
LONGEST_TITLE = 40
# Written without spaces: two characters stand for a word.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


def first_queries() -> list[SyncQuery]:
    """Return where a run begins."""
    return [SyncQuery(language=language, sort_by=sort_by) for language in LANGUAGES for sort_by in SORTS]


def narrower_queries(run: SyncRun) -> list[SyncQuery]:
    """Return the queries by title for the languages that the first ones showed in part only."""
    limited = run.queries.filter(is_limited=True, title="", tag="").values_list("language", flat=True)
    languages = [language for language in LANGUAGES if language in set(limited)]
    titles = [SyncQuery(language=language, sort_by=SORTS[0], title=word)
              for language in languages if language for word in known_beginnings()]  # fmt: skip
    # Voices without a language are in none of those.
    tags = [SyncQuery(sort_by=SORTS[0], tag=tag) for tag in known_tags()] if "" in languages else []
    return titles + tags


def split(query: SyncQuery) -> list[SyncQuery]:
    """Return narrower queries for one that showed its voices in part only; none where nothing narrower is
    known.
    """
    if not query.title or query.tag or query.sort_by != SORTS[0]:
        return []
    others = [_narrow(query, sort_by=sort_by) for sort_by in SORTS[1:]]
    longer = [_narrow(query, title=title) for title in _longer_titles(query.title)]
    tags = [] if longer else [_narrow(query, tag=tag) for tag in known_tags()]
    return others + longer + tags


def known_beginnings() -> list[str]:
    """Return the words with which mirrored titles begin, in lower case, the commonest first."""
    firsts = (
        Voice.objects.filter(kind=Voice.Kind.MIRRORED)
        .annotate(
            first=Func(F("title"), Value(" "), Value(1), function="split_part", output_field=TextField())
        )
        .values_list("first")
        .annotate(number=Count("pk"))
    )
    counted: Counter[str] = Counter()
    for first, number in firsts:
        counted[_beginning(first)] += number
    return [word for word, _number in counted.most_common(MOST_WORDS)]


def known_tags() -> list[str]:
    """Return the tags of mirrored voices, the commonest first."""
    tags = (
        Voice.objects.filter(kind=Voice.Kind.MIRRORED)
        .annotate(one=Func(F("tags"), function="unnest", output_field=TextField()))
        .values_list("one")
        .annotate(number=Count("pk"))
        .order_by("-number", "one")
    )
    return [tag for tag, _number in tags[:MOST_TAGS]]


def _longer_titles(title: str) -> list[str]:
    """Return the title with each next letter that a known one has; a word ends before its space is asked
    for.
    """
    followers = (
        Voice.objects.filter(kind=Voice.Kind.MIRRORED, title__istartswith=title)
        .annotate(rest=Substr("title", len(title) + 1, 2))
        .values_list("rest")
        .annotate(number=Count("pk"))
    )
    counted: Counter[str] = Counter()
    for rest, number in followers:
        follower = rest.casefold() if rest.startswith(" ") else rest[:1].casefold()
        if follower.strip():
            counted[title + follower] += number
    longer = [text for text, _number in counted.most_common(MOST_LETTERS)]
    return [text for text in longer if len(text) <= LONGEST_TITLE]


def _beginning(word: str) -> str:
    folded = word.casefold()
    return folded[:2] if _UNSPACED.match(folded) else folded[:LONGEST_TITLE]


def _narrow(query: SyncQuery, **changes: str) -> SyncQuery:
    values = {"language": query.language, "tag": query.tag, "sort_by": query.sort_by, "title": query.title}
    return SyncQuery(**values | changes)
