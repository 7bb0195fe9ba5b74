"""Rows of the catalogue as commands print them, with the models' field names."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.utils import timezone

from dbadmin.engines.base import in_words
from dbadmin.exceptions import UsageError
from dbadmin.models import Backup, Copy, Job, Restore, Storage
from dbadmin.text import Text

Row = TypeVar("Row", bound=Model)


def backup_row(backup: Backup) -> dict[str, Any]:
    """Return a backup without its large columns. Sizes in bytes."""
    return {
        "id": backup.pk,
        "database": backup.database.slug,
        "application": backup.database.application.slug,
        "storage": backup.storage.name,
        "key": backup.key,
        "scope": backup.scope,
        "state": backup.shown_state.value,
        "being_removed": [{"storage": each.storage, "because": each.because} for each in backup.removals],
        "started_at": backup.started_at,
        "finished_at": backup.finished_at,
        "size": backup.size,
        "sha256": backup.sha256,
        "row_count": backup.row_count,
        "server_version": backup.server_version,
        "client_version": backup.client_version,
        "schema_head": backup.schema_head,
        "verified_at": backup.verified_at,
        "proven_at": backup.proven_at,
        "missing_copies": backup.missing_copies,
        "job": backup.job_id,
    }


def copy_row(copy: Copy) -> dict[str, Any]:
    """Return what one storage has of a backup. Size in bytes, of what is stored there."""
    return {
        "id": copy.pk,
        "storage": copy.storage.name,
        "state": copy.state,
        "size": copy.size,
        "sha256": copy.sha256,
        "recipients": copy.recipients,
        "stored_at": copy.stored_at,
        "verified_at": copy.verified_at,
        "attempts": copy.attempts,
        "retry_at": copy.retry_at,
        "message": copy.message,
    }


def restore_row(restore: Restore) -> dict[str, Any]:
    """Return a restore with its report."""
    return {
        "id": restore.pk,
        "backup": restore.backup_id,
        "database": restore.backup.database.slug,
        "mode": restore.mode,
        "target": restore.target,
        "state": restore.state,
        "started_at": restore.started_at,
        "finished_at": restore.finished_at,
        "lines": in_words(restore.lines),
        "differences": restore.differences,
        "safety_backup": restore.safety_backup_id,
        "way_back_until": restore.way_back_until if restore.way_back else None,
        "job": restore.job_id,
    }


def job_row(job: Job) -> dict[str, Any]:
    """Return a job and how it ended."""
    return {
        "id": job.pk,
        "kind": job.kind,
        "state": job.state,
        "database": job.database.slug,
        "attempt": job.attempt,
        "retry_of": job.retry_of_id,
        "actor": job.actor,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "phase": job.phase,
        "percent": job.percent,
        "message": job.message,
        "hint": job.hint,
        "error_class": job.error_class,
    }


def backup_line(backup: Backup) -> str:
    """Return a backup on one line."""
    rows = Text("rows: {count}", count=f"{backup.row_count:>12}")
    going = "".join(f"\n        {removal.sentence}" for removal in backup.removals)
    return (
        f"{backup.pk:>6}  {clock(backup.finished_at)}  {backup.database.slug:<24} {backup.scope:<6} "
        f"{backup.shown_state.label!s:<13} {backup.size / 1_000_000:>10.1f} MB  {rows}{going}"
    )


def job_line(job: Job, state: str = "") -> str:
    """Return what came of a job on one line; ``state``: of what it made, where that says more than its own."""
    told = " ".join(str(part) for part in (job.message, job.hint) if part)
    number = Text("job {number}", number=job.pk)
    return f"{job.database.slug}: {state or job.get_state_display()} ({number}) {told}".rstrip()


def copy_line(row: dict[str, Any]) -> str:
    """Return a ``copy_row`` on one line."""
    again = f"  {Text('next try {moment}', moment=clock(row['retry_at']))}" if row["retry_at"] else ""
    size = f"{row['size'] / 1_000_000:>10.1f} MB"
    return f"  {row['storage']:<24} {row['state']:<9} {size}{again}  {row['message']}".rstrip()


def find_storage(name: str) -> Storage:
    """Return a storage by its name; ``UsageError`` names those that there are."""
    storage = Storage.objects.registered().filter(name=name).first()
    if storage is None:
        known = ", ".join(Storage.objects.registered().values_list("name", flat=True)) or "–"
        raise UsageError(
            Text("There is no storage called “{name}”.", name=name), Text("Known are: {known}.", known=known)
        )
    return storage


def clock(moment: datetime) -> str:
    """Return a time in the zone of TIME_ZONE, which it names."""
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M %Z}"


def require(rows: QuerySet[Row], pk: int, *, what: Text) -> Row:
    """Return the row; ``UsageError`` when there is none."""
    row = rows.filter(pk=pk).first()
    if row is None:
        raise UsageError(Text("There is no {what} {id}.", what=what, id=pk))
    return row
