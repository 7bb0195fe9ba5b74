"""Asking for work, and asking it to stop."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from dbadmin import audit
from dbadmin.choices import JobKind, JobState, RestoreMode
from dbadmin.crypto import decrypt, encrypt
from dbadmin.exceptions import Cancelled, Refused
from dbadmin.jobs import lease
from dbadmin.jobs.bell import ring as ring_bell
from dbadmin.models import Backup, Database, Job
from dbadmin.models.job import WRITERS
from dbadmin.text import Text

ACTIONS = {
    JobKind.BACKUP: "backup.run",
    JobKind.RESTORE: "restore.run",
    JobKind.IMPORT: "import.run",
    JobKind.UNDO: "restore.undo",
    JobKind.VERIFY: "backup.verify",
    JobKind.DRILL: "drill.run",
    JobKind.COMPARE: "backup.compare",
    JobKind.COPY: "backup.copy",
    JobKind.EXPIRE: "retention.apply",
    JobKind.RECONCILE: "storage.reconcile",
    JobKind.MAINTENANCE: "maintenance.run",
    JobKind.HEALTH: "health.run",
    JobKind.HISTORY: "migrations.read",
}
RUNNING_WORDS = {
    JobKind.BACKUP: Text("A backup"),
    JobKind.RESTORE: Text("A restore"),
    JobKind.IMPORT: Text("An import"),
    JobKind.UNDO: Text("Undoing a restore"),
    JobKind.VERIFY: Text("Verifying a backup"),
    JobKind.DRILL: Text("A drill"),
    JobKind.COMPARE: Text("A comparison"),
    JobKind.COPY: Text("Copying to storages"),
    JobKind.EXPIRE: Text("Deleting what retention releases"),
    JobKind.RECONCILE: Text("Looking into the storages"),
    JobKind.MAINTENANCE: Text("Maintenance"),
    JobKind.HEALTH: Text("A health check"),
    JobKind.HISTORY: Text("Reading the migration history"),
}
REPEATABLE = (
    JobKind.BACKUP,
    JobKind.VERIFY,
    JobKind.DRILL,
    JobKind.COMPARE,
    JobKind.EXPIRE,
    JobKind.RECONCILE,
    JobKind.HEALTH,
    JobKind.HISTORY,
)


def enqueue(
    kind: JobKind | str,
    database: Database,
    *,
    actor: audit.Actor,
    params: Mapping[str, Any] | None = None,
    reason: str = "",
    ring: bool = True,
    identities: Sequence[str] = (),
) -> tuple[Job, bool]:
    """Return the waiting job and True, or the one of this kind that is already active and False.

    Job, audit event and bell come into being together or not at all. ``Refused`` when the database was removed from
    the dashboard, unless something new is made of a backup of it, and when another backup or restore of it is active;
    its ``message.params["job"]`` is that job's id. ``ring=False`` is for a caller that works on the job itself, see
    ``execution.run_now``. ``identities`` are private keys for this job alone: kept encrypted while it waits and runs,
    and forgotten when it is over.
    """
    kind = JobKind(kind)
    if not _makes_something_new(kind, params or {}):
        require_registered(database)
    try:
        with transaction.atomic():
            job = _create(kind, database, actor=actor, params=params or {}, reason=reason, ring=ring)
            if identities:
                job.encrypted_identities = encrypt(json.dumps(list(identities)))
                job.save(update_fields=["encrypted_identities"])
            return job, True
    except IntegrityError:
        return _already_active(kind, database), False


def cancel(job: Job, *, actor: audit.Actor, reason: str = "") -> Job:
    """Stop a job: a waiting one at once, a running one as soon as its worker sees it (about a second).

    ``Refused`` when it is over. Asking twice is harmless.
    """
    now = timezone.now()
    with transaction.atomic():
        waiting = Job.objects.filter(pk=job.pk, state=JobState.QUEUED)
        running = Job.objects.filter(pk=job.pk, state=JobState.RUNNING)
        stopped = waiting.update(
            state=JobState.CANCELLED,
            finished_at=now,
            cancel_requested_at=now,
            message=Cancelled().message,
            encrypted_identities="",
        )
        asked = running.filter(cancel_requested_at=None).update(cancel_requested_at=now)
        if not stopped and not running.exists():
            raise Refused(Text("The job is over already; there is nothing to cancel."))
        if stopped or asked:
            audit.record(actor, "job.cancel", job, reason=reason)
    job.refresh_from_db()
    return job


def claim(job_id: int, worker: lease.Worker) -> Job | None:
    """Take a waiting job for ``worker``; None when it is not waiting (taken by another, cancelled, over)."""
    now = timezone.now()
    taken = Job.objects.filter(pk=job_id, state=JobState.QUEUED).update(
        state=JobState.RUNNING,
        started_at=now,
        worker=worker.name,
        host=worker.host,
        lease_until=now + lease.LEASE,
    )
    return _with_deadline(Job.objects.select_related("database__application").get(pk=job_id)) if taken else None


def _with_deadline(job: Job) -> Job:
    """Count the longest duration from now on: what a job waits for a worker is not its fault."""
    if job.started_at and (minutes := job.params.get("deadline_minutes")):
        job.deadline_at = job.started_at + timedelta(minutes=minutes)
        job.save(update_fields=["deadline_at"])
    return job


def finish(job: Job, state: JobState, **ending: Any) -> bool:
    """Write how a job ended, if it is still the caller's; False when somebody else has declared it lost."""
    held = Job.objects.filter(pk=job.pk, state=JobState.RUNNING, worker=job.worker)
    return bool(
        held.update(
            state=state,
            finished_at=timezone.now(),
            lease_until=None,
            process_id=None,
            process_started="",
            encrypted_identities="",
            **ending,
        )
    )


def lose(job: Job, message: Text, *, hint: Text) -> bool:
    """Declare a running job lost; False when it has ended, or has renewed its lease since ``job`` was read."""
    seen = Job.objects.filter(pk=job.pk, state=JobState.RUNNING, worker=job.worker, lease_until=job.lease_until)
    ending = {"state": JobState.LOST, "finished_at": timezone.now(), "message": message, "hint": hint}
    return bool(seen.update(encrypted_identities="", **ending))


def identities_of(job: Job) -> tuple[str, ...]:
    """Return the private keys that were offered for this job."""
    return tuple(json.loads(decrypt(job.encrypted_identities) or "[]"))


def repeat(job: Job) -> Job | None:
    """Queue the one repetition of a lost job, when its kind allows it and nobody has asked for the same meanwhile."""
    if job.kind not in REPEATABLE or job.attempt > 1 or job.cancel_requested_at or job.database.removed_at:
        return None
    if Job.objects.filter(database=job.database, kind=job.kind, pk__gt=job.pk).exists():
        return None
    if job.kind == JobKind.BACKUP and Backup.objects.filter(job=job).exists():  # only copies of it are missing
        return None
    try:
        with transaction.atomic():
            again = Job.objects.create(
                kind=job.kind,
                database=job.database,
                params={name: value for name, value in job.params.items() if name not in Job.TRACES},
                requested_by=job.requested_by,
                actor=job.actor,
                attempt=job.attempt + 1,
                retry_of=job,
            )
            transaction.on_commit(partial(ring_bell, again))
    except IntegrityError:
        return None
    return again


def _create(
    kind: JobKind, database: Database, *, actor: audit.Actor, params: Mapping[str, Any], reason: str, ring: bool
) -> Job:
    job = Job.objects.create(
        kind=kind, database=database, params=dict(params), requested_by=actor.user, actor=actor.name
    )
    if actor != audit.SYSTEM:  # every five minutes the clock asks for checks; nobody did anything
        audit.record(actor, ACTIONS[kind], database, reason=reason, job=job.pk, **params)
    if ring:
        transaction.on_commit(partial(ring_bell, job))
    return job


def _makes_something_new(kind: JobKind, params: Mapping[str, Any]) -> bool:
    """Say whether the database itself is left alone: its backups are of use after it was removed, too."""
    return kind == JobKind.RESTORE and params.get("mode", RestoreMode.NEW) == RestoreMode.NEW


def require_registered(database: Database) -> None:
    """Refuse a database that was removed from the dashboard."""
    if database.removed_at is not None:
        raise Refused(
            Text("“{name}” was removed from the dashboard.", name=database.name),
            Text("Add it again to work with it."),
        )


def _already_active(kind: JobKind, database: Database) -> Job:
    active = Job.objects.active().filter(database=database)
    same = active.filter(kind=kind).first()
    if same is not None and kind not in (JobKind.RESTORE, JobKind.UNDO, JobKind.IMPORT):
        return same
    other = same or active.filter(kind__in=WRITERS).first()
    if other is None:  # it ended between the two statements
        raise Refused(Text("Another job of this database has just ended."), Text("Try again."))
    raise Refused(
        Text("{what} of this database is active (job {job}).", what=RUNNING_WORDS[JobKind(other.kind)], job=other.pk),
        Text("Wait until it is over, or cancel it first."),
    )
