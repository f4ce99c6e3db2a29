"""Find community voices: words first, parts of words second, corrected spelling last.

All of it runs on the narrow table `community_listing`. The order is popularity, and most of what is asked
stands near the top, so the catalogue is indexed in bands: the most popular 1/64 of the voices, the next 1/64,
then 1/32 … 1/2. A search reads the top band, expects from what it found how many more it needs for the page and the
count, and reads those. That bounds the work of a common word, whose matches would otherwise all be fetched and sorted:
measurements in docs/decisions.md. Totals are counted up to 1,000, and a search shows its first 20,000 voices.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import OperationalError, connection, transaction
from django.utils.translation import gettext as _

from community.models import LEXEMES, PART_BANDS, TIER_SHARES, TOP_TIER
from community.spelling import corrections
from fr02.errors import Fr02Error, InvalidRequest
from voices.words import asked_words, language_token, tag_token

COUNT_LIMIT = 1_000
DEEPEST = 20_000  # the 1,000th page of the usual size
WIDENING = 4
# A band holds more matches than that only when a word is far commoner among the less popular: those are put in order
# as far as they were read.
BAND_LIMIT = 12_000
EXACT_WHOLE_LIMIT = 20_000
RERANKED = 1_000
STATEMENT_TIMEOUT_MS = 3_000
SORTS = ("popular", "recent", "likes", "relevance")
ORDERS = {
    "popular": "popularity DESC",
    "recent": "created_at DESC, voice_id DESC",
    "likes": "like_count DESC, voice_id DESC",
}
KEY_MASK = 2**32 - 1


class SearchTooSlow(Fr02Error):
    """The database gave up: better one refusal than a page of everybody waiting."""

    status, code = 503, "search_timeout"

    def default_detail(self) -> str:
        return _("Cette recherche prend trop de temps. Précisez-la.")


@dataclass(frozen=True)
class Search:
    """Ask for one page of voices: `page` from 1, `page_size` 1 to 100, `sort_by` one of SORTS."""

    text: str = ""
    language: str = ""
    tag: str = ""
    sort_by: str = "popular"
    page: int = 1
    page_size: int = 20


@dataclass(frozen=True)
class Found:
    """Hold one page of voice keys, in order. `total` stops at 1,001 for searches; then it is not exact."""

    voice_ids: list[int]
    total: int
    is_total_exact: bool
    has_more: bool
    corrected_text: str = ""


@dataclass(frozen=True)
class _Band:
    """One part of the catalogue with an index of its own: its share of the voices, its condition and values."""

    share: float
    sql: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class _Condition:
    """What must hold of a voice, band by band from the most popular on; the bands are the whole catalogue."""

    bands: tuple[_Band, ...]
    sql: str
    values: tuple[Any, ...]
    phrase: str = ""


@dataclass(frozen=True)
class _Hits:
    """Some keys in order, of `count` matches in the bands that were read."""

    voice_ids: list[int]
    count: int


def search_voices(search: Search) -> Found:
    """Return the page asked for. Raises SearchTooSlow, and InvalidRequest behind the first 20,000 that a search shows."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            # `jit` compiles, and a parallel worker starts, for longer than these queries run.
            cursor.execute(
                f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS};"
                " SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0;"
                # A limit must not tempt the planner away from the inverted indexes.
                " SET LOCAL enable_seqscan = off"
            )
            return _search(search)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") == "57014":  # query_canceled
            raise SearchTooSlow() from error
        raise


def count_voices() -> tuple[int, bool]:
    """Return how many voices the community shows, and whether the number is exact.

    The number of a large catalogue is the planner's, which VACUUM and ANALYZE keep: counting would take longer than
    searching.
    """
    estimate = _estimated_whole()
    if estimate > EXACT_WHOLE_LIMIT:
        return estimate, False
    ((count,),) = _rows("SELECT count(*) FROM community_listing", [])
    return count, True


def _search(search: Search) -> Found:
    marks = [language_token(search.language)] if search.language else []
    marks += [tag_token(search.tag)] if search.tag else []
    asked = asked_words(search.text)
    if any(len(mark) == 1 for mark in marks) or (search.text.strip() and not asked):
        # Only punctuation: nothing is called that.
        return Found([], 0, True, has_more=False)
    if not asked and not marks:
        return _whole(search)
    if (search.page - 1) * search.page_size >= DEEPEST:
        detail = _("Une recherche montre ses 20\u202f000 premières voix. Précisez-la pour en voir d’autres.")
        raise InvalidRequest(detail, pointers=[("/page", detail)])
    found = _page(search, _words_condition(asked, marks))
    # What is tried next depends on the search alone, never on the page: the pages of one search fit together.
    if not found.total and any(len(word) >= 3 for word in asked):
        found = _page(search, _parts_condition(asked, marks))
    for better in corrections(asked) if not found.total else ():
        # The nearest word may have no voice within the filters, or beside the other words.
        found = replace(_page(search, _words_condition(better, marks)), corrected_text=" ".join(better))
        if found.total:
            return found
    return replace(found, corrected_text="")


def _page(search: Search, condition: _Condition) -> Found:
    offset, limit = (search.page - 1) * search.page_size, search.page_size
    if search.sort_by in ("recent", "likes"):
        return _page_by(ORDERS[search.sort_by], condition, offset, limit)
    if search.sort_by == "relevance" and offset < RERANKED:
        hits = _most_popular(condition, 0, RERANKED + limit)
        best = _reranked(hits.voice_ids[:RERANKED], condition.phrase)
        voice_ids = (best + hits.voice_ids[RERANKED:])[offset : offset + limit]
    else:
        hits = _most_popular(condition, offset, limit)
        voice_ids = hits.voice_ids
    return _found(voice_ids, hits.count, offset + limit)


def _most_popular(condition: _Condition, offset: int, limit: int) -> _Hits:
    """Return a page by popularity, from as few bands as hold enough for it and for the count."""
    order, needed = ORDERS["popular"], max(offset + limit, COUNT_LIMIT) + 1
    voice_ids: list[int] = []
    count, share = 0, 0.0
    bands = list(condition.bands)
    while bands and count < needed:
        # What the bands so far say of those below is little: at most four times as much is read next.
        wanted = min(WIDENING, needed / count if count else WIDENING) * share
        read = [bands.pop(0)]
        while bands and share + sum(band.share for band in read) < wanted:
            read.append(bands.pop(0))
        hits = _hits(read, order, max(0, offset - count), limit - len(voice_ids), at_most=BAND_LIMIT)
        voice_ids += hits.voice_ids
        count += hits.count
        share += sum(band.share for band in read)
    return _Hits(voice_ids, count)


def _page_by(order: str, condition: _Condition, offset: int, limit: int) -> Found:
    """Return a page in an order that bands do not follow."""
    top = _hits(condition.bands[:1], order, 0, 0).count
    matches, whole = top / condition.bands[0].share, max(1, _estimated_whole())
    # Walking the index of the order meets a match every whole / matches rows; the bands fetch every match.
    if not top or (offset + limit) * whole / matches > matches:
        hits = _hits(condition.bands, order, offset, limit)
        return _found(hits.voice_ids, hits.count, offset + limit)
    sql = (
        f"SELECT voice_id FROM community_listing WHERE {condition.sql}"  # noqa: S608
        f" ORDER BY {order} OFFSET %s LIMIT %s"
    )
    voice_ids = [key for (key,) in _rows(sql, [*condition.values, offset, limit + 1])]
    counted = _most_popular(condition, 0, 0).count
    return _found(voice_ids[:limit], max(counted, offset + len(voice_ids)), offset + limit)


def _whole(search: Search) -> Found:
    order = ORDERS.get(search.sort_by, ORDERS["popular"])
    offset = (search.page - 1) * search.page_size
    total, is_exact = count_voices()
    if offset > 2 * total:
        return Found(
            [], total, is_exact, has_more=False
        )  # nothing is there; to find that out, all would be walked
    sql = f"SELECT {_key_column(order)} FROM community_listing ORDER BY {order} OFFSET %s LIMIT %s"  # noqa: S608
    keys = [key & KEY_MASK for (key,) in _rows(sql, [offset, search.page_size + 1])]
    return Found(keys[: search.page_size], total, is_exact, has_more=len(keys) > search.page_size)


def _found(voice_ids: list[int], count: int, end: int) -> Found:
    has_more = end < min(count, DEEPEST)
    return Found(voice_ids, min(count, COUNT_LIMIT + 1), count <= COUNT_LIMIT, has_more=has_more)


def _words_condition(asked: list[str], marks: list[str]) -> _Condition:
    values = (_tsquery(asked, marks),)
    sql = f"{LEXEMES} @@ %s::tsquery"
    bands = tuple(
        _Band(share, f"{sql} AND tier = {tier}", values)
        for tier, share in zip(range(TOP_TIER, -1, -1), TIER_SHARES, strict=True)
    )
    return _Condition(bands, sql, values, " ".join(asked))


def _parts_condition(asked: list[str], marks: list[str]) -> _Condition:
    """Match long words anywhere by trigrams; one or two letters have none, and begin a word."""
    patterns = [f"%{word}%" for word in asked if len(word) >= 3]
    short = [word for word in asked if len(word) < 3]
    like = " AND ".join(["search_text LIKE %s"] * len(patterns))
    lexemes, values = "", tuple(patterns)
    if short or marks:
        lexemes, values = f" AND {LEXEMES} @@ %s::tsquery", (*patterns, _tsquery(short, marks))
    bands = [
        _Band(share, f"{like}{lexemes} AND tier >= {low} AND tier < {high}", values)
        for low, high, share in PART_BANDS
    ]
    # The trigrams of the whole catalogue are indexed once, on the voices, where moderators search too.
    whole = f"voice_id IN (SELECT id FROM voices_voice WHERE {like}){lexemes}"  # noqa: S608
    rest = f"{whole} AND tier < {PART_BANDS[-1][0]}"
    bands.append(_Band(1.0 - sum(share for *_, share in PART_BANDS), rest, values))
    return _Condition(tuple(bands), whole, values, " ".join(asked))


def _tsquery(asked: list[str], marks: list[str]) -> str:
    """Return the query text; words are letters and digits only, marks those and @ # -."""
    return " & ".join([f"'{word}':*" for word in asked] + [f"'{mark}'" for mark in marks])


def _hits(
    bands: Sequence[_Band], order: str, offset: int, limit: int, *, at_most: int | None = None
) -> _Hits:
    """Return how many match in some bands, of which `at_most` so many are read each, and one page of them.

    An aggregate, because a LIMIT would tempt the planner to walk an ordered index in the hope of early matches:
    with none, it would walk the whole catalogue.
    """
    column = order.split(" ")[0]
    columns = "popularity" if column == "popularity" else f"voice_id, {column}"
    end = f" LIMIT {at_most}" if at_most else ""
    arms = " UNION ALL ".join(
        f"(SELECT {columns} FROM community_listing WHERE {band.sql}{end})"  # noqa: S608
        for band in bands
    )
    page = f"(array_agg({_key_column(order)} ORDER BY {order}))[%s:%s]"
    sql = f"SELECT count(*), {page} FROM ({arms}) AS hit"  # noqa: S608
    values = [value for band in bands for value in band.values]
    ((count, keys),) = _rows(sql, [offset + 1, offset + limit, *values])
    return _Hits([key & KEY_MASK for key in keys or []], count)


def _estimated_whole() -> int:
    sql = "SELECT reltuples::bigint FROM pg_class WHERE oid = 'community_listing'::regclass"
    ((estimate,),) = _rows(sql, [])
    return estimate


def _key_column(order: str) -> str:
    """Return the column to read a key from, so that the index of the order alone answers."""
    return "popularity" if order == ORDERS["popular"] else "voice_id"


def _reranked(voice_ids: list[int], phrase: str) -> list[int]:
    """Put the voices whose title begins with what was asked first, whole words before parts."""
    rows = _rows("SELECT voice_id, search_text FROM community_listing WHERE voice_id = ANY(%s)", [voice_ids])
    texts = dict(rows)

    def rank(key: int) -> int:
        text = texts.get(key, "") + " "
        return 0 if text.startswith(phrase + " ") else 1 if text.startswith(phrase) else 2

    return sorted(voice_ids, key=rank)


def _rows(sql: str, values: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()
