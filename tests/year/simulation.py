"""A year of the dashboard, from event to event: the real clock function and the real handlers, at an injected time.

What is not real: the workers' times. The one that backs up comes at once, the one that looks (health, histories) every
so many hours and after each look into the storages, so that a year takes minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

import time_machine
from django.db.models import Min
from django_tasks_db.models import DBTaskResult

from dbadmin import audit
from dbadmin.backups.copies import MISSING
from dbadmin.backups.pins import pin
from dbadmin.choices import JobKind, JobState, RunState
from dbadmin.jobs.clock import tick
from dbadmin.jobs.execution import run_now
from dbadmin.models import Backup, Copy, Finding, Job, Schedule, ScheduleRun
from tests.year.moments import DAY, HOUR
from tests.year.scenario import BEGIN, END, HOURLY_FROM, HOURLY_UNTIL, change, hourly, make_world
from tests.year.troubles import OUTAGES, Troubles
from tests.year.watching import Watch

MINUTE = timedelta(minutes=1)
LOOKS = (JobKind.HEALTH, JobKind.HISTORY)
# At the end all that was wrong has to be well again.
QUIET = 24 * DAY
PINNED_FROM = BEGIN + 45 * DAY


@dataclass(kw_only=True)
class Figures:
    """What there was in the year, and how long it took."""

    databases: int
    days: int = 0
    events: int = 0
    jobs: int = 0
    failed_jobs: int = 0
    died_jobs: int = 0
    runs: int = 0
    missed_runs: int = 0
    failed_runs: int = 0
    backups: int = 0
    copies: int = 0
    kept_copies: int = 0
    drills: int = 0
    troubles: int = 0
    findings: int = 0
    looked_for: int = 0
    read: int = 0
    most_archives: int = 0
    most_bytes: int = 0
    wall_seconds: float = 0


class Year:
    """``run`` raises ``AssertionError`` on the first thing that is not as it has to be, with the moment in it."""

    def __init__(
        self, folder: Path, *, databases: int, seed: int = 4, end: datetime = END, look_hours: int = 24
    ) -> None:
        self._folder, self._databases, self._seed, self._end = folder, databases, seed, end
        self._look_every = look_hours * HOUR
        self.figures = Figures(databases=databases)
        self._looked_at = BEGIN
        self.on_day: Callable[[int], object] = lambda day: None

    def run(self) -> Figures:
        """Live through all of it."""
        began = time.monotonic()
        with time_machine.travel(BEGIN, tick=False) as self._clock:
            self.world = make_world(self._folder, databases=self._databases)
            self.troubles = Troubles(self.world, self._seed, quiet_from=self._end - QUIET)
            self.watch = Watch(self.world, self.troubles)
            now = BEGIN
            while now < self._end:
                now = self._next(now)
                self._live_through(now)
            self.watch.at_end(now)
        self.figures.wall_seconds = round(time.monotonic() - began, 1)
        return self._counted()

    def _live_through(self, now: datetime) -> None:
        if self._days_begun(now):
            self._at_midnight(now)
        self._clock.move_to(now, tick=False)
        self.troubles.pass_to(now)
        tick(now)
        self._work(now)
        self.figures.events += 1
        try:
            self.watch.after_event(now)
        except AssertionError as error:
            error.add_note(f"at {now}")
            raise

    def _days_begun(self, now: datetime) -> bool:
        days = (now - BEGIN) // DAY
        if days == self.figures.days:
            return False
        self.figures.days = days
        self.on_day(days)
        return True

    def _at_midnight(self, now: datetime) -> None:
        self.watch.at_midnight()
        for database in self.world.databases:
            if database.pk not in self.troubles.spoilt:
                change(database, now)
        if now >= PINNED_FROM and self.watch.pinned is None:
            self.watch.pinned = pin(Backup.objects.first(), actor=audit.SYSTEM, note="before the migration")
        plans = [plan for plan in self.world.plans if plan.begin == HOURLY_FROM]
        if now >= HOURLY_FROM and not plans:
            self._clock.move_to(HOURLY_FROM, tick=False)
            hourly(self.world, self.world.databases[:1])
        if now >= HOURLY_UNTIL and plans and plans[0].schedule.enabled:
            plans[0].stop(HOURLY_UNTIL)

    def _next(self, now: datetime) -> datetime:
        """Return the next moment at which something happens; none while nothing ticks."""
        if self._is_unsettled():
            moment = now + MINUTE
        else:
            due = Schedule.objects.filter(enabled=True).aggregate(at=Min("next_due_at"))["at"]
            exact = [due, self.troubles.next(now), HOURLY_FROM, HOURLY_UNTIL, now + self._look_every]
            runs = ScheduleRun.objects.filter(state=RunState.WAITING).aggregate(at=Min("retry_at"))["at"]
            copies = Copy.objects.filter(MISSING, storage__removed_at=None).aggregate(at=Min("retry_at"))["at"]
            moments = [*exact, _rounded(runs, HOUR / 2), _rounded(copies, 3 * HOUR)]
            moment = min(moment for moment in (*moments, self._end) if moment and moment > now)
        for begin, length in OUTAGES:
            if begin <= moment < begin + length:
                return begin + length
        return moment

    def _is_unsettled(self) -> bool:
        waiting = ScheduleRun.objects.filter(state=RunState.WAITING, retry_at=None)
        ended = ScheduleRun.objects.filter(state=RunState.ACTIVE).exclude(job__state=JobState.SUCCEEDED)
        return waiting.exists() or ended.exists() or Job.objects.active().exclude(kind__in=LOOKS).exists()

    # The workers

    def _work(self, now: datetime) -> None:
        died = self._work_on_all()
        if now - self._looked_at >= self._look_every:
            self._looked_at = now
            self._look()
        assert died or not Job.objects.active().exclude(kind__in=LOOKS).exists()
        DBTaskResult.objects.all().delete()  # heard

    def _work_on_all(self) -> bool:
        died = False
        while job := Job.objects.filter(state=JobState.QUEUED).exclude(kind__in=LOOKS).order_by("pk").first():
            if self.troubles.kill(job):
                died = True
                self.figures.died_jobs += 1
                continue
            self._do(job)
            if job.kind == JobKind.RECONCILE:
                self._look(job.database_id)
        return died

    def _look(self, database: int | None = None) -> None:
        looks = Job.objects.filter(state=JobState.QUEUED, kind__in=LOOKS).order_by("pk")
        for job in looks.filter(database=database) if database else looks:
            self._do(job)

    def _do(self, job: Job) -> None:
        self._clock.shift(1)
        done = run_now(job)
        self.figures.jobs += 1
        self.figures.failed_jobs += done.state != JobState.SUCCEEDED
        assert done.state in (JobState.SUCCEEDED, JobState.FAILED), f"{done} {done.state}: {done.traceback}"

    def _counted(self) -> Figures:
        figures = self.figures
        runs = ScheduleRun.objects.all()
        figures.runs = runs.count()
        figures.missed_runs = runs.filter(state=RunState.MISSED).count()
        figures.failed_runs = runs.filter(state=RunState.FAILED).count()
        figures.backups, figures.copies = Backup.objects.count(), Copy.objects.count()
        figures.kept_copies = Copy.objects.filter(state="stored").count()
        figures.drills = Job.objects.filter(kind=JobKind.DRILL, state=JobState.SUCCEEDED).count()
        figures.troubles = sum(trouble.has_begun for trouble in self.troubles.all)
        figures.findings = Finding.objects.count()
        figures.looked_for, figures.read = self.watch.looked, self.watch.read
        figures.most_archives, figures.most_bytes = self.watch.most_archives, self.watch.most_bytes
        return figures


def as_json(figures: Figures) -> dict[str, object]:
    """Return the figures by their names."""
    return asdict(figures)


def _rounded(moment: datetime | None, to: timedelta) -> datetime | None:
    """Return the next whole one: what is tried again need not be tried to the minute here."""
    return moment and moment + (BEGIN - moment) % to
