"""Bells as rows of the catalogue, by django-tasks-db."""

from __future__ import annotations

from datetime import datetime, timedelta

from django_tasks_db.models import DBTaskResult

from dbadmin.jobs.bells.base import Bell

KEEP = timedelta(days=1)


class DatabaseBells:
    """The queue of an installation on one machine."""

    def standing(self) -> set[Bell]:
        """Read the rows that are ready."""
        ready = DBTaskResult.objects.ready().values_list("args_kwargs", "queue_name")
        return {Bell(found["args"][0], queue) for found, queue in ready if found["args"]}

    def failure(self, job_id: int) -> str | None:
        """Read the newest row that failed."""
        failed = DBTaskResult.objects.failed().filter(args_kwargs={"args": [job_id], "kwargs": {}})
        return failed.order_by("-finished_at").values_list("exception_class_path", flat=True).first()

    def require(self) -> None:
        """Nothing: where the catalogue answers, this queue does."""

    def prune(self, now: datetime) -> None:
        """Delete rows after a day; those of workers that died while they worked after a week."""
        DBTaskResult.objects.finished().filter(finished_at__lt=now - KEEP).delete()
        # A worker that died leaves its bell running for ever; the job behind it has been reaped long ago.
        DBTaskResult.objects.running().filter(started_at__lt=now - 7 * KEEP).delete()
