"""Mirror a catalogue of 100,000 voices, killed five times: how long, how many requests, how complete.

Run it by `python -m bench.sync [voices]`. It works in a database of its own, emptied first.
"""

import sys

from bench.place import use_own_database

if __name__ == "__main__":
    use_own_database("fr02_bench_sync")

from django.db import connection

from tests.community.killed_sync import sync_with_kills
from voices.models import Voice


def run(size: int = 100_000, kills: int = 5) -> None:
    """Print what the mirroring took."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE voices_voice, community_syncrun, community_word, community_tier CASCADE")
    outcome = sync_with_kills(size=size, kills=kills, longest=size // 200, within_s=3_600)
    mirrored = set(
        Voice.objects.filter(kind=Voice.Kind.MIRRORED, retired_at=None).values_list("public_id", flat=True)
    )
    print(
        f"{size:,} voices, killed {kills} times: {outcome.seconds:.0f} s, {outcome.asked.total():,} requests,"
        f" {len(outcome.done_again)} asked again of pages already done, {outcome.repeated_count} that were in the air"
        f" when it was killed, {len(outcome.fish_ids - mirrored)} missing,"
        f" {len(mirrored - outcome.fish_ids)} too many"
    )


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
