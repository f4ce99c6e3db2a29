"""Decide which segment of which stream is spoken next: the one whose listener would run dry first.

Pure decisions over plain state, no threads and no model: `workers.py` asks, the tests drive it with their
own clock.
All times are seconds of one monotonic clock; sound lengths are seconds of speech.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_AUDIO_S = 0.5  # a new listener counts as run dry this long after asking
AHEAD_S = 30.0  # sound made but not yet taken by its consumer: more is memory, not smoothness
PREEMPT_SLACK_S = (
    1.5  # a running segment may be thrown away only if its listener has this much left after a redo
)
PREEMPT_WORTH_S = 0.4  # and only if the newcomer would else wait at least this long

_DIGIT = re.compile(r"\d")
_LETTER = re.compile(r"[^\W\d_]")
_IDEOGRAPH = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
_SIGN = re.compile(r"[€$£¥%@&=+×÷°/#_<>]")


class StopFlag:
    """End a running segment early when `terminate` is set.

    Onnxruntime's RunOptions has the same attribute.
    """

    terminate = False


@dataclass(eq=False)
class Stream:
    """Follow one listener: what is still to be spoken, what is made, when they would run dry."""

    sounds_s: list[float]  # per segment: predicted, then real
    arrived_at: float
    release_at: float  # nothing is played before: a short wait that makes the rest gap-free
    waiting: list[int] = field(default_factory=list)
    done: set[int] = field(default_factory=set)
    preempted: set[int] = field(default_factory=set)
    in_order: int = 0  # segments 0 … in_order - 1 are delivered
    played_at: float | None = None
    taken_s: float = 0.0
    is_closed: bool = False

    def __post_init__(self) -> None:
        self.waiting = list(range(len(self.sounds_s)))

    def deadline(self, index: int) -> float:
        """Return when the listener needs segment `index`."""
        start = self.played_at
        if start is None:
            start = max(self.release_at, self.arrived_at + FIRST_AUDIO_S)
        return start + sum(self.sounds_s[:index])

    def playing_since(self, now: float) -> float | None:
        """Return when its listener began, as if they had never paused: they cannot have heard what they did not take."""
        return None if self.played_at is None else max(self.played_at, now - self.taken_s)

    def ahead_s(self, index: int) -> float:
        """Return the sound between what the consumer took and segment `index`."""
        return sum(self.sounds_s[:index]) - self.taken_s


@dataclass(eq=False)
class Job:
    """Give one segment to one worker."""

    stream: Stream
    index: int
    started_at: float
    cost_s: float  # predicted
    is_alone: bool
    stop: StopFlag


@dataclass
class Pace:
    """Know how fast this machine speaks, from what it has spoken.

    A moving average that forgets in some 10 segments.
    """

    cost_per_s: float = 0.45  # thread seconds per second of sound, all workers busy
    call_s: float = 0.05  # what a model call costs whatever its length
    sound_per_unit_s: float = 0.062  # seconds of speech per `spoken_units`, at speed 1
    weight: float = 0.1

    def sound_s(self, text: str, speed: float) -> float:
        """Predict how long `text` will last when spoken, pauses included."""
        return spoken_units(text) * self.sound_per_unit_s / speed

    def cost_s(self, sound_s: float) -> float:
        """Predict how long one worker will need for `sound_s` seconds of speech."""
        return self.call_s + self.cost_per_s * sound_s

    def learn_cost(self, *, took_s: float, sound_s: float) -> None:
        """Take in a finished segment; unusable short ones and outliers are bounded."""
        if sound_s >= 0.5:
            seen = min(max((took_s - self.call_s) / sound_s, 0.01), 10.0)
            self.cost_per_s += self.weight * (seen - self.cost_per_s)

    def learn_length(self, *, text: str, sound_s: float, speed: float) -> None:
        """Take in how long a text lasted."""
        units = spoken_units(text)
        if units >= 15 and sound_s > 0:
            seen = min(max(sound_s * speed / units, 0.02), 0.3)
            self.sound_per_unit_s += self.weight * (seen - self.sound_per_unit_s)


class Scheduler:
    """Order the segments of all streams over `workers` workers."""

    def __init__(
        self, *, workers: int, pace: Pace, clock: Callable[[], float], new_stop: Callable[[], StopFlag]
    ):
        self.workers = workers
        self.pace = pace
        self.streams: list[Stream] = []
        self.running: list[Job] = []
        self._clock = clock
        self._new_stop = new_stop

    def add(self, stream: Stream) -> None:
        """Let an admitted stream compete; may free a worker from a segment that is not needed soon."""
        self.streams.append(stream)
        self._make_room()

    def take(self) -> Job | None:
        """Give a free worker its next segment, or None when there is nothing it may do now."""
        choices = [(stream.deadline(index), stream, index) for stream, index in self._runnable()]
        if not choices or len(self.running) >= self.workers:
            return None
        _, stream, index = min(choices, key=lambda choice: choice[0])
        stream.waiting.remove(index)
        cost_s = self.pace.cost_s(stream.sounds_s[index])
        is_alone = len(self.streams) == 1 and not self.running and (index == 0 or not stream.waiting)
        job = Job(stream, index, self._clock(), cost_s, is_alone, self._new_stop())
        self.running.append(job)
        return job

    def finish(self, job: Job, sound_s: float) -> None:
        """Note that a segment is made and how long it really is."""
        self.running.remove(job)
        stream = job.stream
        stream.sounds_s[job.index] = sound_s
        stream.done.add(job.index)
        while stream.in_order in stream.done:
            stream.in_order += 1
        if stream.in_order == len(stream.sounds_s) and stream in self.streams:
            self.streams.remove(stream)  # made to the end: only its consumer still knows it
        if not job.is_alone:
            self.pace.learn_cost(took_s=self._clock() - job.started_at, sound_s=sound_s)

    def give_back(self, job: Job) -> None:
        """Put a segment that was stopped half-way back in its place."""
        self.running.remove(job)
        if not job.stream.is_closed:
            job.stream.waiting.insert(0, job.index)
            job.stream.waiting.sort()

    def close(self, stream: Stream) -> None:
        """Forget a stream, finished or cancelled: waiting segments vanish, running ones are stopped."""
        stream.is_closed = True
        stream.waiting.clear()
        if stream in self.streams:
            self.streams.remove(stream)
        for job in self.running:
            if job.stream is stream:
                job.stop.terminate = True

    def _runnable(self) -> list[tuple[Stream, int]]:
        runnable = []
        for stream in self.streams:
            if not stream.waiting:
                continue
            index = stream.waiting[0]
            is_too_far = index > stream.in_order and stream.ahead_s(index) > AHEAD_S
            if index == stream.in_order:
                is_too_far = stream.ahead_s(index) > AHEAD_S
            # A lone listener's first segment gets every core: what follows it would only slow it down.
            is_too_early = index > 0 and stream.in_order == 0 and len(self.streams) == 1
            if not is_too_far and not is_too_early:
                runnable.append((stream, index))
        return runnable

    def _make_room(self) -> None:
        if len(self.running) < self.workers:
            return
        now = self._clock()
        running = [job for job in self.running if not job.stop.terminate]
        if (
            any(job.started_at + job.cost_s - now < PREEMPT_WORTH_S for job in running)
            or len(running) < self.workers
        ):
            return
        spare = [job for job in running if job.index > 0 and job.index not in job.stream.preempted]
        slack = {job: job.stream.deadline(job.index) - now - 2 * job.cost_s for job in spare}
        job = max(spare, key=lambda job: slack[job], default=None)
        if job is not None and slack[job] > PREEMPT_SLACK_S:
            job.stream.preempted.add(job.index)
            job.stop.terminate = True


def spoken_units(text: str) -> float:
    """Estimate how much there is to say, in letters: a digit or a sign is a word, an ideograph a syllable."""
    letters = len(_LETTER.findall(text))
    ideographs = len(_IDEOGRAPH.findall(text))
    words = 4.0 * len(_DIGIT.findall(text)) + 5.0 * len(_SIGN.findall(text))
    return letters + 2.0 * ideographs + words + 0.3 * (len(text) - letters) + 3.0
