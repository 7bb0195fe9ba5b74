"""A backup of the catalogue as it is now, asked for because those that exist are of no use for something any more."""

from __future__ import annotations

from typing import Any

from dbadmin import audit
from dbadmin.choices import JobKind, JobState, ScheduleKind, Scope
from dbadmin.exceptions import Refused
from dbadmin.jobs.queue import enqueue
from dbadmin.jobs.schedule_runs import backup_params
from dbadmin.models import Database, Job, Schedule, Storage


def catalogue() -> Database | None:
    """Return the database that is our own catalogue; None where it is not on the dashboard."""
    return Database.objects.registered().filter(is_catalogue=True).first()


def queue_backup(database: Database) -> Job | None:
    """Return the job that will back it up in full, to where its schedule does or else to the default storage.

    None when there is no such storage, and when something is at work on it: what a backup has begun to read may be
    what was there before.
    """
    if (params := _params(database)) is None:
        return None
    try:
        job, is_new = enqueue(JobKind.BACKUP, database, actor=audit.from_shell(), params=params)
    except Refused:
        return None
    return job if is_new or job.state == JobState.QUEUED else None


def _params(database: Database) -> dict[str, Any] | None:
    daily = Schedule.objects.covering(database).filter(enabled=True, kind=ScheduleKind.BACKUP, scope=Scope.FULL)
    for schedule in daily.order_by("pk"):
        params = backup_params(schedule)
        if params["storages"]:
            return params
    has_default = Storage.objects.registered().filter(is_default=True).exists()
    return {"scope": Scope.FULL.value} if has_default else None
