"""Keep the search index in order: who belongs to which tier, and which words there are."""

from django.db import connection, transaction

from community.models import LEXEMES, TOP_TIER

# Below so many voices in the top tier, an index of its own saves nothing.
LEAST_IN_TOP = 1_000


def refresh_index() -> None:
    """Put each voice into its tier again and count the words: after large changes, and nightly.

    Between two refreshes new voices get their tier by the limits of the last one: right, only less even.
    """
    with transaction.atomic():
        _refresh_tiers()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(COUNT_WORDS)
    if not connection.in_atomic_block:
        with connection.cursor() as cursor:
            # New rows go into the inverted indexes, index-only walks trust the pages, the planner knows the
            # numbers.
            cursor.execute("VACUUM (ANALYZE) community_listing, community_word, voices_voice")


def _refresh_tiers() -> None:
    """Draw the limits of the tiers anew and rewrite the voices that change theirs.

    The rewriting goes tier by tier, which puts the rows of the popular ones together on few pages.
    """
    with connection.cursor() as cursor:
        # A row written by the old limits after this began would be in the wrong tier.
        cursor.execute("LOCK TABLE community_listing IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute("SELECT count(*) FROM community_listing")
        (total,) = cursor.fetchone()
        cursor.execute("DELETE FROM community_tier")
        for tier in range(1, TOP_TIER + 1):
            size = max(total >> tier, LEAST_IN_TOP << (TOP_TIER - tier))
            cursor.execute(ADD_LIMIT, [tier, max(0, min(size, total) - 1)])
        cursor.execute("SELECT popularity FROM community_tier ORDER BY level")
        limits = [0, *(popularity for (popularity,) in cursor.fetchall()), 2**63 - 1]
        for tier in range(len(limits) - 2, -1, -1):
            cursor.execute(REWRITE_TIER, [tier, tier, limits[tier], limits[tier + 1]])


ADD_LIMIT = """
INSERT INTO community_tier (level, popularity) SELECT %s, popularity
FROM community_listing ORDER BY popularity DESC OFFSET %s LIMIT 1
"""
REWRITE_TIER = """
UPDATE community_listing SET tier = %s
WHERE tier <> %s AND popularity >= %s AND popularity < %s
"""
COUNT_WORDS = f"""
WITH counted AS (
    SELECT word, ndoc FROM ts_stat($$SELECT {LEXEMES} FROM community_listing$$)
    WHERE length(word) BETWEEN 3 AND 32 AND word !~ '^[@#0-9]'
), gone AS (
    DELETE FROM community_word WHERE word NOT IN (SELECT word FROM counted)
)
INSERT INTO community_word AS known (word, frequency) SELECT word, ndoc FROM counted ORDER BY word
ON CONFLICT (word) DO UPDATE SET frequency = excluded.frequency WHERE known.frequency <> excluded.frequency
"""  # noqa: S608
