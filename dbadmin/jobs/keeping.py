"""Applying retention and looking into the storages: what the two jobs do, and when they are asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from dbadmin import audit
from dbadmin.backups import expire, reconcile
from dbadmin.choices import ACTIVE_STATES, CopyState, JobKind
from dbadmin.exceptions import Refused
from dbadmin.health import findings
from dbadmin.health.checks.archives import vanished
from dbadmin.jobs.queue import enqueue
from dbadmin.models import Backup, Copy, Database, Job, Orphan
from dbadmin.progress import Progress
from dbadmin.text import Text

DAILY = timedelta(days=1)
LOST = (CopyState.VANISHED, CopyState.DAMAGED)
# What was released and could not be deleted, such as from a storage that is away, is tried so often.
LEFT_OVER = timedelta(hours=1)


def apply_retention(job: Job, progress: Progress) -> Text:
    """No parameters."""
    done = expire.expire(database=job.database, progress=progress, job=job)
    if done.left:
        return Text(
            "{count} archives are deleted, {megabytes} MB. {left} more go when no job reads them any more.",
            count=done.deleted,
            megabytes=_megabytes(done.freed),
            left=done.left,
        )
    if not done.deleted:
        return Text("Nothing had to go.")
    return Text("{count} archives are deleted, {megabytes} MB.", count=done.deleted, megabytes=_megabytes(done.freed))


def look_into_storages(job: Job, progress: Progress) -> Text:
    """No parameters. What was noted before and is still so is wrong, too: it is said with what is new."""
    found = reconcile.Reconciled()
    try:
        reconcile.reconcile(database=job.database, progress=progress, found=found)
    finally:
        _tell(job.database, found)
    states = list(Copy.objects.filter(backup__database=job.database, state__in=LOST).values_list("state", flat=True))
    orphans = Orphan.objects.filter(key__startswith=f"{job.database.slug}/").count()
    if not (states or found.back or orphans):
        return Text("Catalogue and storages agree.")
    return Text(
        "Missing: {missing}, {vanished} of them new. Damaged: {damaged}. There again: {back}. "
        "Belonging to no backup: {orphans}.",
        missing=states.count(CopyState.VANISHED),
        damaged=states.count(CopyState.DAMAGED),
        vanished=len(found.vanished),
        back=len(found.back),
        orphans=orphans,
    )


def ask_for_keeping(now: datetime) -> list[Job]:
    """Queue, once a day for each database: what retention releases, and the look into its storages.

    A constant number of queries when nothing is due.
    """
    expiring = expire.in_need(_not_since(JobKind.EXPIRE, now - DAILY))
    left_over = _not_since(JobKind.EXPIRE, now - LEFT_OVER).filter(pk__in=expire.left_over())
    copied = Exists(Copy.objects.filter(backup__database=OuterRef("pk"), storage__removed_at=None))
    looking = _not_since(JobKind.RECONCILE, now - DAILY).filter(copied)
    due = {database.pk: database for database in (*expiring, *left_over)}
    return [*_ask(JobKind.EXPIRE, due.values()), *_ask(JobKind.RECONCILE, looking)]


def ask_to_expire(database: Database) -> None:
    """Queue it where a retention applies; call it after a backup."""
    _ask(JobKind.EXPIRE, expire.in_need(Database.objects.filter(pk=database.pk)))


def ask_to_read(backups: Iterable[Backup]) -> None:
    """Queue a look into the storages of what was just adopted: the newest of it is read to the last byte."""
    _ask(JobKind.RECONCILE, {backup.database for backup in backups if backup.database.removed_at is None})


def _tell(database: Database, found: reconcile.Reconciled) -> None:
    """Where there are others they are made again by the next tick, and a health check would see nothing of it."""
    if found.vanished:
        happened = findings.Happened(database_id=database.pk, check_id="archives", result=vanished(len(found.vanished)))
        findings.tell([happened], now=timezone.now())


def _not_since(kind: JobKind, since: datetime) -> QuerySet[Database]:
    """Databases without such a job since, nor an active one; the index answers that, so it is asked first."""
    jobs = Job.objects.filter(database=OuterRef("pk"), kind=kind)
    due = Database.objects.registered().order_by("pk")
    return due.filter(~Exists(jobs.filter(created_at__gt=since))).filter(~Exists(jobs.filter(state__in=ACTIVE_STATES)))


def _ask(kind: JobKind, databases: Iterable[Database]) -> list[Job]:
    made: list[Job] = []
    for database in databases:
        with contextlib.suppress(Refused):  # removed from the dashboard since
            job, created = enqueue(kind, database, actor=audit.SYSTEM)
            made += [job] if created else []
    return made


def _megabytes(size: int) -> float:
    return round(size / 1_000_000, 1)
