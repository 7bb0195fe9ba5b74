"""What happens by the clock. Every function may be called at any time, by several processes at once."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

from django.db import transaction
from django.db.models import Exists, OuterRef

from dbadmin import audit
from dbadmin.backups import drill_places, spool, undo, uploads
from dbadmin.choices import JobKind, JobState
from dbadmin.exceptions import Refused
from dbadmin.jobs import bell, workers
from dbadmin.jobs.bells.base import Bell, Unreachable
from dbadmin.jobs.copying import ask_for_copies
from dbadmin.jobs.keeping import ask_for_keeping
from dbadmin.jobs.queue import enqueue
from dbadmin.jobs.reaper import reap
from dbadmin.jobs.schedules import evaluate
from dbadmin.models import Database, Job

# Histories first: the health checks judge what was read.
EVERY = {JobKind.HISTORY: timedelta(minutes=15), JobKind.HEALTH: timedelta(minutes=5)}
DAILY_KINDS = (JobKind.EXPIRE, JobKind.RECONCILE)
KEEP = timedelta(days=1)
KEEP_FAILED = timedelta(days=30)
UNHEARD_AFTER = timedelta(seconds=20)
STRAY_AFTER = timedelta(hours=6)
SPOOL_NAME = re.compile(r"job-(\d+)-[0-9a-f]+")


def tick(now: datetime) -> list[Job]:
    """Reap, ask for what is due, clear away; return the jobs that were made."""
    reap(now)
    undo.settle_unfinished()
    drill_places.remove_left_over()
    undo.forget_ways_back(now)
    made = evaluate(now)
    made += [job for kind in EVERY for job in ask_for_due(kind, now)]
    made += ask_for_copies(now)
    made += ask_for_keeping(now)
    ring_again(now)
    prune(now)
    remove_strays(now)
    uploads.sweep(now)
    return made


def ask_for_due(kind: JobKind, now: datetime) -> list[Job]:
    """Queue a job of this kind for every database whose newest one is older than its interval."""
    recent = Job.objects.filter(database=OuterRef("pk"), kind=kind, created_at__gt=now - EVERY[kind])
    active = Job.objects.active().filter(database=OuterRef("pk"), kind=kind)
    due = Database.objects.registered().filter(~Exists(recent) & ~Exists(active))
    return [job for pk in due.values_list("pk", flat=True) if (job := _ask(kind, pk, now))]


def _ask(kind: JobKind, pk: int, now: datetime) -> Job | None:
    """Look again while the database's row is locked: two clocks make one job."""
    with transaction.atomic():
        database = Database.objects.select_for_update(no_key=True).get(pk=pk)
        if Job.objects.filter(database=database, kind=kind, created_at__gt=now - EVERY[kind]).exists():
            return None
        try:
            job, created = enqueue(kind, database, actor=audit.SYSTEM)
        except Refused:  # removed from the dashboard since
            return None
        return job if created else None


def ring_again(now: datetime) -> None:
    """Ring for jobs that have waited a while and that no bell in the queue stands for, such as after a crash."""
    waiting = Job.objects.filter(state=JobState.QUEUED, created_at__lt=now - UNHEARD_AFTER)
    jobs = list(waiting.select_related("database").defer("traceback").order_by("pk"))
    try:
        standing = bell.standing() if jobs else set()
    except Unreachable:
        return  # healthz and the page of workers say so; what waits goes on waiting
    for job in jobs:
        if Bell(job.pk, bell.queue_of(job.kind, job.database.site)) not in standing:
            bell.report(job.pk)
            if not bell.ring(job):
                return


def prune(now: datetime) -> None:
    """Forget bells, workers, and jobs that only looked, after a day; those that could not look after a month."""
    bell.bells().prune(now)
    workers.forget(now)
    looked = Job.objects.filter(kind__in=EVERY)
    looked.filter(state=JobState.SUCCEEDED, finished_at__lt=now - KEEP).delete()
    looked.filter(finished_at__lt=now - KEEP_FAILED).delete()
    Job.objects.filter(kind__in=DAILY_KINDS, finished_at__lt=now - KEEP_FAILED).delete()


def remove_strays(now: datetime) -> None:
    """Remove spool folders of this machine whose job is over and that nobody has written to for hours."""
    for folder in spool.root().glob("job-*"):
        name = SPOOL_NAME.fullmatch(folder.name)
        if name and _untouched(folder, now) and not Job.objects.active().filter(pk=int(name[1])).exists():
            spool.remove(folder)


def _untouched(folder: Path, now: datetime) -> bool:
    try:
        return folder.stat().st_mtime < (now - STRAY_AFTER).timestamp()
    except FileNotFoundError:
        return False
