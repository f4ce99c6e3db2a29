"""The threads that speak: one per core, each asks the scheduler for the most urgent segment."""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from tts.engines import admission
from tts.engines.scheduler import Job, Pace, Scheduler, StopFlag, Stream

NICENESS = 2  # added to the process's own: the event loop, the database and the pages go first


class Stopped(Exception):
    """Tell that a segment was ended early through its stop flag."""


@dataclass(frozen=True)
class Load:
    """What a pool has to do: its listeners, their segments that wait, and how many of its workers speak."""

    listeners: int
    waiting: int
    busy: int
    workers: int


class WorkerPool:
    """Run segments on threads in the scheduler's order; thread-safe.

    `speak(job)` makes one segment and returns its length in seconds, raising Stopped when `job.stop` ended
    it;
    `failed(stream, error)` hears of anything else it raises. Threads start with the first stream.
    """

    def __init__(
        self,
        *,
        workers: int,
        speak: Callable[[Job], float],
        failed: Callable[[Stream, BaseException], None],
        new_stop: Callable[[], StopFlag] = StopFlag,
        clock: Callable[[], float] = monotonic,
    ):
        self.pace = Pace()
        self._scheduler = Scheduler(workers=workers, pace=self.pace, clock=clock, new_stop=new_stop)
        self._speak = speak
        self._failed = failed
        self._clock = clock
        self._changed = threading.Condition()
        self._admission = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._is_closing = False

    def add(self, sounds_s: Sequence[float], attach: Callable[[Stream], None]) -> Stream:
        """Admit a stream of segments with these predicted lengths and start on it; raises EngineBusy.

        `attach` is told the stream before any worker can see it.
        """
        # One after the other, and beside the workers: the future takes long to play when there is a crowd.
        with self._admission:
            with self._changed:
                present = admission.look(self._scheduler, self._clock())
            stream = admission.admit(present, sounds_s)
            with self._changed:
                attach(stream)
                self._scheduler.add(stream)
                self._start_threads()
                self._changed.notify_all()
        return stream

    @property
    def load(self) -> Load:
        """Return what there is to do at this moment."""
        with self._changed:
            scheduler = self._scheduler
            waiting = sum(len(stream.waiting) for stream in scheduler.streams)
            return Load(len(scheduler.streams), waiting, len(scheduler.running), scheduler.workers)

    @property
    def is_busy(self) -> bool:
        """Tell whether anybody is being spoken to."""
        with self._changed:
            return bool(self._scheduler.streams)

    def started(self, stream: Stream) -> None:
        """Note that the listener of `stream` has something to hear from now on."""
        with self._changed:
            if stream.played_at is None:
                stream.played_at = max(self._clock(), stream.release_at)

    def taken(self, stream: Stream, sound_s: float) -> None:
        """Note how much sound, from the start, the consumer of `stream` has taken."""
        with self._changed:
            # Who paused needs the rest as much later; else they would come first when they go on.
            stream.played_at = stream.playing_since(self._clock())
            stream.taken_s = sound_s
            self._changed.notify_all()

    def remove(self, stream: Stream) -> None:
        """Stop whatever is still done for `stream`, at once."""
        with self._changed:
            self._scheduler.close(stream)
            self._changed.notify_all()

    def close(self) -> None:
        """Stop every stream and end the threads; waits for them a moment."""
        with self._changed:
            self._is_closing = True
            for stream in list(self._scheduler.streams):
                self._scheduler.close(stream)
            self._changed.notify_all()
            threads, self._threads = self._threads, []
        for thread in threads:
            thread.join(timeout=10.0)
        self._is_closing = False

    def _start_threads(self) -> None:
        while len(self._threads) < self._scheduler.workers:
            name = f"kokoro-{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        _be_nice()
        while (job := self._next_job()) is not None:
            try:
                sound_s = self._speak(job)
            except Stopped:
                self._give_back(job)
            except Exception as error:  # noqa: BLE001  (handed to the stream's consumer, who raises it)
                self._give_back(job)
                self.remove(job.stream)
                self._failed(job.stream, error)
            else:
                with self._changed:
                    self._scheduler.finish(job, sound_s)
                    self._changed.notify_all()

    def _next_job(self) -> Job | None:
        with self._changed:
            while not self._is_closing:
                job = self._scheduler.take()
                if job is not None:
                    return job
                self._changed.wait()
            return None

    def _give_back(self, job: Job) -> None:
        with self._changed:
            self._scheduler.give_back(job)
            self._changed.notify_all()


def _be_nice() -> None:
    """Yield a little to everything else; Linux keeps a niceness per thread, elsewhere it would be the process's."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS))
