"""Measure community search on a catalogue of a million voices: p50, p95 and the query plans.

Run it by `python -m bench.search [rows]`. It works in a database of its own, kept for the next run with as
many rows. The catalogue is made up: titles of French and foreign words whose frequencies fall as in a
language (Zipf), use counts that fall the same way.
"""

import random
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil

from bench.place import use_own_database

if __name__ == "__main__":
    use_own_database("fr02_bench_search")

from django.db import connection

from community.index import refresh_index
from community.search import Search, search_voices
from voices.models import Voice
from voices.words import search_text

ROUNDS = 200
SYLLABLES = """
    ba be bi bo bu ca ce ci co da de di do fa fe fi ga go la le li lo lu ma me mi mo na ne no pa pe pi po
    ra re ri ro sa se si so ta te ti to va ve vi vo za
""".split()  # noqa: SIM905
COMMON = """
    voix femme homme narration calme jeune français générée podcast douce grave anime histoire publicité radio
    énergique profonde étudiante président comédien journaliste enfant professeur
""".split()  # noqa: SIM905
LANGUAGES = (
    (["en"] * 30) + (["zh"] * 20) + (["fr"] * 12) + (["es"] * 10) + ["ja", "de", "pt", "ar", "ru", "it"] * 3
)
COLUMNS = """
    public_id engine reference kind state failure visibility title description author_nickname languages tags
    cover_image sample_url sample_text like_count task_count search_text is_hidden created_at updated_at
""".split()  # noqa: SIM905
# What is asked, with the share of the catalogue that the search meets.
SEARCHES: tuple[tuple[str, dict[str, str]], ...] = (
    ("empty", {}),
    ("rare (10 voices)", {"text": "zanzibarine"}),
    ("mid (1.1 %)", {"text": "professeur"}),
    ("common (5 %)", {"text": "calme"}),
    ("common (15 %)", {"text": "voix"}),
    ("one letter", {"text": "p"}),
    ("three letters", {"text": "nar"}),
    ("accented", {"text": "ÉTUDIANTE"}),
    ("accented, common", {"text": "Français"}),
    ("misspelt, one mistake", {"text": "zanzibrine"}),
    ("misspelt, two mistakes", {"text": "zanzabarinne"}),
    ("misspelt, common", {"text": "narartion"}),
    ("part of a word, rare", {"text": "nzibari"}),
    ("part of a word, common", {"text": "arratio"}),
    ("two common words", {"text": "voix calme"}),
    ("common among the unpopular only", {"text": "brouillon"}),
    ("two of them", {"text": "brouillon calme"}),
    ("common and unpopular, relevance", {"text": "brouillon", "sort_by": "relevance"}),
    ("nothing found", {"text": "qxqxqx"}),
    ("nothing found, two letters", {"text": "qx"}),
    ("language", {"language": "fr"}),
    ("language and tag", {"language": "fr", "tag": "jeune"}),
    ("recent", {"sort_by": "recent"}),
    ("common, recent", {"text": "calme", "sort_by": "recent"}),
    ("common, relevance", {"text": "calme", "sort_by": "relevance"}),
)
PAGES = (1, 1_000)


@dataclass(frozen=True)
class Timing:
    """Say how long one search took: wall milliseconds, and the CPU's of both sides, which other work cannot swell."""

    p50_ms: float
    p95_ms: float
    cpu_ms: float
    total: str


def run(rows: int = 1_000_000, rounds: int = ROUNDS) -> dict[tuple[str, int], Timing]:
    """Fill the catalogue, print the table and the plans, and return {(search, page): timing}."""
    _fill(rows)
    print(f"\n| search ({rows:,} voices, 10 a page) | page | p50 ms | p95 ms | CPU ms | found |")
    print("|---|---|---|---|---|---|")
    measured = {}
    for name, asked in SEARCHES:
        for page in PAGES:
            timing = measured[name, page] = _time(Search(**asked, page=page, page_size=10), rounds)
            figures = f"{timing.p50_ms:.1f} | {timing.p95_ms:.1f} | {timing.cpu_ms:.1f} | {timing.total}"
            print(f"| {name} | {page} | {figures} |", flush=True)
    _print_plans()
    return measured


def _time(search: Search, rounds: int) -> Timing:
    times = []
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = psutil.Process(cursor.fetchone()[0])
    cpu_before = _cpu_seconds(backend)
    for _round in range(rounds):
        started = time.perf_counter()
        found = search_voices(search)
        Voice.objects.in_order(found.voice_ids)
        times.append((time.perf_counter() - started) * 1000)
    cpu_ms = (_cpu_seconds(backend) - cpu_before) * 1000 / rounds
    total = f"{found.total}{'' if found.is_total_exact else '+'}"
    return Timing(statistics.median(times), statistics.quantiles(times, n=20)[18], cpu_ms, total)


def _cpu_seconds(backend: psutil.Process) -> float:
    """Return the CPU time of this process and of its PostgreSQL session, which runs on the same machine."""
    used = backend.cpu_times()
    return time.process_time() + used.user + used.system


def _fill(rows: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM voices_voice")
        (count,) = cursor.fetchone()
        if abs(count - rows) <= 100:
            return
        started = time.monotonic()
        cursor.execute("TRUNCATE voices_voice, community_listing, community_word, community_tier CASCADE")
        indexes = _drop_inverted_indexes(cursor)
        columns = ", ".join(COLUMNS)
        with cursor.copy(f"COPY voices_voice ({columns}) FROM STDIN") as copy:
            for row in _rows(rows):
                copy.write_row(row)
        copied = time.monotonic()
        for definition in indexes:
            cursor.execute(definition)
        indexed = time.monotonic()
    refresh_index()
    print(
        f"COPY {copied - started:.0f} s, inverted indexes {indexed - copied:.0f} s,"
        f" tiers, words and vacuum {time.monotonic() - indexed:.0f} s"
    )


def _drop_inverted_indexes(cursor: Any) -> list[str]:
    cursor.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('voices_voice', 'community_listing',"
        " 'community_word') AND indexdef LIKE '%USING gin%'"
    )
    found = cursor.fetchall()
    for name, _definition in found:
        cursor.execute(f"DROP INDEX {name}")
    return [definition for _name, definition in found]


def _rows(count: int) -> Iterator[tuple[Any, ...]]:
    dice = random.Random(2)
    names = [_invented(dice) for _number in range(150_000)]
    # Zipf: the n-th word is n times rarer than the first.
    weights = [1 / (rank + 3) for rank in range(len(names))]
    picked = dice.choices(names, weights, k=3 * count)
    # The more a voice is used, the rarer: a few have millions of uses, half have less than ten.
    start = datetime(2024, 1, 1, tzinfo=UTC)
    for number in range(count):
        title = picked[3 * number : 3 * number + 2]
        author = [picked[3 * number + 2]]
        tags: list[str] = []
        for place, word in enumerate(COMMON):
            if (
                dice.random() < (0.15, 0.12, 0.10, 0.06, 0.05)[place]
                if place < 5
                else dice.random() < 0.25 / place
            ):
                (tags if place % 2 else title).append(word)
        if number % (count // 10) == 7:
            title.append("Zanzibarine")
        uses = int(10 * dice.paretovariate(0.6)) - 10
        if uses < 20 and dice.random() < 0.4:
            title.append("Brouillon")
        language = LANGUAGES[dice.randrange(len(LANGUAGES))]
        text = " ".join(title).capitalize()
        created_at = start + timedelta(seconds=60 * number)
        yield (
            f"{dice.getrandbits(128):032x}", "fish", '{"id": "0"}', "mirrored", "trained", "", "public", text,
            f"Une voix de {text}, pour essayer la recherche.", author[0], [language], tags, "", "", "",
            int(dice.paretovariate(0.9)) - 1, uses,
            search_text(title=text, author=author[0], tags=tags, languages=[language]), False, created_at,
            created_at,
        )  # fmt: skip


def _invented(dice: random.Random) -> str:
    return (
        "".join(dice.choice(SYLLABLES) for _syllable in range(dice.randint(2, 4)))
        + dice.choice("nrstlx ").strip()
    )


def _print_plans() -> None:
    """Print the plan of each statement that a few telling searches send."""
    telling = (
        {"text": "zanzibarine"},
        {"text": "voix"},
        {"text": "voix", "page": 1_000},
        {"text": "arratio"},
        {"page": 1_000},
    )
    for asked in telling:
        statements: list[tuple[str, Any]] = []

        def keep(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            statements.append((sql, params))  # noqa: B023
            return execute(sql, params, many, context)

        with connection.execute_wrapper(keep):
            search_voices(Search(**asked, page_size=10))
        print(f"\n### {asked}")
        with connection.cursor() as cursor:
            for sql, params in statements:
                if sql.lstrip().startswith(("SELECT", "WITH")):
                    cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {sql}", params)
                    print("\n".join(line for (line,) in cursor.fetchall()), end="\n\n")


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
