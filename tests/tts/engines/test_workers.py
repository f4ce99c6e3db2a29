"""What a pool of workers tells of its load."""

import threading

from tts.engines.workers import Load, WorkerPool


def test_it_works():
    begun, may_end = threading.Event(), threading.Event()

    def speak(job):
        begun.set()
        assert may_end.wait(10)
        return 1.0

    pool = WorkerPool(workers=1, speak=speak, failed=lambda stream, error: None)
    assert pool.load == Load(listeners=0, waiting=0, busy=0, workers=1)
    stream = pool.add([1.0, 1.0, 1.0], attach=lambda stream: None)
    assert begun.wait(10)
    assert pool.load == Load(listeners=1, waiting=2, busy=1, workers=1)
    pool.remove(stream)
    may_end.set()
    pool.close()
    assert pool.load == Load(listeners=0, waiting=0, busy=0, workers=1)
