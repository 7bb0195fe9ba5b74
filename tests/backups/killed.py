"""Work on a job and die by SIGKILL when the progress is told of something for the n-th time."""

from __future__ import annotations

import os
import signal
from typing import Any

from dbadmin import audit
from dbadmin.choices import JobKind
from dbadmin.jobs.foreground import work_on
from dbadmin.models import Database
from dbadmin.progress import Silent
from dbadmin.text import Text


class Killer(Silent):
    """Counts phases, and every sign of life once a switch has begun."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.is_switching = False

    def phase(self, name: Text, *, total: int | None = None, unit: str = "bytes") -> None:
        self.is_switching = self.is_switching or name.msgid in ("Switching", "Ending sessions")
        self.step()

    def log(self, line: Text, *, level: str = "info") -> None:
        self.step()

    def check(self) -> None:
        if self.is_switching:
            self.step()

    def step(self) -> None:
        self.steps -= 1
        if self.steps == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def work(kind: str, slug: str, params: dict[str, Any], steps: int) -> str:
    """For ``tests.jobs.forked``: return what became of the job."""
    database = Database.objects.get(slug=slug)
    job = work_on(JobKind(kind), database, actor=audit.SYSTEM, params=params, echo=Killer(steps))
    return f"{job.state} {job.message} {job.hint} {job.traceback}"
