"""How long work tells what it is doing and learns that it should stop."""

from __future__ import annotations

from typing import Protocol

from dbadmin.text import Text


class Progress(Protocol):
    """Given to every engine and archive call. Methods are cheap; call them as often as there is news.

    They are called from the thread that started the work, never from another one. Each may raise
    ``Cancelled``; the caller cleans up what it began and lets the exception pass.
    """

    def phase(self, name: Text, *, total: int | None = None, unit: str = "bytes") -> None:
        """Begin a phase. ``total`` in ``unit`` (bytes, rows or items); None where it is not known."""

    def update(self, done: int, *, current: str = "") -> None:
        """Say how much of the phase is done, and on which object the work is."""

    def log(self, line: Text, *, level: str = "info") -> None:
        """Add a line to the job's log; level is info, warning or error."""

    def check(self) -> None:
        """Raise ``Cancelled`` when somebody asked the job to stop."""

    def process(self, pid: int | None) -> None:
        """Name the process group that works for this job, so that it can be ended; None when it is gone."""


class Silent:
    """A ``Progress`` that nobody watches."""

    def phase(self, name: Text, *, total: int | None = None, unit: str = "bytes") -> None:
        """Ignore it."""

    def update(self, done: int, *, current: str = "") -> None:
        """Ignore it."""

    def log(self, line: Text, *, level: str = "info") -> None:
        """Ignore it."""

    def check(self) -> None:
        """Never cancel."""

    def process(self, pid: int | None) -> None:
        """Ignore it."""
