"""What became of backups over time: days, weeks, totals and success. Every question is one query, whatever there is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

from django.db import connection
from django.db.models import Count, Max, Min, Q, Sum, TextChoices
from django.utils import timezone

from dbadmin.backups.forecast import MONTH, slope
from dbadmin.backups.going import note_removals
from dbadmin.choices import BackupState, JobKind, JobState, RunState, ScheduleKind, Scope
from dbadmin.models import Backup, Database, Job, ScheduleRun

DAYS, WEEKS = 365, 53
KEPT = (BackupState.AVAILABLE, BackupState.DAMAGED, BackupState.VANISHED)
UNDONE = (JobState.FAILED, JobState.ERRORED, JobState.LOST)
ENDED = (JobState.SUCCEEDED, *UNDONE)

# Index ranges per day, so that neither the rows nor their dates are read.
DAYS_QUERY = """
    WITH days (number, since, until) AS (VALUES {days})
    SELECT days.number,
           (SELECT count(*) FROM dbadmin_backup backup
            WHERE backup.finished_at >= days.since AND backup.finished_at < days.until {of_backup}),
           (SELECT count(*) FROM dbadmin_job job
            WHERE job.kind = '{kind}' AND job.state IN ({undone})
              AND job.created_at >= days.since AND job.created_at < days.until {of_job}),
           (SELECT count(*) FROM dbadmin_schedulerun run
            JOIN dbadmin_schedule schedule ON schedule.id = run.schedule_id AND schedule.kind = '{schedule_kind}'
            WHERE run.state = '{missed}' AND run.due_at >= days.since AND run.due_at < days.until {of_run})
    FROM days ORDER BY days.number
"""
# One seek for each database and week: the newest full backup that was taken in it.
WEEKS_QUERY = """
    WITH weeks (number, since, until) AS (VALUES {weeks})
    SELECT dbase.id, weeks.number,
           (SELECT backup.id FROM dbadmin_backup backup
            WHERE backup.database_id = dbase.id AND backup.scope = '{scope}'
              AND backup.finished_at >= weeks.since AND backup.finished_at < weeks.until
            ORDER BY backup.finished_at DESC LIMIT 1)
    FROM dbadmin_database dbase CROSS JOIN weeks
    WHERE dbase.removed_at IS NULL
"""


@dataclass(frozen=True, kw_only=True)
class Day:
    """How many backups were made, how many failed, and how many moments of schedules passed without one."""

    day: date
    made: int
    failed: int
    missed: int


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Of the backup jobs that ended by themselves, how many succeeded."""

    succeeded: int = 0
    ended: int = 0

    @property
    def percent(self) -> float | None:
        """None where nothing was tried."""
        return 100 * self.succeeded / self.ended if self.ended else None


@dataclass(frozen=True, kw_only=True)
class Total:
    """Backups that are kept: number, bytes, and when the oldest and the newest were finished."""

    count: int = 0
    size: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Trend:
    """Bytes and seconds of the newest full backup of each week, oldest first; None where there was none."""

    sizes: Sequence[int | None]
    seconds: Sequence[float | None]

    @property
    def newest_size(self) -> int | None:
        """Of the newest one."""
        return next((size for size in reversed(self.sizes) if size is not None), None)

    @property
    def newest_seconds(self) -> float | None:
        """Of the newest one."""
        return next((seconds for seconds in reversed(self.seconds) if seconds is not None), None)

    @property
    def per_month(self) -> int | None:
        """Bytes by which a backup is larger than one of a month before; None before two weeks are known."""
        start = date(2000, 1, 3)
        points = [(start + timedelta(weeks=week), size) for week, size in enumerate(self.sizes) if size is not None]
        per_day = slope(points)
        return None if per_day is None else round(per_day * MONTH)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What is said of one database."""

    database: Database
    total: Total
    trend: Trend
    rate_30: Rate
    rate_90: Rate


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """The whole page: by scope, by database, and over all."""

    total: Total
    by_scope: dict[str, Total]
    rows: list[Figures]
    rate_30: Rate
    rate_90: Rate


def calendar(now: datetime, *, database: Database | None = None) -> list[Day]:
    """Return the last 365 days up to today in the present time zone, oldest first; of one database, or of all."""
    days = [timezone.localtime(now).date() - timedelta(days=back) for back in reversed(range(DAYS))]
    bounds = [_moment(_midnight(day)) for day in (*days, days[-1] + timedelta(days=1))]
    of = {f"of_{name}": f"AND {name}.database_id = {int(database.pk)}" if database else "" for name in _TABLES}
    if database:  # every scope, said so that the index of database, scope and time serves
        of["of_backup"] += f" AND backup.scope IN ({_listed(Scope)})"
    query = DAYS_QUERY.format(
        days=_values(DAYS),
        kind=JobKind.BACKUP.value,
        undone=_listed(UNDONE),
        missed=RunState.MISSED.value,
        schedule_kind=ScheduleKind.BACKUP.value,
        **of,
    )
    return [
        Day(day=days[number], made=made, failed=failed, missed=missed)
        for number, made, failed, missed in _rows(query, bounds)
    ]


_TABLES = ("backup", "job", "run")


def gather(now: datetime) -> Statistics:
    """Return everything but the calendar. Six queries."""
    sums, trends, rates = _sums(), _trends(now), _rates(now)
    databases = Database.objects.registered().select_related("application")
    rows = [
        Figures(
            database=database,
            total=_total(total for (pk, _scope), total in sums.items() if pk == database.pk),
            trend=trends.get(database.pk, Trend(sizes=(), seconds=())),
            rate_30=rates[database.pk][0],
            rate_90=rates[database.pk][1],
        )
        for database in databases
    ]
    scopes = {scope: _total(total for (_pk, each), total in sums.items() if each == scope) for scope in Scope.values}
    return Statistics(
        total=_total(sums.values()),
        by_scope={scope: total for scope, total in scopes.items() if total.count},
        rows=rows,
        rate_30=_added(rate for rate, _90 in rates.values()),
        rate_90=_added(rate for _30, rate in rates.values()),
    )


def on_day(day: date, *, database: Database | None = None, limit: int) -> dict[str, list[Any]]:
    """Return the backups, failed jobs and missed moments of a day, at most ``limit`` of each, oldest first."""
    since, until = _midnight(day), _midnight(day + timedelta(days=1))
    of = {"database": database} if database else {}
    backups = Backup.objects.listed().filter(finished_at__gte=since, finished_at__lt=until, **of)
    failed = Job.objects.filter(
        kind=JobKind.BACKUP, state__in=UNDONE, created_at__gte=since, created_at__lt=until, **of
    )
    runs = ScheduleRun.objects.filter(state=RunState.MISSED, due_at__gte=since, due_at__lt=until, **of)
    missed = runs.filter(schedule__kind=ScheduleKind.BACKUP).select_related("schedule", "database__application")
    return {
        "backups": note_removals(backups.order_by("finished_at", "pk")[:limit]),
        "failed": list(
            failed.select_related("database__application").defer("traceback").order_by("created_at")[:limit]
        ),
        "missed": list(missed.order_by("due_at", "pk")[:limit]),
    }


def _sums() -> dict[tuple[int, str], Total]:
    rows = Backup.objects.order_by().filter(state__in=KEPT).values_list("database", "scope")
    summed = rows.annotate(Count("pk"), Sum("size"), Min("finished_at"), Max("finished_at"))
    return {
        (pk, scope): Total(count=count, size=size, oldest=oldest, newest=newest)
        for pk, scope, count, size, oldest, newest in summed
    }


def _total(totals: Iterable[Total]) -> Total:
    found = list(totals)
    return Total(
        count=sum(total.count for total in found),
        size=sum(total.size for total in found),
        oldest=min((total.oldest for total in found if total.oldest), default=None),
        newest=max((total.newest for total in found if total.newest), default=None),
    )


def _rates(now: datetime) -> dict[int, tuple[Rate, Rate]]:
    month, quarter = now - timedelta(days=30), now - timedelta(days=90)
    jobs = Job.objects.order_by().filter(kind=JobKind.BACKUP, state__in=ENDED, created_at__gte=quarter)
    rows = jobs.values_list("state", "database").annotate(
        in_90=Count("pk"), in_30=Count("pk", filter=Q(created_at__gte=month))
    )
    found: dict[int, tuple[Rate, Rate]] = defaultdict(lambda: (Rate(), Rate()))
    for state, pk, in_90, in_30 in rows:
        of_30, of_90 = found[pk]
        good = state == JobState.SUCCEEDED
        found[pk] = (
            Rate(succeeded=of_30.succeeded + good * in_30, ended=of_30.ended + in_30),
            Rate(succeeded=of_90.succeeded + good * in_90, ended=of_90.ended + in_90),
        )
    return found


def _added(rates: Iterable[Rate]) -> Rate:
    found = list(rates)
    return Rate(succeeded=sum(rate.succeeded for rate in found), ended=sum(rate.ended for rate in found))


def _trends(now: datetime) -> dict[int, Trend]:
    bounds = [_moment(now - timedelta(weeks=back)) for back in reversed(range(WEEKS + 1))]
    query = WEEKS_QUERY.format(weeks=_values(WEEKS), scope=Scope.FULL.value)
    weeks = [(pk, number, backup) for pk, number, backup in _rows(query, bounds) if backup is not None]
    backups = Backup.objects.order_by().filter(pk__in=[backup for _pk, _number, backup in weeks])
    known = {pk: (size, end - begin) for pk, size, begin, end in backups.values_list("pk", *_MEASURES)}
    sizes: dict[int, list[int | None]] = defaultdict(lambda: [None] * WEEKS)
    seconds: dict[int, list[float | None]] = defaultdict(lambda: [None] * WEEKS)
    for pk, number, backup in weeks:
        if backup in known:
            sizes[pk][number], seconds[pk][number] = known[backup][0], known[backup][1].total_seconds()
    return {pk: Trend(sizes=found, seconds=seconds[pk]) for pk, found in sizes.items()}


_MEASURES = ("size", "started_at", "finished_at")


def _rows(query: str, bounds: Sequence[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, [value for pair in pairwise(bounds) for value in pair])
        return list(cursor.fetchall())


def _values(count: int) -> str:
    place = "%s::timestamptz" if connection.vendor == "postgresql" else "%s"
    return ", ".join(f"({number}, {place}, {place})" for number in range(count))


def _listed(states: Iterable[TextChoices]) -> str:
    """Quote our own constants."""
    return ", ".join(f"'{state.value}'" for state in states)


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime(day.year, day.month, day.day))


def _moment(moment: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(moment)
