"""What was released and still lies in a storage: from where it is being removed, and what that waits for."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Exists, OuterRef, QuerySet

from dbadmin.backups.expire import storage_says
from dbadmin.backups.judging import read_now
from dbadmin.choices import BackupState, CopyState, JobKind, JobState
from dbadmin.models import Backup, Copy, Database, Job, Removal
from dbadmin.text import Text

GOING = CopyState.EXPIRING.value


def note_removals(backups: Iterable[Backup]) -> list[Backup]:
    """Set ``removals`` of each and return them all: one query while nothing is being removed, else a few per database.

    Their databases have to be read already, as ``listed`` does.
    """
    found = list(backups)
    by_key = {backup.pk: backup for backup in found}
    released = Copy.objects.filter(state=CopyState.EXPIRING, backup__in=by_key).select_related("storage")
    reasons: dict[int, _Reasons] = {}
    for copy in released.order_by("pk"):
        backup = by_key[copy.backup_id]
        if backup.database_id not in reasons:
            reasons[backup.database_id] = _Reasons(backup.database)
        removal = Removal(storage=copy.storage.name, because=reasons[backup.database_id].of(copy))
        backup.removals = (*backup.removals, removal)
    return found


def in_state(backups: QuerySet[Backup], state: str) -> QuerySet[Backup]:
    """Return those that are shown in this state: a deleted one that still lies somewhere is ``GOING``."""
    if state not in (GOING, BackupState.DELETED):
        return backups.filter(state=state)
    lies_somewhere = Exists(Copy.objects.filter(backup=OuterRef("pk"), state=CopyState.EXPIRING))
    deleted = backups.filter(state=BackupState.DELETED)
    return deleted.filter(lies_somewhere if state == GOING else ~lies_somewhere)


class _Reasons:
    """What removing from a database's storages waits for, as the newest job that should have done it tells."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read = read_now(database)
        self._job = Job.objects.filter(database=database, kind=JobKind.EXPIRE).order_by("-pk").first()
        line = storage_says("", Text("")).msgid
        errors = self._job.log_lines.filter(level="error") if self._job else ()
        told = [line.text for line in errors]
        self._said = {text.params["storage"]: text.params["reason"] for text in told if text.msgid == line}

    def of(self, copy: Copy) -> Text:
        if copy.storage.removed_at or self._database.removed_at:
            what = copy.storage.name if copy.storage.removed_at else self._database.name
            return Text("“{name}” was taken off the dashboard, so its files stay.", name=what)
        if copy.backup_id in self._read:
            return Text("It waits for a job that reads it.")
        if self._job is None:
            return Text("It goes with the next run of retention.")
        if self._job.is_active:
            return Text("Job {job} does it.", job=self._job.pk)
        if reason := self._said.get(copy.storage.name):
            return Text("It waits because: {reason} It is tried again every hour.", reason=reason)
        if self._job.state != JobState.SUCCEEDED:
            said = self._job.message
            return Text("It waits because job {job} failed: {reason} It is tried again.", job=self._job.pk, reason=said)
        return Text("It goes with the next run of retention.")
