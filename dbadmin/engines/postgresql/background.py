"""Queries that may take long, run beside the calling thread, which stays free to report and to be cancelled."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import psycopg

from dbadmin.engines.postgresql.sessions import Session
from dbadmin.exceptions import DbadminError
from dbadmin.progress import Progress

Result = TypeVar("Result")
POLL_SECONDS = 0.1


class Background(threading.Thread, Generic[Result]):
    """One piece of work in one session; what goes wrong is raised in the thread that asks."""

    def __init__(self, session: Session, work: Callable[[], Result]) -> None:
        super().__init__(daemon=True)
        self._session = session
        self._work = work
        self._results: list[Result] = []
        self._failure: psycopg.Error | DbadminError | None = None

    def run(self) -> None:
        """Do the work."""
        try:
            self._results.append(self._work())
        except (psycopg.Error, DbadminError) as error:
            self._failure = error

    def check(self) -> None:
        """Raise what went wrong, if something did."""
        if self._failure is not None:
            raise self._failure

    def result(self, progress: Progress, on_poll: Callable[[], None] | None = None) -> Result:
        """Wait for the end and return what the work returned; ``Cancelled`` when the job is."""
        while self.is_alive():
            progress.check()
            if on_poll is not None:
                on_poll()
            self.join(POLL_SECONDS)
        self.check()
        return self._results[0]

    def stop(self) -> None:
        """End it early and wait until it has ended."""
        while self.is_alive():
            with contextlib.suppress(psycopg.Error):
                self._session.cancel_safe(timeout=2)
            self.join(0.5)


@contextlib.contextmanager
def background(session: Session, work: Callable[[], Result]) -> Iterator[Background[Result]]:
    """Run ``work`` beside the block; it has ended when the block is left, however that is left."""
    running = Background(session, work)
    running.start()
    try:
        yield running
    finally:
        running.stop()


def wait_for(session: Session, work: Callable[[], Result], progress: Progress) -> Result:
    """Do ``work``, which uses only ``session``, and return its result; ends early with ``Cancelled``."""
    with background(session, work) as running:
        return running.result(progress)
