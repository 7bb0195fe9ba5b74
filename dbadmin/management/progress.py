"""Progress on a terminal: one line that is written over, and the lines of the log above it."""

from __future__ import annotations

import time
from typing import TextIO

from dbadmin.progress import Progress, Silent
from dbadmin.text import Text

REFRESH_SECONDS = 0.2
WIDTH = 79


class Terminal:
    """A ``Progress`` for a person who watches."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._phase, self._total, self._unit = "", 0, "bytes"
        self._drawn_at = 0.0

    def phase(self, name: Text, *, total: int | None = None, unit: str = "bytes") -> None:
        """Begin a phase on a line of its own."""
        if self._phase:
            self._stream.write("\n")
        self._phase, self._total, self._unit = str(name), total or 0, unit
        self._draw("")

    def update(self, done: int, *, current: str = "") -> None:
        """Draw the line anew, a few times a second."""
        if time.monotonic() - self._drawn_at >= REFRESH_SECONDS:
            share = f"{min(100, 100 * done // self._total)} %" if self._total else _amount(done, self._unit)
            self._draw(f"{share} {current}")

    def log(self, line: Text, *, level: str = "info") -> None:
        """Print a line above."""
        self._stream.write(f"\r{f'{level}: {line}':<{WIDTH}}\n")

    def check(self) -> None:
        """Ctrl-C arrives as KeyboardInterrupt."""

    def process(self, pid: int | None) -> None:
        """Nobody has to know."""

    def _draw(self, figures: str) -> None:
        self._drawn_at = time.monotonic()
        self._stream.write(f"\r{f'{self._phase}  {figures}'[:WIDTH]:<{WIDTH}}")
        self._stream.flush()


def for_stream(stream: TextIO) -> Progress:
    """Return progress for a terminal; silence where nobody watches, such as in cron's mail."""
    return Terminal(stream) if stream.isatty() else Silent()


def _amount(done: int, unit: str) -> str:
    return f"{done / 1_000_000:.1f} MB" if unit == "bytes" else f"{done} {unit}"
