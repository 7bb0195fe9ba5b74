"""Jobs that still wait although a worker tried to begin: it met an error before it could write anything."""

from __future__ import annotations

import logging

from django_tasks_db.models import DBTaskResult, DBTaskResultQuerySet

from dbadmin.choices import JobState
from dbadmin.models import Job

logger = logging.getLogger(__name__)


def could_not_run(job: Job) -> bool:
    """Say whether the job waits and a worker failed to run it, as one does whose files were changed under it."""
    return job.state == JobState.QUEUED and _bells(job.pk).failed().exists()


def report(job_id: int) -> None:
    """Write the newest such error to the log."""
    failed = _bells(job_id).failed().order_by("-finished_at").values_list("exception_class_path", flat=True).first()
    if failed:
        logger.error("Job %s waits: its worker could not run it (%s). Restart dbadmin after an update.", job_id, failed)


def _bells(job_id: int) -> DBTaskResultQuerySet:
    return DBTaskResult.objects.filter(args_kwargs={"args": [job_id], "kwargs": {}})
