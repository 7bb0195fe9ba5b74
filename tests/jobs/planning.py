"""Schedules saved at given moments, and jobs that end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from dbadmin.jobs.schedules import save_schedule
from dbadmin.models import Job, Schedule, ScheduleRun
from dbadmin.text import Text

NIGHT = datetime(2026, 3, 2, 3, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def planned(*, saved_at: datetime = NIGHT - HOUR, **fields: Any) -> Schedule:
    schedule = Schedule(**{"name": "nightly", "target": "all", "expression": "0 3 * * *"} | fields)
    save_schedule(schedule, saved_at)
    return schedule


def end(job: Job, state: str = "succeeded", *, at: datetime, message: str = "") -> None:
    Job.objects.filter(pk=job.pk).update(state=state, finished_at=at, message=Text(message))


def states() -> list[str]:
    return list(ScheduleRun.objects.order_by("due_at", "database_id").values_list("state", flat=True))


def only_run() -> ScheduleRun:
    return ScheduleRun.objects.get()
