"""The backup that is taken before something is replaced."""

from __future__ import annotations

from django.db.models import Q

from dbadmin.backups.take import take_backup
from dbadmin.choices import CopyState, Scope
from dbadmin.engines.base import ReportLine
from dbadmin.exceptions import Cancelled, DbadminError, Refused
from dbadmin.models import Backup, Database, Job, Restore, Storage
from dbadmin.progress import Progress
from dbadmin.text import Text


def save_before(row: Restore, database: Database, *, without_safety: bool, progress: Progress, job: Job | None) -> None:
    """Back up ``database`` as it is and note it in ``row``; ``without_safety`` goes on when that fails."""
    progress.phase(Text("Taking a safety backup"))
    try:
        row.safety_backup = take_backup(
            database=database,
            storages=[row.backup.storage],
            spare=_spare(row, database),
            scope=Scope.FULL,
            progress=progress,
            job=job,
        )
    except Cancelled:
        raise
    except DbadminError as error:
        if not without_safety:
            raise Refused(
                Text("No safety backup could be taken: {reason}", reason=error.message),
                Text("Mend that, or say that it may be replaced without one. Nothing was changed."),
            ) from error
        note(row, Text("There is no safety backup: {reason}", reason=error.message), progress)
    row.save(update_fields=["safety_backup"])


def _spare(row: Restore, database: Database) -> list[Storage]:
    """The default storage, and those that have backups of this database already: one of them may be away."""
    known = Q(is_default=True) | Q(copies__backup__database=database, copies__state=CopyState.STORED)
    found = Storage.objects.registered().filter(known).exclude(pk=row.backup.storage_id)
    return list(found.distinct().order_by("-is_default", "name"))


def link_safety_backup(row: Restore, job: Job | None) -> None:
    """A process may have died between storing the backup and noting it."""
    if job is not None and row.safety_backup is None and (taken := Backup.objects.filter(job=job).first()):
        row.safety_backup = taken
        row.save(update_fields=["safety_backup"])


def note(row: Restore, line: Text, progress: Progress) -> None:
    """Put a warning into the report and the log."""
    progress.log(line, level="warning")
    row.lines = [*row.lines, ReportLine(level="warning", object="", message=line).to_json()]
