"""Work that goes on beside the thread of a job, which alone reports progress."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event
from typing import Any, Generic, TypeVar

from dbadmin.exceptions import Cancelled
from dbadmin.progress import Progress, Silent

Result = TypeVar("Result")
POLL_SECONDS = 0.1


@contextlib.contextmanager
def beside(work: Callable[[Progress], Result]) -> Iterator[Beside[Result]]:
    """Do ``work`` in a thread of its own during the block; it has ended when the block is left, however that is left.

    What it is given shows nothing, and raises ``Cancelled`` at the next check once the block has been left. It must
    not use the catalogue: connections to that belong to the job's thread.
    """
    left = Event()
    with ThreadPoolExecutor(max_workers=1) as pool:
        try:
            yield Beside(pool.submit(work, _Until(left)))
        finally:
            left.set()


def wait_for(futures: Iterable[Future[Any]], progress: Progress) -> None:
    """Return when all have ended, however they did; ``Cancelled`` when the job is."""
    while wait(tuple(futures), timeout=POLL_SECONDS).not_done:
        progress.check()


@dataclass(frozen=True)
class Beside(Generic[Result]):
    """Work that may still be going on."""

    _future: Future[Result]

    def result(self, progress: Progress) -> Result:
        """Wait for the end; return what the work returned, or raise what it raised. ``Cancelled`` when the job is."""
        wait_for([self._future], progress)
        return self._future.result()


@dataclass(frozen=True)
class _Until(Silent):
    left: Event

    def check(self) -> None:
        if self.left.is_set():
            raise Cancelled
