"""Mirror a catalogue with `manage.py sync_community`, killed at random and started again to the end."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass

from community.models import SyncPage
from tests.fish_stand_in.running import StandIn, running_stand_in
from tests.servers import ROOT, database_url


@dataclass
class Outcome:
    """What the runs asked for: each request with how often, and the catalogue they should have mirrored.

    `done_again` are the pages that a later run asked for although an earlier one had noted them as done.
    """

    asked: Counter[str]
    fish_ids: set[str]
    seconds: float
    done_again: list[tuple[str, ...]]

    @property
    def repeated_count(self) -> int:
        return sum(times - 1 for times in self.asked.values())


def sync_with_kills(
    *,
    size: int,
    kills: int,
    longest: int = 20,
    kills_by_id: int = 0,
    seed: int = 5,
    within_s: float = 240,
) -> Outcome:
    """Kill the command `kills` times, each after 3 to `longest` requests, then let it end well.

    `kills_by_id` more times it is killed after as many requests for voices by their id, which come last.
    """
    dice, started = random.Random(seed), time.monotonic()
    done_again: list[tuple[str, ...]] = []
    with running_stand_in(catalogue_size=size) as fish:
        for kill in range(kills + kills_by_id):
            count = _asked if kill < kills else _asked_by_id
            noted, before = _noted_pages(), _listed(fish)
            process = _start(fish)
            enough = count(fish) + dice.randint(3, longest)
            while count(fish) < enough:
                assert process.poll() is None, "the run ended before it could be killed"
                assert time.monotonic() - started < within_s
                time.sleep(0.002)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            done_again += _asked_again(fish, before, noted)
        noted, before = _noted_pages(), _listed(fish)
        assert _start(fish).wait(within_s) == 0
        done_again += _asked_again(fish, before, noted)
        asked = Counter(f"{item['path']} {sorted(item['query'])}" for item in fish.asked("model"))
        fish_ids = set(fish.app.models.catalogue.entries)
        return Outcome(asked, fish_ids, time.monotonic() - started, done_again)


def _asked(fish: StandIn) -> int:
    return len(fish.asked("model"))


def _asked_by_id(fish: StandIn) -> int:
    return _asked(fish) - _listed(fish)


def _listed(fish: StandIn) -> int:
    return sum(item["path"] == "/model" for item in fish.asked("model"))


def _noted_pages() -> set[tuple[str, ...]]:
    """Return the pages that are noted as done, by what was asked for."""
    pages = SyncPage.objects.values_list(
        "query__language", "query__tag", "query__sort_by", "query__title", "number"
    )
    return {tuple(map(str, page)) for page in pages}


def _asked_again(fish: StandIn, before: int, noted: set[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the listings asked for since listing number `before` that were noted as done by then."""
    asked = [
        tuple(
            dict(item["query"]).get(name, "")
            for name in ("language", "tag", "sort_by", "title", "page_number")
        )
        for item in fish.asked("model")
        if item["path"] == "/model"
    ]
    assert noted <= set(asked[:before]), "what is noted was asked for under the same names"
    return [page for page in asked[before:] if page in noted]


def _start(fish: StandIn) -> "subprocess.Popen[bytes]":
    environment = os.environ | {
        "DATABASE_URL": database_url(),
        "FISH_API_KEY": "clef",
        "FISH_BASE_URL": fish.base_url,
        "COMMUNITY_SYNC_PER_SECOND": "0",
        # Each that is killed leaves a slot behind for a while.
        "FISH_CONCURRENCY": "50",
    }
    return subprocess.Popen([sys.executable, "manage.py", "sync_community"], cwd=ROOT, env=environment)
