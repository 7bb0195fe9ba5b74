"""Work on one job: claim, lease, handler, and an ending in every case."""

from __future__ import annotations

import time
import traceback
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, connections

from dbadmin.archives.encryption import offered
from dbadmin.choices import JobKind, JobState
from dbadmin.exceptions import Cancelled, DbadminError, DeadlinePassed, Refused
from dbadmin.jobs import bell, queue
from dbadmin.jobs.handlers import HANDLERS
from dbadmin.jobs.lease import LEASE, Lease, Worker
from dbadmin.jobs.presence import listens_to
from dbadmin.jobs.progress import JobProgress
from dbadmin.models import Job
from dbadmin.progress import Progress
from dbadmin.text import Text, verbatim


def execute(job_id: int) -> None:
    """Work on a job if it is waiting, in a worker. Every failure ends in the row; nothing is raised."""
    try:
        if _belongs_here(job_id) and (job := queue.claim(job_id, Worker.current())):
            _work_until_told(job)
    finally:
        # The worker marks its own row next. On a connection that died meanwhile this would end the worker.
        connections.close_all()


def run_now(job: Job, *, echo: Progress | None = None) -> Job:
    """Work on a waiting job in this process, telling ``echo``, and return it ended.

    ``Refused`` when a worker has taken it already. Failures are in the row: see ``state``, ``message``, ``hint``.
    """
    claimed = queue.claim(job.pk, Worker.current())
    if claimed is None:
        raise Refused(Text("Another process works on job {job} already.", job=job.pk))
    try:
        _work(claimed, echo)
    except (SystemExit, KeyboardInterrupt):
        queue.finish(claimed, JobState.CANCELLED, message=Cancelled().message)
        raise
    claimed.refresh_from_db()
    return claimed


def _belongs_here(job_id: int) -> bool:
    """Look whether its database is still at a site of this worker; if not, have one of its own site woken."""
    job = Job.objects.select_related("database").filter(pk=job_id, state=JobState.QUEUED).first()
    if job is None:
        return False
    if listens_to(bell.queue_of(job.kind, job.database.site)):
        return True
    bell.ring(job)
    return False


def _work_until_told(job: Job) -> None:
    try:
        _work(job)
    except (SystemExit, KeyboardInterrupt):
        _interrupted(job)
        raise


def _work(job: Job, echo: Progress | None = None) -> None:
    with Lease(job) as lease:
        progress = JobProgress(job, lease, echo)
        try:
            ending = _ending(job, progress)
        finally:
            progress.write()
        _finish(job, ending)


def _ending(job: Job, progress: JobProgress) -> dict[str, Any]:
    try:
        with offered(queue.identities_of(job)):
            message = HANDLERS[JobKind(job.kind)](job, progress)
    except DeadlinePassed as error:
        return {"state": JobState.FAILED, "message": error.message, "hint": error.hint, "error_class": error.label}
    except Cancelled as error:
        return {"state": JobState.CANCELLED, "message": error.message}
    except DbadminError as error:
        for line in getattr(error, "output", ()):
            progress.log(verbatim(line), level="error")
        return {
            "state": JobState.FAILED,
            "message": error.message,
            "hint": error.hint,
            "error_class": error.label,
        }
    except Exception as error:
        return _internal(error)
    return {"state": JobState.SUCCEEDED, "message": message}


def _internal(error: Exception) -> dict[str, Any]:
    return {
        "state": JobState.ERRORED,
        "message": Text("An internal error: {error}.", error=type(error).__name__),
        "hint": Text("Report it with the traceback, which superusers see on this page."),
        "error_class": type(error).__name__[:50],
        "traceback": _traceback(error),
    }


def _traceback(error: BaseException) -> str:
    """Without locals, in which secrets may be, and without the path of the installation."""
    return "".join(traceback.format_exception(error)).replace(f"{settings.BASE_DIR}/", "")


def _finish(job: Job, ending: dict[str, Any]) -> None:
    """Write the ending, waiting as long as the lease for a catalogue that is away; then it is the reaper's."""
    until = time.monotonic() + LEASE.total_seconds()
    while True:
        try:
            queue.finish(job, **ending)
            return
        except (OperationalError, InterfaceError):
            connection.close()
            if time.monotonic() > until:
                raise
            time.sleep(1)


def _interrupted(job: Job) -> None:
    """The process was told to end. What the job began is cleaned up already; it is repeated where it may be."""
    job.refresh_from_db()
    if queue.lose(
        job,
        Text("The worker was stopped while it worked on this job."),
        hint=Text("What was half done has been removed. A backup is repeated once by itself."),
    ):
        queue.repeat(job)
