"""django-tasks only rings the bell: which queue, and the one task there is."""

from __future__ import annotations

from django_tasks import task

from dbadmin.choices import JobKind

LONG, SHORT = "long", "short"
QUEUES = {
    JobKind.BACKUP: LONG,
    JobKind.RESTORE: LONG,
    JobKind.IMPORT: LONG,
    JobKind.UNDO: LONG,
    JobKind.VERIFY: LONG,
    JobKind.DRILL: LONG,
    JobKind.COMPARE: LONG,
    JobKind.HEALTH: SHORT,
    JobKind.HISTORY: SHORT,
}


@task(queue_name=LONG)
def execute_job(job_id: int) -> None:
    """Work on a job if it is still waiting. Expected failures are written to the job's row, never raised."""
    from dbadmin.jobs.execution import execute  # the execution enqueues retries, which ring this bell

    execute(job_id)


def ring(job_id: int, kind: str) -> None:
    """Wake a worker of the queue that the kind of job belongs to. Ringing twice does no harm."""
    execute_job.using(queue_name=QUEUES[JobKind(kind)]).enqueue(job_id)
