"""Jobs that a command works on itself, with the same row, claim and lease as a worker's."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from dbadmin import audit
from dbadmin.choices import JobKind
from dbadmin.exceptions import Refused
from dbadmin.jobs.execution import run_now
from dbadmin.jobs.queue import enqueue
from dbadmin.models import Database, Job
from dbadmin.progress import Progress
from dbadmin.text import Text


def work_on(
    kind: JobKind,
    database: Database,
    *,
    actor: audit.Actor,
    params: Mapping[str, Any],
    echo: Progress | None = None,
    identities: Sequence[str] = (),
) -> Job:
    """Make a job, work on it in this process, and return it ended; how it ended is in the row.

    ``identities`` are private keys for this job alone. ``Refused`` when such a job is active. Ctrl-C and SIGTERM
    cancel it, clean up and end the program.
    """
    job, created = enqueue(kind, database, actor=actor, params=params, ring=False, identities=identities)
    if not created:
        raise Refused(
            Text("Job {job} does this already.", job=job.pk), Text("Wait until it is over, or cancel it first.")
        )
    with signals_as_exit():
        return run_now(job, echo=echo)


@contextmanager
def signals_as_exit() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C run the cleaning up that an exception runs, and leave without a traceback."""

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
