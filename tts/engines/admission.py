"""Admit a listener only when everybody, the newcomer included, will hear speech without a gap.

The remaining work is played through in advance with the scheduler's own rule (earliest deadline first) at the
measured pace of this machine. Dertouzos (1974): on one processor no order misses fewer deadlines than that
one.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tts.engines.base import EngineBusy
from tts.engines.scheduler import FIRST_AUDIO_S, Job, Pace, Scheduler, Stream

SAFETY_S = 0.3  # a segment must be there this long before it is needed
SAFETY_FACTOR = 1.1  # predicted costs are taken this much worse
SHORTER = 0.9  # and predicted lengths this much shorter: both err by some 12 %, measured
ALONE_FACTOR = 1.3  # a run on every core that gets company takes this much longer than one beside others
MAX_FIRST_WAIT_S = 8.0
MAX_STREAMS = 64
NEWCOMER = 0  # no stream's key: those are addresses
HOLDS_S = (0.0, 0.3, 0.7, 1.2, 2.0, 3.0, 4.5, 6.0, 7.5)
RETRIES_S = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0, 45.0, 60.0)


@dataclass
class _Future:
    """Follow one stream through the simulated future."""

    key: int
    left_s: list[float]
    arrives_at: float
    first_needed_at: float
    release_at: float
    played_at: float | None = None
    offset_s: float = 0.0
    ready_at: float = 0.0
    late_s: float = -1e9

    def needed_at(self) -> float:
        return self.first_needed_at if self.played_at is None else self.played_at + self.offset_s

    def deliver(self, ready_at: float, sound_s: float) -> None:
        self.ready_at = max(self.ready_at, ready_at)
        if self.played_at is None:
            self.played_at = max(self.ready_at, self.release_at)
        else:
            self.late_s = max(self.late_s, self.ready_at + SAFETY_S - self.needed_at())
        self.offset_s += sound_s


@dataclass(frozen=True)
class Present:
    """Keep where everybody stands at one moment, so that the future can be played without stopping the present."""

    now: float
    futures: list[_Future]
    free_at: list[float]  # per worker
    pace: Pace
    is_idle: bool


def look(scheduler: Scheduler, now: float) -> Present:
    """Return where everybody stands; quick, for whoever holds the pool's lock."""
    futures, free_at = _present(scheduler, now)
    is_idle = not scheduler.streams and not scheduler.running
    return Present(now, futures, free_at, replace(scheduler.pace), is_idle)


def admit(present: Present, sounds_s: Sequence[float]) -> Stream:
    """Return the admitted stream, not yet added; raises EngineBusy with an honest wait when it cannot be
    gap-free.

    A lone listener is always admitted. The stream may start a little later (`release_at`) when that makes
    it gap-free.
    """
    now, sounds_s = present.now, list(sounds_s)
    if present.is_idle:
        return Stream(sounds_s, arrived_at=now, release_at=now)
    alone = _play(present, None, {})
    assert alone is not None
    allowed = {future.key: max(0.0, future.late_s) for future in alone} | {NEWCOMER: 0.0}
    if len(present.futures) < MAX_STREAMS:
        for hold_s in HOLDS_S:
            if _fits(present, sounds_s, 0.0, hold_s, allowed):
                return Stream(sounds_s, arrived_at=now, release_at=now + hold_s)
    index = bisect_left(RETRIES_S, True, key=lambda delay_s: _fits(present, sounds_s, delay_s, 0.0, allowed))
    raise EngineBusy(RETRIES_S[min(index, len(RETRIES_S) - 1)])


def _fits(
    present: Present, sounds_s: list[float], delay_s: float, hold_s: float, allowed: dict[int, float]
) -> bool:
    arrives_at = present.now + delay_s
    release_at = arrives_at + hold_s
    first_needed_at = max(release_at, arrives_at + FIRST_AUDIO_S)
    newcomer = _Future(NEWCOMER, list(sounds_s), arrives_at, first_needed_at, release_at)
    if _play(present, newcomer, allowed) is None:
        return False
    return newcomer.played_at is None or newcomer.played_at - arrives_at <= MAX_FIRST_WAIT_S


def _play(present: Present, newcomer: _Future | None, allowed: dict[int, float]) -> list[_Future] | None:
    """Play everything to its end, or to the first segment that is later than its stream is allowed: then None."""
    futures = [replace(future, left_s=list(future.left_s)) for future in present.futures]
    free_at = list(present.free_at)
    if newcomer is not None:
        futures.append(newcomer)
    waiting = [future for future in futures if future.left_s]
    while waiting:
        worker = min(range(len(free_at)), key=free_at.__getitem__)
        time = free_at[worker]
        here = [future for future in waiting if future.arrives_at <= time]
        if not here:
            free_at[worker] = min(future.arrives_at for future in waiting)
            continue
        future = min(here, key=_Future.needed_at)
        sound_s = future.left_s.pop(0)
        free_at[worker] = time + present.pace.cost_s(sound_s) * SAFETY_FACTOR
        future.deliver(free_at[worker], sound_s * SHORTER)
        if future.late_s > allowed.get(future.key, math.inf):
            return None
        if not future.left_s:
            waiting.remove(future)
    return futures


def _present(scheduler: Scheduler, now: float) -> tuple[list[_Future], list[float]]:
    """Return where every stream will stand when its running segments are done, and when workers are free."""
    ends = {job: max(now, job.started_at + _cost_s(job)) for job in scheduler.running}
    free_at = [now] * (scheduler.workers - len(ends)) + list(ends.values())
    futures = []
    for stream in scheduler.streams:
        future = _Future(
            id(stream), [], now, stream.deadline(0), stream.release_at, played_at=stream.playing_since(now)
        )
        future.offset_s = sum(stream.sounds_s[: stream.in_order])
        running = {job.index: ends[job] for job in scheduler.running if job.stream is stream}
        for index in range(stream.in_order, len(stream.sounds_s)):
            if index in running or index in stream.done:
                shorter = SHORTER if index in running else 1.0
                future.deliver(running.get(index, now), stream.sounds_s[index] * shorter)
            else:
                future.left_s.append(stream.sounds_s[index])
        futures.append(future)
    return futures, free_at


def _cost_s(job: Job) -> float:
    return job.cost_s * SAFETY_FACTOR * (ALONE_FACTOR if job.is_alone else 1.0)
