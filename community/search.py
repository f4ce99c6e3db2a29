"""Find community voices: words first, parts of words second, corrected spelling last.

All of it runs on the narrow table `community_listing`. The order is popularity, and most of what is asked
stands near the top, so a search starts in the inverted index of the most popular 1/64 of the voices and
widens (1/16, 1/4, all) only as far as the page asked for needs. That bounds the work of a common word,
whose matches would otherwise all be fetched and sorted: measurements in docs/decisions.md. Totals are
counted up to 1,000.
"""

from dataclasses import dataclass, replace
from typing import Any

from django.db import OperationalError, connection, transaction
from django.utils.translation import gettext as _

from community.models import LEXEMES, PART_TIERS, TOP_TIER
from community.spelling import corrected
from fr02.errors import Fr02Error
from voices.words import language_token, tag_token, words

COUNT_LIMIT = 1_000
EXACT_WHOLE_LIMIT = 20_000
RERANKED = 1_000
WIDEST = 0
WORD_TIERS = tuple(range(TOP_TIER, WIDEST - 1, -1))
STATEMENT_TIMEOUT_MS = 3_000
SORTS = ("popular", "recent", "likes", "relevance")
ORDERS = {
    "popular": "popularity DESC",
    "recent": "created_at DESC, voice_id DESC",
    "likes": "like_count DESC, voice_id DESC",
}
KEY_MASK = 2**32 - 1
# From this many matches in the top tier on, walking an index in its order meets a page's worth of them soon.
COMMON_IN_TOP = 80


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
class _Condition:
    """A WHERE clause over the listing, and the tiers that have an index for it."""

    sql: str
    widest_sql: str
    values: tuple[Any, ...]
    tiers: tuple[int, ...]
    phrase: str = ""


@dataclass(frozen=True)
class _Hits:
    voice_ids: list[int]
    count: int


def search_voices(search: Search) -> Found:
    """Return the page asked for. Raises SearchTooSlow."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            # `jit` compiles for longer than these queries run.
            cursor.execute(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}; SET LOCAL jit = off")
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
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = 'community_listing'::regclass")
        (estimate,) = cursor.fetchone()
        if estimate > EXACT_WHOLE_LIMIT:
            return estimate, False
        cursor.execute("SELECT count(*) FROM community_listing")
        return cursor.fetchone()[0], True


def _search(search: Search) -> Found:
    marks = [language_token(search.language)] if search.language else []
    marks += [tag_token(search.tag)] if search.tag else []
    asked = words(search.text)
    if any(len(mark) == 1 for mark in marks) or (search.text.strip() and not asked):
        # Only punctuation: nothing is called that.
        return Found([], 0, True, has_more=False)
    if not asked and not marks:
        return _whole(search)
    found = _page(search, _words_condition(asked, marks))
    # What is tried next depends on the search alone, never on the page: the pages of one search fit together.
    if not found.total and any(len(word) >= 3 for word in asked):
        found = _page(search, _parts_condition(asked, marks))
    if not found.total and (better := corrected(asked)) != asked:
        found = replace(_page(search, _words_condition(better, marks)), corrected_text=" ".join(better))
    return found


def _page(search: Search, condition: _Condition) -> Found:
    offset, limit = (search.page - 1) * search.page_size, search.page_size
    if search.sort_by in ("recent", "likes"):
        return _page_by(ORDERS[search.sort_by], condition, offset, limit)
    if search.sort_by == "relevance" and offset < RERANKED:
        hits = _narrowest(condition, ORDERS["popular"], 0, RERANKED + limit)
        best = _reranked(hits.voice_ids[:RERANKED], condition.phrase)
        voice_ids = (best + hits.voice_ids[RERANKED:])[offset : offset + limit]
    else:
        hits = _narrowest(condition, ORDERS["popular"], offset, limit)
        voice_ids = hits.voice_ids
    return _found(voice_ids, hits.count, offset + limit)


def _narrowest(condition: _Condition, order: str, offset: int, limit: int) -> _Hits:
    """Return a page from the smallest part of the catalogue that holds enough for it and for the count."""
    needed = max(offset + limit, COUNT_LIMIT) + 1
    top, *wider = condition.tiers
    hits = _hits(condition, top, order, offset, limit)
    for tier in wider:
        # Each tier holds twice as much as the one above: those that will not hold enough are not asked.
        if hits.count < needed and (tier == WIDEST or hits.count * 2 ** (top - tier) >= needed):
            hits, top = _hits(condition, tier, order, offset, limit), tier
    return hits


def _page_by(order: str, condition: _Condition, offset: int, limit: int) -> Found:
    """Return a page in an order that tiers do not follow."""
    top = _hits(condition, condition.tiers[0], order, 0, 0)
    if top.count < COMMON_IN_TOP:
        hits = _hits(condition, WIDEST, order, offset, limit)
        return _found(hits.voice_ids, hits.count, offset + limit)
    sql = (
        f"SELECT voice_id FROM community_listing WHERE {condition.widest_sql}"  # noqa: S608
        f" ORDER BY {order} OFFSET %s LIMIT %s"
    )
    voice_ids = [key for (key,) in _rows(sql, [*condition.values, offset, limit + 1])]
    counted = _narrowest(condition, ORDERS["popular"], 0, 0).count
    return _found(voice_ids[:limit], max(counted, offset + len(voice_ids)), offset + limit)


def _whole(search: Search) -> Found:
    order = ORDERS.get(search.sort_by, ORDERS["popular"])
    offset = (search.page - 1) * search.page_size
    sql = f"SELECT {_key_column(order)} FROM community_listing ORDER BY {order} OFFSET %s LIMIT %s"  # noqa: S608
    keys = [key & KEY_MASK for (key,) in _rows(sql, [offset, search.page_size + 1])]
    total, is_exact = count_voices()
    return Found(keys[: search.page_size], total, is_exact, has_more=len(keys) > search.page_size)


def _found(voice_ids: list[int], count: int, end: int) -> Found:
    return Found(voice_ids, min(count, COUNT_LIMIT + 1), count <= COUNT_LIMIT, has_more=count > end)


def _words_condition(asked: list[str], marks: list[str]) -> _Condition:
    sql = f"{LEXEMES} @@ %s::tsquery"
    return _Condition(sql, sql, (_tsquery(asked, marks),), WORD_TIERS, " ".join(asked))


def _parts_condition(asked: list[str], marks: list[str]) -> _Condition:
    """Match long words anywhere by trigrams; one or two letters have none, and begin a word."""
    patterns = [f"%{word}%" for word in asked if len(word) >= 3]
    short = [word for word in asked if len(word) < 3]
    sql = " AND ".join(["search_text LIKE %s"] * len(patterns))
    # The trigrams of the whole catalogue are indexed once, on the voices, where moderators search too.
    widest = f"voice_id IN (SELECT id FROM voices_voice WHERE {sql})"  # noqa: S608
    values = [*patterns]
    if short or marks:
        sql, widest = f"{sql} AND {LEXEMES} @@ %s::tsquery", f"{widest} AND {LEXEMES} @@ %s::tsquery"
        values.append(_tsquery(short, marks))
    return _Condition(sql, widest, tuple(values), (*PART_TIERS, WIDEST), " ".join(asked))


def _tsquery(asked: list[str], marks: list[str]) -> str:
    """Return the query text; words are letters and digits only, marks those and @ # -."""
    return " & ".join([f"'{word}':*" for word in asked] + [f"'{mark}'" for mark in marks])


def _hits(condition: _Condition, tier: int, order: str, offset: int, limit: int) -> _Hits:
    """Return how many match in a tier and those above it, and one page of them.

    An aggregate, because a LIMIT would tempt the planner to walk an ordered index in the hope of early matches:
    with none, it would walk the whole catalogue.
    """
    where = condition.widest_sql if tier == WIDEST else f"{condition.sql} AND tier >= {tier}"
    page = f"(array_agg({_key_column(order)} ORDER BY {order}))[%s:%s]"
    sql = f"SELECT count(*), {page} FROM community_listing WHERE {where}"  # noqa: S608
    ((count, keys),) = _rows(sql, [offset + 1, offset + limit, *condition.values])
    return _Hits([key & KEY_MASK for key in keys or []], count)


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
