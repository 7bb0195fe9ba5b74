"""Asking for the copies that storages have not got yet."""

from __future__ import annotations

from datetime import datetime

from dbadmin import audit
from dbadmin.backups.missing import databases_in_need
from dbadmin.choices import JobKind
from dbadmin.exceptions import Refused
from dbadmin.jobs.queue import enqueue
from dbadmin.models import Database, Job


def ask_for_copies(now: datetime) -> list[Job]:
    """Queue one job for every database that has copies to be made; return those that are new.

    Where nothing is due it costs a constant number of queries.
    """
    if not (needed := databases_in_need(now)):
        return []
    needed -= set(Job.objects.active().filter(kind=JobKind.COPY).values_list("database_id", flat=True))
    found = Database.objects.registered().filter(pk__in=needed)
    return [job for database in found if (job := _ask(database)) is not None]


def _ask(database: Database) -> Job | None:
    try:
        job, created = enqueue(JobKind.COPY, database, actor=audit.SYSTEM)
    except Refused:  # removed from the dashboard since
        return None
    return job if created else None
