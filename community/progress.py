"""Show how far a long command is, in one line of the terminal."""

import sys
import time
from typing import TextIO

WIDTH = 30
EVERY_SECONDS = 0.2


class Progress:
    """Draw a bar on a terminal, and a line at the end anywhere. With an unknown total, count only."""

    def __init__(self, label: str, total: int = 0, out: TextIO | None = None):
        self.label, self.total, self.out = label, total, out or sys.stderr
        self.started = self.drawn = time.monotonic()

    def show(self, done: int, note: str = "") -> None:
        """Draw the state, at most five times a second."""
        if self.is_due or (self.out.isatty() and done == self.total):
            self.drawn = time.monotonic()
            self.out.write(f"\r{self._line(done, note)}\033[K")
            self.out.flush()

    @property
    def is_due(self) -> bool:
        """Say whether somebody is there to see it, and the last drawing is old enough."""
        return self.out.isatty() and time.monotonic() - self.drawn >= EVERY_SECONDS

    def finish(self, done: int, note: str = "") -> None:
        """Write the last state and leave the line."""
        self.out.write(f"{chr(13) if self.out.isatty() else ''}{self._line(done, note)}\n")
        self.out.flush()

    def _line(self, done: int, note: str) -> str:
        seconds = time.monotonic() - self.started
        count = f"{done:,}".replace(",", "\u202f")
        parts = [f"{count} en {seconds:.0f}\u00a0s", note]
        if self.total:
            filled = WIDTH * done // self.total
            parts.insert(0, f"[{'█' * filled}{'·' * (WIDTH - filled)}] {100 * done // self.total}\u00a0%")
        return f"{self.label}\u00a0: " + " · ".join(filter(None, parts))
