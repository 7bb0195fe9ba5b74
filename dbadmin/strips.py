"""Thirty days of backups per database: was one made, did one fail."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

from django.db import connection
from django.db.models import TextChoices
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from dbadmin.charts import Day
from dbadmin.choices import BackupState, JobKind, JobState

DAYS = 30
# An index probe per database and day, so that the cost does not grow with the number of backups.
QUERY = """
    WITH days (number, since, until) AS (VALUES {days})
    SELECT database.id,
           days.number,
           EXISTS (
               SELECT 1
               FROM dbadmin_backup backup
               WHERE backup.database_id = database.id
                 AND backup.state IN ({states})
                 AND backup.finished_at >= days.since
                 AND backup.finished_at < days.until
           ),
           EXISTS (
               SELECT 1
               FROM dbadmin_job job
               WHERE job.database_id = database.id
                 AND job.kind = '{kind}'
                 AND job.state IN ({failed})
                 AND job.created_at >= days.since
                 AND job.created_at < days.until
           )
    FROM dbadmin_database database
    CROSS JOIN days
    WHERE database.removed_at IS NULL
    ORDER BY database.id, days.number
"""


def strips(now: datetime) -> dict[int, list[Day]]:
    """Return, for each registered database, the days up to today in the present time zone, oldest first."""
    days = _days(now)
    found: dict[int, list[Day]] = defaultdict(list)
    drawn = functools.cache(lambda number, made, failed: _day(days[number], made=made, failed=failed))
    with connection.cursor() as cursor:
        cursor.execute(_query(), [value for since, until in _bounds(days) for value in (since, until)])
        for database_id, number, made, failed in cursor.fetchall():
            found[database_id].append(drawn(number, bool(made), bool(failed)))
    return found


def _query() -> str:
    values = ", ".join(f"({number}, {_moment()}, {_moment()})" for number in range(DAYS))
    failed = (JobState.FAILED, JobState.ERRORED, JobState.LOST)
    return QUERY.format(days=values, states=_listed(BackupState), kind=JobKind.BACKUP.value, failed=_listed(failed))


def _moment() -> str:
    return "%s::timestamptz" if connection.vendor == "postgresql" else "%s"


def _listed(states: Iterable[TextChoices]) -> str:
    """Quote our own constants."""
    return ", ".join(f"'{state.value}'" for state in states)


def _days(now: datetime) -> list[date]:
    today = timezone.localtime(now).date()
    return [today - timedelta(days=back) for back in reversed(range(DAYS))]


def _bounds(days: list[date]) -> list[tuple[Any, Any]]:
    starts = [_midnight(day) for day in (*days, days[-1] + timedelta(days=1))]
    return list(pairwise(starts))


def _midnight(day: date) -> Any:
    moment = timezone.make_aware(datetime(day.year, day.month, day.day))
    return connection.ops.adapt_datetimefield_value(moment)


def _day(day: date, *, made: bool, failed: bool) -> Day:
    words, colour = {
        (True, False): (_("{day}: backed up"), "green"),
        (True, True): (_("{day}: backed up, after a failure"), "yellow"),
        (False, True): (_("{day}: failed"), "red"),
        (False, False): (_("{day}: no backup"), "none"),
    }[made, failed]
    return Day(title=words.format(day=date_format(day, "Y-m-d")), colour=colour)
