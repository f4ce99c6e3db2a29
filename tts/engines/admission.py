"""Admit a listener only when everybody, the newcomer included, will hear speech without a gap.

The remaining work is played through in advance with the scheduler's own rule (earliest deadline first) at the
measured pace of this machine. Dertouzos (1974): on one processor no order misses fewer deadlines than that
one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tts.engines.base import EngineBusy
from tts.engines.scheduler import FIRST_AUDIO_S, Job, Scheduler, Stream

SAFETY_S = 0.3  # a segment must be there this long before it is needed
SAFETY_FACTOR = 1.1  # predicted costs are taken this much worse
SHORTER = 0.9  # and predicted lengths this much shorter: both err by some 12 %, measured
ALONE_FACTOR = 1.3  # a run on every core that gets company takes this much longer than one beside others
MAX_FIRST_WAIT_S = 8.0
MAX_STREAMS = 64
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


def admit(scheduler: Scheduler, sounds_s: Sequence[float], now: float) -> Stream:
    """Return the admitted stream, not yet added; raises EngineBusy with an honest wait when it cannot be
    gap-free.

    A lone listener is always admitted. The stream may start a little later (`release_at`) when that makes
    it gap-free.
    """
    if not scheduler.streams and not scheduler.running:
        return Stream(list(sounds_s), arrived_at=now, release_at=now)
    before = {future.key: future.late_s for future in _play(scheduler, now, None)}
    if len(scheduler.streams) < MAX_STREAMS:
        for hold_s in HOLDS_S:
            if _fits(scheduler, sounds_s, now, 0.0, hold_s, before):
                return Stream(list(sounds_s), arrived_at=now, release_at=now + hold_s)
    for delay_s in RETRIES_S:
        if _fits(scheduler, sounds_s, now, delay_s, 0.0, before):
            raise EngineBusy(delay_s)
    raise EngineBusy(RETRIES_S[-1])


def _fits(
    scheduler: Scheduler,
    sounds_s: Sequence[float],
    now: float,
    delay_s: float,
    hold_s: float,
    before: dict[int, float],
) -> bool:
    arrives_at = now + delay_s
    release_at = arrives_at + hold_s
    first_needed_at = max(release_at, arrives_at + FIRST_AUDIO_S)
    newcomer = _Future(0, list(sounds_s), arrives_at, first_needed_at, release_at)
    for future in _play(scheduler, now, newcomer):
        if future.late_s > max(0.0, before.get(future.key, 0.0)):
            return False
    return newcomer.played_at is None or newcomer.played_at - arrives_at <= MAX_FIRST_WAIT_S


def _play(scheduler: Scheduler, now: float, newcomer: _Future | None) -> list[_Future]:
    futures, free_at = _present(scheduler, now)
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
        free_at[worker] = time + scheduler.pace.cost_s(sound_s) * SAFETY_FACTOR
        future.deliver(free_at[worker], sound_s * SHORTER)
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
            id(stream), [], now, stream.deadline(0), stream.release_at, played_at=stream.played_at
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
