"""Mirror a catalogue of 100,000 voices, killed five times: how long, how many requests, how complete.

Run it by `python -m bench.sync [voices]`. It works in a database of its own, made anew.
"""

import os
import sys

import django
from django.conf import settings
from django.db import connection, connections

DATABASE = "fr02_bench_sync"


def run(size: int = 100_000, kills: int = 5) -> None:
    """Print what the mirroring took."""
    from django.core.management import call_command

    from tests.community.killed_sync import sync_with_kills
    from voices.models import Voice

    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
        cursor.execute(f"CREATE DATABASE {DATABASE}")
    connections.close_all()
    connection.close_pool()
    settings.DATABASES["default"]["NAME"] = connection.settings_dict["NAME"] = DATABASE
    call_command("migrate", verbosity=0)
    outcome = sync_with_kills(size=size, kills=kills, within_s=3_600)
    mirrored = set(
        Voice.objects.filter(kind=Voice.Kind.MIRRORED, retired_at=None).values_list("public_id", flat=True)
    )
    print(
        f"{size:,} voices, killed {kills} times: {outcome.seconds:.0f} s, {outcome.asked.total():,} requests,"
        f" {outcome.repeated_count} repeated, {len(outcome.fish_ids - mirrored)} missing,"
        f" {len(mirrored - outcome.fish_ids)} too many"
    )


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fr02.settings")
    django.setup()
    run(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
