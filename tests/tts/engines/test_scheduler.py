"""The order of work, decided with a clock of the test's own: no threads, no model."""

import threading

import pytest

from tts.engines.admission import MAX_STREAMS, admit, look
from tts.engines.base import EngineBusy
from tts.engines.scheduler import AHEAD_S, Pace, Scheduler, StopFlag, Stream, spoken_units
from tts.engines.workers import WorkerPool


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Machine:
    """Play a machine of some workers: each segment costs what the pace says; notes when each is ready."""

    def __init__(self, *, workers=2, cost_per_s=0.4):
        self.clock = Clock()
        self.scheduler = Scheduler(
            workers=workers, pace=Pace(cost_per_s=cost_per_s), clock=self.clock, new_stop=StopFlag
        )
        self.ends = {}
        self.late = {}
        self.paused = set()  # their consumers take nothing
        self.order = []

    def arrive(self, *sounds_s):
        stream = admit(look(self.scheduler, self.clock.now), sounds_s)
        self.scheduler.add(stream)
        self.late[stream] = -100.0
        return stream

    def force(self, *sounds_s):
        stream = Stream(list(sounds_s), arrived_at=self.clock.now, release_at=self.clock.now)
        self.scheduler.add(stream)
        self.late[stream] = -100.0
        return stream

    def run(self, until=1e9):
        """Work until the time given or until there is nothing left to do."""
        while True:
            while (job := self.scheduler.take()) is not None:
                self.order.append((job.stream, job.index))
                self.ends[job] = self.clock.now + job.cost_s
            stopped = [job for job in self.ends if job.stop.terminate]
            for job in stopped:
                del self.ends[job]
                self.scheduler.give_back(job)
            if stopped:
                continue
            if not self.ends:
                return
            job = min(self.ends, key=self.ends.__getitem__)
            if self.ends[job] > until:
                self.clock.now = until
                return
            self.clock.now = self.ends.pop(job)
            self._finish(job)

    def _finish(self, job):
        stream, before = job.stream, job.stream.in_order
        self.scheduler.finish(job, stream.sounds_s[job.index])
        for index in range(before, stream.in_order):
            if stream.played_at is None:
                stream.played_at = max(self.clock.now, stream.release_at)
            else:
                self.late[stream] = max(self.late[stream], self.clock.now - stream.deadline(index))
        if stream not in self.paused:
            stream.taken_s = sum(stream.sounds_s[: stream.in_order])


def take(machine):
    """Take the next segment, which must be there."""
    job = machine.scheduler.take()
    assert job is not None
    return job


def test_it_works():
    machine = Machine()
    stream = machine.arrive(2.0, 3.0, 4.0)
    machine.run()
    assert [index for _, index in machine.order] == [0, 1, 2]
    assert stream.in_order == 3
    assert machine.scheduler.streams == []
    assert machine.late[stream] <= 0


def test_the_listener_who_runs_dry_first_is_served_first():
    machine = Machine(workers=1)
    rich, poor = machine.force(9.0, 9.0), machine.force(1.0, 1.0)
    machine.run(until=machine.clock.now + 6)
    assert machine.order[:2] == [(rich, 0), (poor, 0)]
    assert machine.order[2] == (poor, 1)


def test_a_lone_listeners_first_segment_has_every_core():
    machine = Machine()
    machine.arrive(2.0, 3.0, 3.0)
    job = take(machine)
    assert job.is_alone
    assert machine.scheduler.take() is None
    machine.clock.now += 0.5
    machine.scheduler.finish(job, 2.0)
    following = [take(machine), take(machine)]
    assert [job.index for job in following] == [1, 2]
    assert not any(job.is_alone for job in following)


def test_two_listeners_share_the_workers():
    machine = Machine()
    first, second = machine.arrive(2.0, 3.0), machine.arrive(2.0, 3.0)
    jobs = [take(machine), take(machine)]
    assert {job.stream for job in jobs} == {first, second}
    assert not any(job.is_alone for job in jobs)


def test_closing_a_stream_stops_its_segments_at_once():
    machine = Machine()
    leaving, staying = machine.force(2.0, 3.0, 3.0), machine.force(2.0)
    job = take(machine)
    assert job.stream is leaving
    machine.scheduler.close(leaving)
    assert job.stop.terminate
    machine.scheduler.give_back(job)
    assert take(machine).stream is staying
    assert machine.scheduler.take() is None


def test_a_slow_consumer_holds_the_work_back():
    machine = Machine()
    stream = machine.arrive(*[5.0] * 40)
    made = 0.0
    while (job := machine.scheduler.take()) is not None:
        machine.clock.now += 1
        machine.scheduler.finish(job, 5.0)
        made += 5.0
    assert AHEAD_S <= made <= AHEAD_S + 10.0
    stream.taken_s = 20.0
    assert machine.scheduler.take() is not None


def test_a_newcomer_interrupts_a_segment_nobody_waits_for():
    machine = Machine()
    long = machine.arrive(3.0, 5.0, *[8.0] * 12)
    machine.run(until=machine.clock.now + 8)
    asked_at = machine.clock.now
    short = machine.arrive(2.0)
    machine.run(until=asked_at + 3)
    assert short.in_order == 1
    assert short.played_at - asked_at < 1.2
    machine.run()
    assert machine.late[long] <= 0


def test_one_long_text_never_starves_short_ones():
    machine = Machine()
    long = machine.arrive(3.0, 5.0, *[7.0] * 60)
    waits = []
    for _ in range(10):
        machine.run(until=machine.clock.now + 5)
        asked_at = machine.clock.now
        short = machine.arrive(1.5)
        machine.run(until=asked_at + 4)
        waits.append(short.played_at - asked_at)
    machine.run()
    assert max(waits) < 3.6
    assert machine.late[long] <= 0


def test_every_admitted_listener_hears_no_gap():
    machine = Machine(cost_per_s=0.45)
    served, refused = [], 0
    for _ in range(8):
        try:
            served.append(machine.arrive(2.4, *[3.5] * 16))
        except EngineBusy:
            refused += 1
        machine.run(until=machine.clock.now + 0.05)
    machine.run()
    assert len(served) >= 3
    assert refused >= 4
    assert all(machine.late[stream] <= 0 for stream in served)


def test_without_admission_the_same_crowd_has_gaps():
    machine = Machine(cost_per_s=0.45)
    streams = [machine.force(2.4, *[3.5] * 16) for _ in range(8)]
    machine.run()
    assert max(machine.late[stream] for stream in streams) > 1


def test_ten_short_texts_are_served():
    machine = Machine(cost_per_s=0.45)
    streams = [machine.arrive(1.6) for _ in range(10)]
    machine.run()
    assert all(stream.in_order == 1 for stream in streams)


def test_the_wait_it_names_is_long_enough():
    machine = Machine(cost_per_s=0.45)
    wait_s = None
    while wait_s is None:
        try:
            machine.arrive(2.4, 4.0, *[7.0] * 4)
        except EngineBusy as busy:
            wait_s = busy.retry_after_s
        machine.run(until=machine.clock.now + 0.05)
    machine.run(until=machine.clock.now + wait_s)
    late = machine.arrive(2.4, 4.0, *[7.0] * 4)
    machine.run()
    assert machine.late[late] <= 0


def test_a_lone_listener_is_never_refused_even_on_a_slow_machine():
    machine = Machine(cost_per_s=3.0)
    assert machine.arrive(*[5.0] * 10).release_at == machine.clock.now


def test_streams_are_bounded():
    machine = Machine(workers=1_000, cost_per_s=0.001)
    for _ in range(MAX_STREAMS):
        machine.force(1.0)
    with pytest.raises(EngineBusy):
        machine.arrive(1.0)


def test_the_pace_follows_the_machine():
    pace = Pace()
    for _ in range(60):
        pace.learn_cost(took_s=4.05, sound_s=4.0)
        pace.learn_length(text="Une phrase de quarante signes environ ici.", sound_s=4.0, speed=1.0)
    assert pace.cost_per_s == pytest.approx(1.0, rel=0.05)
    assert pace.sound_s("Une phrase de quarante signes environ ici.", 2.0) == pytest.approx(2.0, rel=0.05)


def test_figures_take_longer_to_say_than_letters():
    assert spoken_units("1234567890") > 2 * spoken_units("abcdefghij")
    assert spoken_units("你好你好你好") > spoken_units("bonbon")


def test_a_listener_who_pauses_keeps_nobody_out():
    machine = Machine(workers=2, cost_per_s=0.4)
    paused = machine.arrive(*[5.0] * 40)
    machine.run(until=machine.clock.now + 4)
    machine.paused.add(paused)
    machine.run()
    assert paused.ahead_s(paused.in_order) >= AHEAD_S
    machine.clock.now += 50
    newcomer = machine.arrive(3.0, 5.0, 5.0)
    assert newcomer.release_at == machine.clock.now
    machine.run()
    assert machine.late[newcomer] < 0


def test_the_workers_go_on_while_a_newcomer_is_thought_about():
    speaking = threading.Event()
    pool = WorkerPool(
        workers=1, speak=lambda job: speaking.wait(30) and 1.0, failed=lambda stream, error: None
    )

    class Sounds(list):
        """Lengths that are only told while the pool answers others."""

        def __iter__(self):
            other = threading.Thread(target=lambda: pool.is_busy, daemon=True)
            other.start()
            other.join(5)
            assert not other.is_alive()
            return super().__iter__()

    try:
        pool.add([1.0, 1.0], lambda stream: None)
        pool.add(Sounds([1.0, 1.0]), lambda stream: None)
    finally:
        speaking.set()
        pool.close()
