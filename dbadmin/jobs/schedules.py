"""Schedules: which moments have come, and what becomes of each of them, for every database.

Every function may be called at any time, by several processes at once, and after any crash: what came of a moment is a
row that is unique, and a row becomes a job in one transaction.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Q

from dbadmin import audit
from dbadmin.choices import ACTIVE_STATES, CatchUp, Overlap, RunState, ScheduleTarget
from dbadmin.exceptions import Refused, ValidationFailed
from dbadmin.jobs import schedule_runs
from dbadmin.models import Database, Job, Schedule, ScheduleRun
from dbadmin.text import Text
from dbadmin.timetable import Due, Timetable

# What is seen this much after its moment was not held up by a standstill: cron ticks every minute.
ON_TIME = timedelta(minutes=5)
# A clock that was this far ahead was wrong. What it had evaluated is evaluated again.
CLOCK_WAS_WRONG = timedelta(minutes=5)
AT_ONCE = 2500
NOTING_SECONDS = 0.35
MOST_MOMENTS = 200
UNSETTLED = (RunState.WAITING, RunState.ACTIVE)


def evaluate(now: datetime) -> list[Job]:
    """Settle what has ended, write a row for every moment up to ``now``, start what can start; return the jobs made.

    With nothing due it costs three queries, however many schedules there are. Of very many that are due at once the
    next ticks do the rest, so that a tick stays short.
    """
    schedule_runs.settle(now)
    begun = time.monotonic()
    while _note_due(now) and time.monotonic() - begun < NOTING_SECONDS:
        pass
    return schedule_runs.start(now)


def save_schedule(schedule: Schedule, now: datetime) -> None:
    """Save a new or changed schedule. Its moments count from ``now`` on, unless neither times nor pause changed.

    What was due before and has no row yet gets it first, by the times as they were. ``ValidationFailed`` when the times
    mean nothing; nothing is changed then, but what meant something once can be paused. Chosen databases and
    destinations are saved by the caller.
    """
    with transaction.atomic():
        before = Schedule.objects.select_for_update(no_key=True).filter(pk=schedule.pk).first() if schedule.pk else None
        table = None
        if schedule.enabled or before is None or not _times_stay(before, schedule):
            table = Timetable(schedule.expression, schedule.time_zone)
            schedule.expression = table.expression
        if before:
            _undo_the_future([before], now)
        if before and before.enabled and before.next_due_at and before.next_due_at <= now:
            _note([before], now)
            before.refresh_from_db()
        if before and _moments_stay(before, schedule):
            schedule.evaluated_at, schedule.next_due_at = before.evaluated_at, before.next_due_at
        else:
            schedule.evaluated_at = now
            schedule.next_due_at = table.next(now) if table and schedule.enabled else None
        schedule.save()


def run_now(
    schedule: Schedule, now: datetime, *, actor: audit.Actor, databases: Iterable[Database] | None = None
) -> list[ScheduleRun]:
    """Ask for a run of this moment, of all the schedule's databases or of some of them; return the new runs.

    None for a database whose run has not ended or waits to begin: who asks again joins that. What cannot begin yet
    waits like any other run. ``Refused`` when there is no database.
    """
    with transaction.atomic():
        # Of two clicks at once the second sees the first.
        Schedule.objects.select_for_update(no_key=True).get(pk=schedule.pk)
        chosen = targets([schedule])[schedule.pk] if databases is None else [database.pk for database in databases]
        if not chosen:
            raise Refused(Text("“{name}” is for no database.", name=schedule.name), Text("Choose its databases first."))
        rest = sorted({*chosen} - _under_way(schedule))
        rows = [ScheduleRun(schedule=schedule, database_id=pk, due_at=now) for pk in rest]
        ScheduleRun.objects.bulk_create(rows, ignore_conflicts=True)
        schedule_runs.give_way(rows, now)
        schedule_runs.start(now, actor=actor, only=schedule)
    asked = ScheduleRun.objects.filter(schedule=schedule, due_at=now, database__in=rest)
    return list(asked.select_related("database__application", "job"))


def _under_way(schedule: Schedule) -> set[int]:
    """Return the databases with a run that waits to begin or works; what waits to be tried again may begin anew."""
    waits, works = Q(state=RunState.WAITING, retry_at=None), Q(state=RunState.ACTIVE, job__state__in=ACTIVE_STATES)
    return set(ScheduleRun.objects.filter(waits | works, schedule=schedule).values_list("database_id", flat=True))


def targets(schedules: Sequence[Schedule]) -> dict[int, Sequence[int]]:
    """Return schedule id -> ids of its databases that are on the dashboard; two queries for any number of them."""
    chosen: dict[int, list[int]] = defaultdict(list)
    through = Schedule.databases.through.objects.filter(schedule__in=schedules, database__removed_at=None)
    for schedule_id, database_id in through.order_by("database_id").values_list("schedule_id", "database_id"):
        chosen[schedule_id].append(database_id)
    grouped = _grouped() if any(schedule.target != ScheduleTarget.DATABASES for schedule in schedules) else {}
    return {
        schedule.pk: chosen[schedule.pk]
        if schedule.target == ScheduleTarget.DATABASES
        else grouped.get(_group(schedule), ())
        for schedule in schedules
    }


def unheard_label(schedule: Schedule) -> Text | None:
    """Say that no database has the label a schedule is for: it may be meant for later, or be misspelt."""
    if schedule.target != ScheduleTarget.LABEL or targets([schedule])[schedule.pk]:
        return None
    return for_nobody(schedule)


def for_nobody(schedule: Schedule) -> Text:
    """Say of a schedule that it covers no database."""
    if schedule.target != ScheduleTarget.LABEL:
        return Text("It is for no database, so nothing runs.")
    return Text(
        "No database has the label “{label}” now; nothing runs until one gets it. Is it spelt right?",
        label=schedule.label,
    )


def _grouped() -> dict[tuple[str, object], list[int]]:
    """Return the databases of each group that a schedule can be for."""
    groups: dict[tuple[str, object], list[int]] = defaultdict(list)
    for database in Database.objects.registered().only("pk", "application_id", "labels").order_by("pk"):
        labels = [(ScheduleTarget.LABEL, label) for label in database.label_set]
        application = (ScheduleTarget.APPLICATION, database.application_id)
        for group in ((ScheduleTarget.ALL, None), application, *labels):
            groups[group].append(database.pk)
    return groups


def _group(schedule: Schedule) -> tuple[str, object]:
    match schedule.target:
        case ScheduleTarget.APPLICATION:
            return (ScheduleTarget.APPLICATION, schedule.application_id)
        case ScheduleTarget.LABEL:
            return (ScheduleTarget.LABEL, schedule.label)
    return (ScheduleTarget.ALL, None)


def _note_due(now: datetime) -> bool:
    """Write the rows of some schedules that are due, and say whether there may be more."""
    wrong_clock = Q(evaluated_at__gt=now + CLOCK_WAS_WRONG)
    due = Schedule.objects.filter(Q(next_due_at__lte=now) | wrong_clock, enabled=True)
    if not due.exists():
        return False
    with transaction.atomic():
        found = list(due.select_for_update(no_key=True, skip_locked=True).order_by("next_due_at", "pk")[:AT_ONCE])
        _undo_the_future(found, now)
        _note(found, now)
    return len(found) == AT_ONCE


def _undo_the_future(schedules: Sequence[Schedule], now: datetime) -> None:
    """Give back the moments that a clock that was ahead has settled and that are still to come, see ``_note``.

    What has a job did happen: its row is dated now, so that it is no run of a moment to come.
    """
    ahead = [schedule for schedule in schedules if schedule.evaluated_at > now + CLOCK_WAS_WRONG]
    if not ahead:
        return
    future = ScheduleRun.objects.filter(schedule__in=ahead, due_at__gt=now)
    future.filter(job=None).delete()
    rows = list(future.order_by("-due_at").only("pk"))
    for earlier, row in enumerate(rows, start=1):
        row.due_at = now - timedelta(microseconds=earlier)
    ScheduleRun.objects.bulk_update(rows, ["due_at"], batch_size=500)
    for schedule in ahead:
        schedule.evaluated_at = now - CLOCK_WAS_WRONG
        schedule.next_due_at = schedule.next_due_at and now


def _note(schedules: Sequence[Schedule], now: datetime) -> None:
    """Write the rows of all moments up to ``now``, and what comes next."""
    databases = targets(schedules)
    unsettled = _unsettled(schedules)
    rows: list[ScheduleRun] = []
    coming: dict[datetime | None, list[int]] = defaultdict(list)
    for schedule in schedules:
        due, following = _moments(schedule.expression, schedule.time_zone, schedule.evaluated_at, now)
        coming[following].append(schedule.pk)
        for pk in databases[schedule.pk]:
            rows += _Moments(schedule, due, now, unsettled.get((schedule.pk, pk))).rows(pk)
    ScheduleRun.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)
    schedule_runs.give_way([row for row in rows if row.state == RunState.WAITING], now)
    if any(row.state == RunState.MISSED for row in rows):
        missed = ScheduleRun.objects.filter(schedule__in=schedules, state=RunState.MISSED, settled_at=now)
        schedule_runs.tell(missed, now)
    for moment, ids in coming.items():
        Schedule.objects.filter(pk__in=ids).update(evaluated_at=now, next_due_at=moment)


@lru_cache(maxsize=256)
def _moments(expression: str, zone: str, after: datetime, now: datetime) -> tuple[Due, datetime | None]:
    """Return what has come and what is next; remembered, because most schedules have the times of others."""
    try:
        table = Timetable(expression, zone)
    except ValidationFailed:  # such as a zone that this machine does not know any more; the health check tells it
        return Due(), None
    return table.due_between(after, now, limit=MOST_MOMENTS), table.next(now)


def _unsettled(schedules: Sequence[Schedule]) -> Mapping[tuple[int, int], ScheduleRun]:
    """Return (schedule, database) -> its newest run that works or waits to begin; not one that waits to be repeated."""
    runs = ScheduleRun.objects.filter(schedule__in=schedules, state__in=UNSETTLED, retry_at=None).order_by("due_at")
    return {(run.schedule_id, run.database_id): run for run in runs.only("schedule", "database", "due_at", "job")}


@dataclass(frozen=True)
class _Moments:
    """What becomes of the moments of one schedule for one database, of which ``before`` is not over yet."""

    schedule: Schedule
    due: Due
    now: datetime
    before: ScheduleRun | None

    def rows(self, database_id: int) -> Iterator[ScheduleRun]:
        """Yield a row for each moment; one stands for all those that are too many to name."""
        if self.due.earlier:
            yield self._row(database_id, self.due.first, RunState.MISSED, self._too_many())
        for moment in self.due.moments:
            state, reason = self._fate(moment)
            yield self._row(database_id, moment, state, reason)

    def _fate(self, moment: datetime) -> tuple[RunState, Text]:
        newest, catch_up = self.due.moments[-1], self.schedule.catch_up
        is_late = moment != newest or self.now - moment > ON_TIME
        window = max(timedelta(minutes=self.schedule.start_window_minutes), ON_TIME)
        if self.now - moment > window:
            return RunState.MISSED, Text(
                "Nothing ran at that time, and the {minutes} min in which it may start late were over.",
                minutes=self.schedule.start_window_minutes,
            )
        if is_late and catch_up == CatchUp.SKIP:
            return RunState.MISSED, Text("Nothing ran at that time, and the schedule does not make up for it.")
        if moment != newest and catch_up == CatchUp.ONCE:
            return RunState.MISSED, Text(
                "Nothing ran at that time; the run of {moment} makes up for it.", moment=self._local(newest)
            )
        if not is_late and self.before and self.schedule.overlap == Overlap.SKIP:
            return RunState.SKIPPED, self._overlap(self.before)
        return RunState.WAITING, Text("")

    def _overlap(self, before: ScheduleRun) -> Text:
        moment = self._local(before.due_at)
        if before.job_id is None:
            return Text("The run of {moment} had not begun yet.", moment=moment)
        return Text("The run of {moment} was still active (job {job}).", moment=moment, job=before.job_id)

    def _too_many(self) -> Text:
        return Text(
            "Nothing ran at this moment and the {count} after it, up to {moment}.",
            count=self.due.earlier - 1,
            moment=self._local(self.due.moments[0]),
        )

    def _local(self, moment: datetime) -> str:
        return f"{moment.astimezone(ZoneInfo(self.schedule.time_zone)):%Y-%m-%d %H:%M}"

    def _row(self, database_id: int, moment: datetime | None, state: RunState, reason: Text) -> ScheduleRun:
        assert moment is not None
        return ScheduleRun(
            schedule=self.schedule,
            database_id=database_id,
            due_at=moment,
            state=state,
            reason=reason,
            settled_at=None if state == RunState.WAITING else self.now,
        )


def _times_stay(before: Schedule, after: Schedule) -> bool:
    return (before.expression, before.time_zone) == (after.expression, after.time_zone)


def _moments_stay(before: Schedule, after: Schedule) -> bool:
    return _times_stay(before, after) and before.enabled == after.enabled and before.next_due_at is not None
