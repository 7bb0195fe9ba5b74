"""django-tasks only rings the bell: which queue, and the one task there is."""

from __future__ import annotations

import logging
from functools import cache

from django.conf import settings
from django_tasks import task

from dbadmin.choices import JobKind, JobState
from dbadmin.jobs.bells.base import Bell, Bells, Unreachable
from dbadmin.models import Job

logger = logging.getLogger(__name__)

LONG, SHORT = "long", "short"
QUEUES = {
    JobKind.BACKUP: LONG,
    JobKind.RESTORE: LONG,
    JobKind.IMPORT: LONG,
    JobKind.UNDO: LONG,
    JobKind.VERIFY: LONG,
    JobKind.DRILL: LONG,
    JobKind.COMPARE: LONG,
    JobKind.COPY: LONG,
    JobKind.EXPIRE: LONG,
    JobKind.RECONCILE: LONG,
    JobKind.MAINTENANCE: LONG,
    JobKind.HEALTH: SHORT,
    JobKind.HISTORY: SHORT,
}


@task(queue_name=LONG)
def execute_job(job_id: int) -> None:
    """Work on a job if it is still waiting. Expected failures are written to the job's row, never raised."""
    from dbadmin.jobs.execution import execute  # the execution enqueues retries, which ring this bell

    execute(job_id)


def queue_of(kind: str, site: str = "") -> str:
    """Return the queue for a kind of job of a database at ``site``; empty: one that any worker may take."""
    name = QUEUES[JobKind(kind)]
    return f"{name}@{site}" if site else name


def queues_of(name: str, *, site: str, also_general: bool = False) -> tuple[str, ...]:
    """Return what a worker for ``name`` (long or short) at ``site`` listens to, the most urgent first."""
    general = (name,) if also_general or not site else ()
    return (f"{name}@{site}", *general) if site else general


def ring(job: Job) -> bool:
    """Wake a worker of the queue that the job belongs to. Ringing twice does no harm.

    False while the queue does not answer: the job waits, and the clock rings again, see ``standing``.
    """
    try:
        execute_job.using(queue_name=queue_of(job.kind, job.database.site)).enqueue(job.pk)
    except Unreachable as error:
        logger.error("Job %s waits: %s", job.pk, error)
        return False
    return True


def standing() -> set[Bell]:
    """Return the bells that nobody has heard yet. ``Unreachable`` when the queue does not answer."""
    return bells().standing()


def could_not_run(job: Job) -> bool:
    """Say whether the job waits and a worker failed to run it, as one does whose files were changed under it."""
    return job.state == JobState.QUEUED and bells().failure(job.pk) is not None


def report(job_id: int) -> None:
    """Write to the log with which error a worker failed to run a job that still waits, where one did."""
    if failed := bells().failure(job_id):
        logger.error("Job %s waits: its worker could not run it (%s). Restart dbadmin after an update.", job_id, failed)


@cache
def bells() -> Bells:
    """Return the queue of this installation."""
    if settings.REDIS_URL:
        from dbadmin.jobs.bells.redis import RedisBells  # of an optional package

        return RedisBells()
    from dbadmin.jobs.bells.database import DatabaseBells

    return DatabaseBells()
