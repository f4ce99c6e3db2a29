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
        now = time.monotonic()
        if self.out.isatty() and (now - self.drawn >= EVERY_SECONDS or done == self.total):
            self.drawn = now
            self.out.write(f"\r{self._line(done, note)}\033[K")
            self.out.flush()

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
