"""Runs of schedules: from a row that waits to a job, and from the job's ending back to the row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import BooleanField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet

from dbadmin import audit
from dbadmin.choices import JobKind, JobState, RunState, ScheduleKind, Scope
from dbadmin.exceptions import Refused
from dbadmin.health import findings
from dbadmin.health.checks.schedules import unmended
from dbadmin.health.plans import told_of
from dbadmin.jobs.queue import REPEATABLE, enqueue
from dbadmin.models import Backup, Job, Schedule, ScheduleRun
from dbadmin.models.job import WRITERS
from dbadmin.models.schedule import LONGEST_WAIT_MINUTES
from dbadmin.text import Text

# More than workers can begin before the next tick; the others wait for it.
STARTED_AT_ONCE = 40
# A reaper that has declared a job lost repeats it within this time.
REAPING_TAKES = timedelta(minutes=2)
OVER = (JobState.SUCCEEDED, JobState.FAILED, JobState.ERRORED, JobState.CANCELLED, JobState.LOST)
BEHIND = Text("Another job of this database is active; this one comes after it.")


class _NothingToDo(Exception):
    """There is nothing that the run could work on."""

    def __init__(self, reason: Text) -> None:
        super().__init__(reason)
        self.reason = reason


def settle(now: datetime) -> None:
    """Write to every run whose job has ended what came of it, or when it is tried again."""
    unbegun = Q(job__state=JobState.QUEUED, due_at__lt=now - timedelta(minutes=1))
    ended = Q(job=None) | Q(job__state__in=OVER) | unbegun
    active = ScheduleRun.objects.filter(ended, state=RunState.ACTIVE)
    for run in active.select_related("schedule", "job__retried_by").order_by("due_at"):
        _settle(run, now)


def start(now: datetime, *, actor: audit.Actor | None = None, only: Schedule | None = None) -> list[Job]:
    """Make jobs of the runs that wait and can begin, the longest due first; give up those that are too late.

    ``only``: the runs of this schedule that are due at ``now``, in the name of ``actor``.
    """
    waiting = ScheduleRun.objects.filter(Q(retry_at=None) | Q(retry_at__lte=now), state=RunState.WAITING)
    if only is not None:
        waiting = waiting.filter(schedule=only, due_at=now)
    free = _sorted_out(waiting.order_by("due_at", "pk"), now)[:STARTED_AT_ONCE]
    runs = ScheduleRun.objects.filter(pk__in=free).select_related("schedule", "database").order_by("due_at", "pk")
    return [job for run in (runs if free else ()) if (job := _start(run, now, actor)) is not None]


def give_way(newer: Sequence[ScheduleRun], now: datetime) -> None:
    """Settle the runs that waited to be tried again: the next moment has come, and its run takes their place."""
    if not newer:
        return
    pairs = {(run.schedule_id, run.database_id) for run in newer}
    repeated = ScheduleRun.objects.filter(
        schedule__in={run.schedule_id for run in newer}, state=RunState.WAITING, retry_at__isnull=False
    )
    over = [pk for pk, *pair in repeated.values_list("pk", "schedule_id", "database_id") if tuple(pair) in pairs]
    repeated.filter(pk__in=over).update(state=RunState.FAILED, retry_at=None, settled_at=now)
    if over:
        tell(ScheduleRun.objects.filter(pk__in=over), now)


def tell(bad: QuerySet[ScheduleRun], now: datetime) -> None:
    """Open a finding for runs that failed or were missed: the next one may mend it before a health check looks."""
    findings.tell(
        (
            findings.Happened(database_id=database_id, check_id="schedule_runs", result=unmended(run))
            for database_id, run in told_of(bad.order_by("-due_at"))
        ),
        now=now,
    )


def _settle(run: ScheduleRun, now: datetime) -> None:
    job = run.job
    if job is None:
        _end(run, RunState.FAILED, Text("Its job is not there any more."), now, now=now)
    elif job.state == JobState.QUEUED:
        _give_up_when_late(run, job, now)
    elif again := getattr(job, "retried_by", None):
        ScheduleRun.objects.filter(pk=run.pk, state=RunState.ACTIVE, job=job).update(job=again)
    elif job.state == JobState.SUCCEEDED or _was_stored(job):
        _end(run, RunState.SUCCEEDED, job.message, job.finished_at or now, now=now)
    elif job.state == JobState.CANCELLED:
        _end(run, RunState.FAILED, job.message, job.finished_at or now, now=now)
    elif not _will_be_repeated(job, now):
        _try_again(run, job, now)


def _was_stored(job: Job) -> bool:
    """Say whether a worker died only after its backup was complete."""
    return job.state == JobState.LOST and Backup.objects.filter(job=job).exists()


def _will_be_repeated(job: Job, now: datetime) -> bool:
    recent = job.finished_at is not None and now - job.finished_at < REAPING_TAKES
    return job.state == JobState.LOST and job.attempt == 1 and job.kind in REPEATABLE and recent


def _try_again(run: ScheduleRun, job: Job, now: datetime) -> None:
    schedule, ended_at = run.schedule, job.finished_at or now
    if run.attempt > schedule.retries or not schedule.enabled:
        _end(run, RunState.FAILED, job.message, ended_at, now=now)
        return
    minutes = min(schedule.retry_minutes * 2 ** (run.attempt - 1), LONGEST_WAIT_MINUTES)
    ScheduleRun.objects.filter(pk=run.pk, state=RunState.ACTIVE, job=job).update(
        state=RunState.WAITING, reason=job.message, retry_at=ended_at + timedelta(minutes=minutes)
    )


def _give_up_when_late(run: ScheduleRun, job: Job, now: datetime) -> None:
    minutes = run.schedule.start_window_minutes
    if run.attempt > 1 or not _is_too_late(run.due_at, minutes, now):
        return
    waiting = Job.objects.filter(pk=job.pk, state=JobState.QUEUED)
    if waiting.update(state=JobState.CANCELLED, finished_at=now, message=_too_late(minutes)):
        _end(run, RunState.MISSED, Text("No worker took it within {minutes} min.", minutes=minutes), now, now=now)


def _end(run: ScheduleRun, state: RunState, reason: Text, at: datetime, *, now: datetime) -> None:
    active = ScheduleRun.objects.filter(pk=run.pk, state=RunState.ACTIVE, job=run.job)
    if active.update(state=state, reason=reason, settled_at=at, retry_at=None) and state != RunState.SUCCEEDED:
        tell(ScheduleRun.objects.filter(pk=run.pk), now)


def _sorted_out(waiting: QuerySet[ScheduleRun], now: datetime) -> list[int]:
    """Return the runs that can begin; settle those that cannot any more, and tell the others why they wait."""
    removed, paused, late, behind, free = [], [], [], [], []
    columns = ("pk", "due_at", "retry_at", "reason", "schedule__start_window_minutes")
    owners = ("schedule__enabled", "schedule__evaluated_at", "database__removed_at")
    rows = waiting.annotate(is_behind=_is_behind()).values_list(*columns, *owners, "is_behind")
    for pk, due_at, retry_at, reason, minutes, is_enabled, evaluated_at, removed_at, is_behind in rows:
        if removed_at is not None:
            removed.append(pk)
        elif not is_enabled and due_at < evaluated_at:
            paused.append(pk)  # what was asked for since then, by hand, runs all the same
        elif retry_at is None and _is_too_late(due_at, minutes, now):
            late.append((pk, minutes))
        elif not is_behind:
            free.append(pk)
        elif not reason:
            behind.append(pk)
    _skip(removed, Text("The database was removed from the dashboard."), now)
    _give_up(paused, now)
    _miss(late, now)
    if behind:
        _waiting(behind).update(reason=BEHIND)
    return free


def _is_behind() -> ExpressionWrapper[Q]:
    """Say in the query whether the database has an active job for which this one would be refused."""
    active = Job.objects.active().filter(database=OuterRef("database"))
    writers = [kind.value for kind in WRITERS]
    same = Exists(active.filter(kind=OuterRef("schedule__kind")))
    writing = Q(schedule__kind__in=writers) & Q(Exists(active.filter(kind__in=writers)))
    return ExpressionWrapper(Q(same) | writing, output_field=BooleanField())


def _is_too_late(due_at: datetime, minutes: int, now: datetime) -> bool:
    return now - due_at > timedelta(minutes=max(minutes, 5))


def _too_late(minutes: int) -> Text:
    return Text("It could not start within {minutes} min.", minutes=minutes)


def _skip(ids: list[int], reason: Text, now: datetime) -> None:
    if ids:
        _waiting(ids).update(state=RunState.SKIPPED, reason=reason, retry_at=None, settled_at=now)


def _give_up(ids: list[int], now: datetime) -> None:
    """End what waits although its schedule is paused; one that has failed before stays a failure with its reason."""
    if ids:
        failed = list(_waiting(ids).filter(retry_at__isnull=False).values_list("pk", flat=True))
        _waiting(failed).update(state=RunState.FAILED, retry_at=None, settled_at=now)
        tell(ScheduleRun.objects.filter(pk__in=failed, state=RunState.FAILED), now)
        _skip(ids, Text("The schedule was paused."), now)


def _miss(late: list[tuple[int, int]], now: datetime) -> None:
    for pk, minutes in late:
        _waiting([pk]).update(state=RunState.MISSED, reason=_too_late(minutes), settled_at=now)
    if late:
        tell(ScheduleRun.objects.filter(pk__in=[pk for pk, _minutes in late]), now)


def _waiting(ids: list[int]) -> QuerySet[ScheduleRun]:
    return ScheduleRun.objects.filter(pk__in=ids, state=RunState.WAITING)


def _start(run: ScheduleRun, now: datetime, actor: audit.Actor | None) -> Job | None:
    """Make the job, if no other process has; the run and its job are written together or not at all."""
    waiting = _waiting([run.pk])
    try:
        with transaction.atomic():
            attempt = F("attempt") + (1 if run.retry_at else 0)
            if not waiting.update(state=RunState.ACTIVE, retry_at=None, reason=Text(""), attempt=attempt):
                return None
            job = _ask(run, actor or _actor(run.schedule))
            ScheduleRun.objects.filter(pk=run.pk).update(job=job)
            return job
    except _NothingToDo as nothing:
        _skip([run.pk], nothing.reason, now)
    except Refused as refused:
        waiting.update(reason=refused.message)
    return None


def _ask(run: ScheduleRun, actor: audit.Actor) -> Job:
    job, created = enqueue(JobKind(run.schedule.kind), run.database, actor=actor, params=_params(run))
    if not created:
        raise Refused(BEHIND)
    return job


def backup_params(schedule: Schedule) -> dict[str, Any]:
    """Return the ``params`` of a backup that this schedule asks for; ``storages`` is empty when it names none."""
    storages = schedule.destinations.filter(storage__removed_at=None).values_list("storage_id", flat=True)
    return _common(schedule) | {"scope": schedule.scope, "storages": list(storages)}


def _params(run: ScheduleRun) -> dict[str, Any]:
    schedule, params = run.schedule, _common(run.schedule)
    if schedule.kind == ScheduleKind.BACKUP:
        return backup_params(schedule)
    if schedule.kind == ScheduleKind.DRILL:
        return params | {"backup": _newest(run, only_full=True), "kind": schedule.drill_kind}
    if schedule.kind == ScheduleKind.VERIFY:
        return params | {"backup": _newest(run, only_full=False)}
    return params


def _common(schedule: Schedule) -> dict[str, Any]:
    deadline = schedule.deadline_minutes
    return {"schedule": schedule.pk} | ({"deadline_minutes": deadline} if deadline else {})


def _newest(run: ScheduleRun, *, only_full: bool) -> int:
    backups = Backup.objects.available().past().filter(database=run.database)
    if only_full:
        backups = backups.filter(scope=Scope.FULL)
    pk = backups.order_by("-finished_at").values_list("pk", flat=True).first()
    if pk is None:
        raise _NothingToDo(Text("There is no backup of this database to work on."))
    return pk


def _actor(schedule: Schedule) -> audit.Actor:
    """No name of a user has a colon."""
    return audit.Actor(name=f"schedule:{schedule.name}"[:150])
