"""Mirror a catalogue with `manage.py sync_community`, killed at random and started again to the end."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass

from tests.fish_stand_in.running import StandIn, running_stand_in
from tests.servers import ROOT, database_url


@dataclass
class Outcome:
    """What the runs asked for: each request with how often, and the catalogue they should have mirrored."""

    asked: Counter[str]
    fish_ids: set[str]
    seconds: float

    @property
    def repeated_count(self) -> int:
        return sum(times - 1 for times in self.asked.values())


def sync_with_kills(*, size: int, kills: int, seed: int = 5, within_s: float = 240) -> Outcome:
    """Kill the command `kills` times, each after 3 to 20 requests, then let it end well."""
    dice, started = random.Random(seed), time.monotonic()
    with running_stand_in(catalogue_size=size) as fish:
        for _kill in range(kills):
            process = _start(fish)
            enough = len(fish.asked("model")) + dice.randint(3, 20)
            while len(fish.asked("model")) < enough:
                assert process.poll() is None, "the run ended before it could be killed"
                assert time.monotonic() - started < within_s
                time.sleep(0.002)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        assert _start(fish).wait(within_s) == 0
        asked = Counter(f"{item['path']} {sorted(item['query'])}" for item in fish.asked("model"))
        return Outcome(asked, set(fish.app.models.catalogue.entries), time.monotonic() - started)


def _start(fish: StandIn) -> "subprocess.Popen[bytes]":
    environment = os.environ | {
        "DATABASE_URL": database_url(),
        "FISH_API_KEY": "clef",
        "FISH_BASE_URL": fish.base_url,
        "COMMUNITY_SYNC_PER_SECOND": "0",
    }
    return subprocess.Popen([sys.executable, "manage.py", "sync_community"], cwd=ROOT, env=environment)
