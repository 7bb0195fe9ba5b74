"""What the list of schedules says: what runs when, what came of it, and what nobody has mended yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from operator import or_

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.utils.translation import gettext as _

from dbadmin.charts import Day
from dbadmin.choices import RunState, ScheduleKind, ScheduleTarget, Scope
from dbadmin.exceptions import DbadminError
from dbadmin.models import Backup, Database, Schedule, ScheduleRun
from dbadmin.templatetags.schedules import clock
from dbadmin.text import Text
from dbadmin.timetable.words import TEMPLATES, sentence

MOMENTS = 14
NAMED = 3
MOST_SCHEDULES = 100
UNMENDED = (RunState.FAILED, RunState.MISSED)
# The state that stands for a moment is the first of these that any of its databases has.
COLOURS = {
    RunState.MISSED: "red",
    RunState.FAILED: "red",
    RunState.SKIPPED: "yellow",
    RunState.ACTIVE: "blue",
    RunState.WAITING: "none",
    RunState.SUCCEEDED: "green",
}


@dataclass(frozen=True, kw_only=True)
class Unmended:
    """A schedule whose newest run failed or was missed for some of its databases."""

    schedule: Schedule
    runs: list[ScheduleRun] = field(default_factory=list)

    @property
    def missed(self) -> int:
        """How many of them were not even started."""
        return sum(run.state == RunState.MISSED for run in self.runs)

    @property
    def failed(self) -> int:
        """How many of them were tried in vain."""
        return len(self.runs) - self.missed

    @property
    def newest(self) -> ScheduleRun:
        """The last of them."""
        return max(self.runs, key=lambda run: run.due_at)


def unmended() -> list[Unmended]:
    """Return what failed or was missed and was not repeated since, by schedule, the newest first. One query.

    Of paused schedules too, for nothing repeats it by itself then; but a newer full backup mends a backup.
    """
    later = ScheduleRun.objects.filter(
        database=OuterRef("database"), schedule=OuterRef("schedule"), due_at__gt=OuterRef("due_at")
    ).exclude(state=RunState.SKIPPED)
    whole = Backup.objects.read_whole().past().filter(database=OuterRef("database"), scope=Scope.FULL)
    is_made_up_for = Exists(whole.filter(started_at__gt=OuterRef("due_at")))
    runs = (
        ScheduleRun.objects.filter(~Exists(later), state__in=UNMENDED, database__removed_at=None)
        .exclude(is_made_up_for, schedule__enabled=False, schedule__kind=ScheduleKind.BACKUP)
        .select_related("schedule", "database__application", "job")
    )
    found: dict[Schedule, list[ScheduleRun]] = defaultdict(list)
    for run in runs.order_by("-due_at", "database__name"):
        found[run.schedule].append(run)
    return [Unmended(schedule=schedule, runs=its_runs) for schedule, its_runs in found.items()]


def moments(schedules: Iterable[Schedule]) -> dict[int, list[Day]]:
    """Return what came of the last moments of each schedule, oldest first. Two queries for any number of them."""
    ids = [schedule.pk for schedule in schedules]
    runs = _newest_runs(ids)
    if runs is None:
        return {}
    found: dict[int, dict[datetime, dict[str, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    zones = {schedule.pk: schedule.time_zone for schedule in schedules}
    for schedule_id, due_at, state in runs.order_by("due_at").values_list("schedule_id", "due_at", "state"):
        found[schedule_id][due_at][state] += 1
    return {
        pk: [_moment(at, zones[pk], states) for at, states in each.items()][-MOMENTS:] for pk, each in found.items()
    }


def _newest_runs(ids: list[int]) -> QuerySet[ScheduleRun] | None:
    """Narrow to the newest moments by an index range per schedule, so that the cost does not grow with the years."""
    times = ScheduleRun.objects.filter(schedule=OuterRef("pk")).order_by("-due_at").values("due_at").distinct()
    oldest = Schedule.objects.filter(pk__in=ids).annotate(since=Subquery(times[MOMENTS - 1 : MOMENTS]))
    ranges = [
        Q(schedule=pk, due_at__gte=since) if since else Q(schedule=pk)
        for pk, since in oldest.order_by().values_list("pk", "since")
    ]
    return ScheduleRun.objects.filter(reduce(or_, ranges)) if ranges else None


def _moment(at: datetime, zone: str, states: Mapping[str, int]) -> Day:
    worst = next(state for state in COLOURS if states.get(state))
    counted = ", ".join(f"{RunState(state).label} {n}" for state, n in states.items())
    return Day(title=f"{clock(at, zone)}: {counted}", colour=COLOURS[worst])


def schedules_of(database: Database) -> list[Schedule]:
    """Return the schedules that a database falls under, the next one first."""
    rows = Schedule.objects.covering(database).order_by("-enabled", "next_due_at", "name")[:MOST_SCHEDULES]
    return sorted(rows, key=lambda each: (not each.enabled, each.next_due_at is None, str(each.next_due_at)))


def newest_runs(database: Database, schedules: Iterable[Schedule]) -> dict[int, ScheduleRun]:
    """Return the newest run of a database for each schedule. One query, a probe of the index per schedule."""
    runs = ScheduleRun.objects.filter(database=database, schedule=OuterRef("pk")).order_by("-due_at")
    ids = Schedule.objects.filter(pk__in=[each.pk for each in schedules]).values(newest=Subquery(runs.values("pk")[:1]))
    found = ScheduleRun.objects.filter(pk__in=ids.order_by()).select_related("job")
    return {run.schedule_id: run for run in found}


def usual_schedules() -> list[dict[str, object]]:
    """Return what most installations want, for buttons: ``key``, ``label`` and ``when``."""
    return [{"key": each.name, "label": each.label, "when": sentence(each.expression)} for each in TEMPLATES]


def when(schedule: Schedule) -> Text | str:
    """Say the times of a schedule; or why that cannot be said."""
    try:
        return sentence(schedule.expression)
    except DbadminError as error:
        return str(error)


def of_what(schedule: Schedule) -> str:
    """Say which databases a schedule is for. ``databases`` and ``application`` should have been fetched."""
    if schedule.target == ScheduleTarget.ALL:
        return _("all databases")
    if schedule.target == ScheduleTarget.LABEL:
        return _("all with the label “{label}”").format(label=schedule.label)
    if schedule.target == ScheduleTarget.APPLICATION:
        return _("all of {application}").format(application=schedule.application)
    names = [str(database) for database in schedule.databases.all() if database.removed_at is None]
    shown = ", ".join(names[:NAMED]) or _("none")
    more = len(names) - NAMED
    return _("{names} and {n} more").format(names=shown, n=more) if more > 0 else shown
