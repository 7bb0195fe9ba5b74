"""What the first page says, gathered with a constant number of queries whatever the catalogue holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Case, OuterRef, Subquery, Value, When
from django.utils import timezone

from dbadmin.charts import Day
from dbadmin.choices import JobKind, JobState, ScheduleKind, Verdict
from dbadmin.jobs.schedules import targets
from dbadmin.models import Application, CheckResult, Database, Finding, Job, MigrationStatus, Schedule, Storage
from dbadmin.models.job import WRITERS
from dbadmin.reach import Reach, reach, with_newest
from dbadmin.strips import strips
from dbadmin.timetable import is_known

WORST_FIRST = (Verdict.CRITICAL, Verdict.WARNING, Verdict.UNKNOWN, Verdict.OK)
UNMENDED = (JobState.FAILED, JobState.ERRORED, JobState.LOST)
ENDED = (JobState.SUCCEEDED, *UNMENDED)
# The checks that a page mends; whether the others are mended is found out by checking again.
MENDS_FINDING = {"backup_freshness": "backup-run", "schedule": "schedule-add"}
MENDED_BY: dict[str, str] = {
    JobKind.BACKUP: "backup-run",
    JobKind.HEALTH: "health-run",
    JobKind.HISTORY: "migrations-read",
}


@dataclass(kw_only=True)
class Row:
    """What the overview shows of one database."""

    database: Database
    newest_id: int | None
    newest_at: datetime | None
    verdict: Verdict
    heads: list[str]
    days: list[Day]
    now: datetime
    reach: Reach
    active: Job | None = None
    restore_seconds: float | None = None
    is_doubtful: bool = False
    next_backup_at: datetime | None = None

    @property
    def is_overdue(self) -> bool:
        """The newest backup that can be read now is older than it may be. Without one, or a limit, it is not."""
        limit, newest = self.database.backup_age_hours, self.reach.finished_at
        return bool(limit and newest and self.now - newest > timedelta(hours=limit))


@dataclass(frozen=True, kw_only=True)
class Attention:
    """What needs somebody: an open finding, or the newest job of its kind that failed."""

    database: Database
    verdict: Verdict
    since: datetime
    finding: Finding | None = None
    job: Job | None = None

    @property
    def mends_by(self) -> str:
        """The name of the page that mends it; empty where only a person can."""
        if self.job:
            return MENDED_BY.get(self.job.kind, "")
        return MENDS_FINDING.get(self.finding.check_id, "health-run") if self.finding else "health-run"


@dataclass(frozen=True, kw_only=True)
class Overview:
    """All rows, and the answers drawn from them."""

    rows: list[Row]
    attention: list[Attention] = field(default_factory=list)
    active: list[Job] = field(default_factory=list)

    @property
    def without_backup(self) -> list[Row]:
        """Databases that could not be brought back at all."""
        return [row for row in self.rows if row.newest_at is None]

    @property
    def doubtful(self) -> list[Row]:
        """Databases of which the newest drill says that they may not come back as they were."""
        return [row for row in self.rows if row.is_doubtful]

    @property
    def cut_off(self) -> list[Row]:
        """Databases of which the newest backup lies only in storages that cannot be read now."""
        return [row for row in self.rows if row.reach.away]

    @property
    def unreachable(self) -> list[Row]:
        """Those of which no older backup can be read either."""
        return [row for row in self.cut_off if row.reach.backup is None]

    @property
    def away(self) -> list[Storage]:
        """These storages."""
        return sorted({storage for row in self.rows for storage in row.reach.away}, key=lambda each: each.name)

    @property
    def closed(self) -> list[Row]:
        """Databases whose newest backup at hand this server cannot read: they come back with a key file only."""
        return [row for row in self.rows if row.reach.keys]

    @property
    def keys(self) -> list[str]:
        """What the keys are called whose private halves are wanted for these, and not here."""
        return sorted({key for row in self.rows for key in row.reach.keys})

    @property
    def overdue(self) -> list[Row]:
        """Databases of which more would be lost than is allowed."""
        return [row for row in self.rows if row.is_overdue]

    @property
    def oldest(self) -> datetime | None:
        """The time of the newest backup at hand of the database whose is oldest: how much would be lost at most."""
        return min((row.reach.finished_at for row in self.rows if row.reach.finished_at), default=None)

    @property
    def measured(self) -> list[Row]:
        """Databases whose restore a drill has measured."""
        return [row for row in self.rows if row.restore_seconds is not None]

    @property
    def restore_time(self) -> timedelta | None:
        """How long it would take to bring back all that was measured, one after the other."""
        seconds = [row.restore_seconds for row in self.measured if row.restore_seconds is not None]
        return timedelta(seconds=sum(seconds)) if seconds else None

    @property
    def slow(self) -> list[Row]:
        """Databases whose restore takes longer than is acceptable."""
        return [row for row in self.measured if (row.restore_seconds or 0) > 60 * row.database.restore_minutes]

    @property
    def applications(self) -> dict[Application, list[Row]]:
        """The rows by application, both in order of name."""
        grouped: dict[Application, list[Row]] = defaultdict(list)
        for row in self.rows:
            grouped[row.database.application].append(row)
        return dict(grouped)


def gather() -> Overview:
    """Read everything the overview shows. At most fifteen queries, each served by an index."""
    now = timezone.now()
    databases = list(with_newest(Database.objects.registered().select_related("application")))
    active = active_jobs()
    verdicts, heads, days = worst_verdicts(), schema_heads(), strips(now)
    coming, reached = next_backups(), reach(databases)
    by_database = {job.database_id: job for job in active}
    rows = [
        Row(
            database=database,
            newest_id=getattr(database, "newest_id", None),
            newest_at=getattr(database, "newest_at", None),
            verdict=verdicts.get(database.pk, Verdict.UNKNOWN),
            heads=heads.get(database.pk, []),
            days=days.get(database.pk, []),
            now=now,
            active=by_database.get(database.pk),
            restore_seconds=getattr(database, "restore_seconds", None),
            is_doubtful=bool(getattr(database, "is_doubtful", False)),
            next_backup_at=coming.get(database.pk),
            reach=reached[database.pk],
        )
        for database in databases
    ]
    return Overview(rows=rows, attention=needs_attention(databases), active=active)


def active_jobs() -> list[Job]:
    """Return what waits and what runs now, the running first."""
    jobs = Job.objects.active().select_related("database__application").defer("traceback", "params")
    return list(jobs.order_by(Case(When(state=JobState.RUNNING, then=Value(0)), default=Value(1)), "pk"))


def next_backups() -> dict[int, datetime]:
    """Return when a schedule backs up each database next; those that none covers are missing."""
    enabled = Schedule.objects.filter(enabled=True, kind=ScheduleKind.BACKUP, next_due_at__isnull=False)
    needed = enabled.only("target", "application_id", "label", "next_due_at", "time_zone").order_by("-next_due_at")
    schedules = [each for each in needed if is_known(each.time_zone)]
    covered = targets(schedules)
    return {pk: each.next_due_at for each in schedules if each.next_due_at for pk in covered[each.pk]}


def worst_verdicts() -> dict[int, Verdict]:
    """Return the worst answer of each database that was ever checked; skipped checks say nothing."""
    results = CheckResult.objects.filter(database__removed_at=None).order_by()
    answers: dict[int, set[str]] = defaultdict(set)
    for database_id, verdict in results.values_list("database_id", "verdict").distinct():
        answers[database_id].add(verdict)
    return {database_id: worst(found) for database_id, found in answers.items()}


def worst(verdicts: Iterable[str]) -> Verdict:
    """Return the worst of some verdicts; unknown when none of them says anything."""
    found = set(verdicts)
    return next((verdict for verdict in WORST_FIRST if verdict in found), Verdict.UNKNOWN)


def schema_heads() -> dict[int, list[str]]:
    """Return the heads of each database, of whichever tools it uses."""
    heads: dict[int, list[str]] = defaultdict(list)
    statuses = MigrationStatus.objects.filter(database__removed_at=None).exclude(head="")
    for database_id, head in statuses.values_list("database_id", "head"):
        heads[database_id].append(head)
    return heads


def needs_attention(databases: Iterable[Database]) -> list[Attention]:
    """Return open findings and failures that no later success has mended, worst and newest first."""
    by_id = {database.pk: database for database in databases}
    found = [*_findings(by_id), *_failures(by_id)]
    return sorted(found, key=lambda entry: (WORST_FIRST.index(entry.verdict), -entry.since.timestamp()))


def _findings(databases: Mapping[int, Database]) -> Iterator[Attention]:
    for finding in Finding.objects.open().filter(database__in=databases):
        verdict = Verdict(finding.verdict)
        if verdict in WORST_FIRST:
            yield Attention(
                database=databases[finding.database_id], verdict=verdict, since=finding.opened_at, finding=finding
            )


def _failures(databases: Mapping[int, Database]) -> Iterator[Attention]:
    """The newest job of each kind that ended by itself, where it failed."""
    ended = Job.objects.filter(database=OuterRef("pk"), state__in=ENDED).order_by("-created_at").values("pk")
    columns = {f"newest_{kind.value}": Subquery(ended.filter(kind=kind)[:1]) for kind in JobKind}
    ids = Database.objects.registered().order_by().annotate(**columns).values_list(*columns)
    jobs = Job.objects.filter(pk__in=[pk for row in ids for pk in row if pk], state__in=UNMENDED).defer("traceback")
    for job in jobs:
        if job.database_id in databases:
            verdict = Verdict.CRITICAL if job.kind in WRITERS else Verdict.WARNING
            since = job.finished_at or job.created_at
            yield Attention(database=databases[job.database_id], verdict=verdict, since=since, job=job)
