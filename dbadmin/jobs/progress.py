"""The progress of a job, written to its row at most once a second."""

from __future__ import annotations

import time
from typing import Any

from django.db import InterfaceError, OperationalError, connection

from dbadmin.exceptions import Cancelled, DeadlinePassed
from dbadmin.jobs.lease import Lease
from dbadmin.models import Job, JobLogLine
from dbadmin.process import start_time
from dbadmin.progress import Progress, Silent
from dbadmin.text import Text

WRITE_SECONDS = 1.0
SMOOTHING = 0.3


class JobProgress:
    """What happens goes to the row of ``job`` and to ``echo``; ``Cancelled`` comes from ``lease``.

    A catalogue that is away for a while does not stop the work: what could not be written is written later.
    """

    def __init__(self, job: Job, lease: Lease, echo: Progress | None = None) -> None:
        self._job = job
        self._lease = lease
        self._echo = echo or Silent()
        self._lines: list[JobLogLine] = []
        self._changes: dict[str, Any] = {}
        self._written_at = 0.0
        self._measured = (time.monotonic(), 0)
        self._rate = 0.0

    def phase(self, name: Text, *, total: int | None = None, unit: str = "bytes") -> None:
        """Begin a phase; it is a line of the log, too."""
        self._changes = {"phase": name, "done": 0, "total": total, "unit": unit, "current": "", "rate": 0.0}
        self._measured, self._rate = (time.monotonic(), 0), 0.0
        self._lines.append(JobLogLine.of(self._job, name, "info"))
        self._echo.phase(name, total=total, unit=unit)
        self._write_when_due()

    def update(self, done: int, *, current: str = "") -> None:
        """Note the figures."""
        self._changes |= {"done": done, "current": current[:300]}
        self._echo.update(done, current=current)
        self._write_when_due()

    def log(self, line: Text, *, level: str = "info") -> None:
        """Note a line."""
        self._lines.append(JobLogLine.of(self._job, line, level))
        self._echo.log(line, level=level)
        self._write_when_due()

    def check(self) -> None:
        """Raise when the job was cancelled, is over its deadline, or given up by a reaper that took us for dead."""
        if self._lease.overdue.is_set():
            raise DeadlinePassed(self._job.params.get("deadline_minutes", 0))
        if self._lease.cancelled.is_set() or self._lease.lost.is_set():
            raise Cancelled
        self._write_when_due()

    def process(self, pid: int | None) -> None:
        """Write at once which process group works for the job, so that a reaper can end it."""
        self._changes |= {"process_id": pid, "process_started": start_time(pid) if pid else ""}
        self.write()

    def write(self) -> None:
        """Write what is noted, now, on a connection that works: the work itself uses it, too, and would break."""
        self._written_at = time.monotonic()
        if not connection.in_atomic_block and not connection.is_usable():
            connection.close()
        self._note_rate()
        try:
            if self._changes:
                Job.objects.filter(pk=self._job.pk).update(**self._changes)
                self._changes = {}
            JobLogLine.objects.bulk_create(self._lines)
            self._lines = []
        except (OperationalError, InterfaceError):
            connection.close()

    def _write_when_due(self) -> None:
        if time.monotonic() - self._written_at >= WRITE_SECONDS:
            self.write()

    def _note_rate(self) -> None:
        if "done" not in self._changes:
            return
        now, done = time.monotonic(), int(self._changes["done"])
        before, measured = self._measured
        if now - before >= WRITE_SECONDS:
            rate = max(0, done - measured) / (now - before)
            self._rate = SMOOTHING * rate + (1 - SMOOTHING) * self._rate if self._rate else rate
            self._measured = (now, done)
        self._changes["rate"] = self._rate
