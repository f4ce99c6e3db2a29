"""What FR02 asks of its machine: a lock between processes, and one sentence when something is missing.

Nothing here needs Django: settings, the launcher and the installer all stand on it.
"""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The status of a program that Ctrl-C ended.
INTERRUPTED = 130


class SetupError(SystemExit):
    """End the program with status 1 and one French sentence on the terminal, without a traceback."""


def say(sentence: str) -> None:
    """Tell the person at the terminal what happens now."""
    print(sentence, file=sys.stderr, flush=True)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Keep other processes that use the same file out of the block. The kernel frees a dead one's lock."""
    handle = open_lock(file)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def open_lock(file: Path) -> int:
    """Return a descriptor to lock on. Reading rights are enough: root and another user can share it."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return os.open(file, os.O_RDONLY | os.O_CREAT, 0o644)
    except OSError as error:
        raise SetupError(f"Impossible d’écrire dans {file.parent}\u00a0: {error.strerror}.") from None
