"""The rows that say where a backup's archive lies: which copy is read, which are good, which are still to be made."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from dbadmin import audit
from dbadmin.backups.storing import Placed, still_held
from dbadmin.backups.twins import SHARED
from dbadmin.choices import ACTIVE_STATES, BackupState, CopyState
from dbadmin.exceptions import DbadminError, KeyMissing, Refused
from dbadmin.models import Backup, Copy, Job, Storage
from dbadmin.models.backup import HELD as HELD
from dbadmin.text import Text

BACK_OFF = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 240))
AFTERWARDS = timedelta(hours=6)
# A copy that was cancelled by somebody is not begun again under his hands.
AFTER_CANCEL = timedelta(hours=1)
# To be made: those that were never stored, and those that were and have to be made again (``retry_at`` is set).
MISSING = Q(state__in=(CopyState.WAITING, CopyState.FAILED)) | Q(
    state__in=(CopyState.DAMAGED, CopyState.VANISHED), retry_at__isnull=False
)


def due(now: datetime) -> Iterable[int]:
    """Return the ids of the databases that have copies to be made now; one query.

    Backups whose own job still stores them are left to it.
    """
    waiting = Copy.objects.filter(MISSING, retry_at__lte=now, storage__removed_at=None, backup__in=_in_need())
    return waiting.values_list("backup__database_id", flat=True).distinct().order_by()


def due_of(database_id: int, now: datetime) -> list[Copy]:
    """Return the copies to be made now, those of the newest backup first."""
    waiting = Copy.objects.filter(MISSING, retry_at__lte=now, storage__removed_at=None)
    waiting = waiting.filter(backup__in=_in_need().filter(database=database_id))
    return list(waiting.select_related("storage", "backup__storage", "backup__database").order_by("-backup", "id"))


def next_try(attempts: int, now: datetime) -> datetime:
    """Return when it is tried again after so many failures: after 1, 5, 15, 60, 240 minutes, then every 6 hours."""
    return now + (BACK_OFF[attempts - 1] if 0 < attempts <= len(BACK_OFF) else AFTERWARDS)


def is_wanted(copy: Copy) -> bool:
    """Whether it is still to be made, as the catalogue has it now."""
    missing = Copy.objects.filter(MISSING, pk=copy.pk, state=copy.state)
    return missing.filter(backup__in=Backup.objects.available()).exists()


@transaction.atomic
def is_stored(copy: Copy, placed: Placed, job: Job | None = None) -> None:
    """Write that it was stored and read back just now.

    ``Cancelled`` when the job is not the caller's any more, ``Refused`` when the copy is not wanted any more; then the
    caller removes what it has stored.
    """
    if job is not None:
        job.require_held()
    now = timezone.now()
    found = {"size": placed.size, "sha256": placed.sha256, "recipients": list(placed.recipients)}
    written = _write(
        copy, state=CopyState.STORED, attempts=copy.attempts + 1, stored_at=now, verified_at=now, retry_at=None,
        message=Text(""), **found,
    )  # fmt: skip
    if not written:
        raise Refused(Text("The copy in “{storage}” is not wanted any more.", storage=copy.storage.name))
    _answers(copy.storage_id)


def _answers(storage: int) -> None:
    """Take back what a look or a test has said of a storage that was written to and read from just now."""
    ill = Storage.objects.filter(pk=storage).exclude(problem__msgid__in=["", *SHARED])
    ill.update(problem=Text(""), is_away=False)


def is_sound(copy: Copy) -> None:
    """Write that every byte was read just now and is as it was stored, so its storage is not away.

    Whether it can be written to is not known by that, so what was said of a storage that is not away stays.
    """
    now = timezone.now()
    if _write(copy, state=CopyState.STORED, verified_at=now, retry_at=None, message=Text("")):
        Backup.objects.filter(pk=copy.backup_id).update(verified_at=now)
        Storage.objects.filter(pk=copy.storage_id, is_away=True).update(problem=Text(""), is_away=False)


def has_failed(copy: Copy, error: DbadminError) -> None:
    """Write why it could not be stored, and when that is tried again.

    Where a key is missing trying again changes nothing, so what to do about it is written with it.
    """
    attempts = copy.attempts + 1
    state = CopyState.FAILED if copy.state == CopyState.WAITING else copy.state
    retry_at = next_try(attempts, timezone.now())
    said = error.told if isinstance(error, KeyMissing) else error.message
    _write(copy, state=state, attempts=attempts, message=said, retry_at=retry_at)


def postpone(waiting: QuerySet[Copy], job: Job | None) -> None:
    """What somebody has cancelled is not begun again under his hands; what a dead worker has left, at once."""
    if still_held(job):
        waiting.update(retry_at=timezone.now() + AFTER_CANCEL)


def is_damaged(copy: Copy, error: DbadminError) -> None:
    """Write that it must not be believed. It is made again when the backup has a good copy, otherwise that is lost."""
    _is_lost(copy, CopyState.DAMAGED, error)


def is_gone(copy: Copy, error: DbadminError) -> None:
    """Write that its storage answers and has it no more. It is made again when the backup has a good copy."""
    _is_lost(copy, CopyState.VANISHED, error)


def lock_copies(rows: QuerySet[Copy]) -> None:
    """Hold copies until the end of the transaction. All do it by id, and lock backups afterwards, as ``settle`` does.

    Who did it the other way round would wait, on PostgreSQL, for somebody who waits for him.
    """
    list(rows.select_for_update(no_key=True, of=("self",)).order_by("pk").values_list("pk", flat=True))


@transaction.atomic
def settle(backup: Backup) -> None:
    """Bring a backup's state, the copy that is read and the number of missing ones in line with its copies."""
    row = Backup.objects.select_for_update(no_key=True).get(pk=backup.pk)
    copies = list(Copy.objects.filter(backup=row).select_related("storage"))
    good = [copy.storage for copy in copies if copy.state == CopyState.STORED]
    if good and row.storage not in good:
        row.storage = good[0]
    row.state = _state(row, copies)
    row.missing_copies = Copy.objects.filter(MISSING, backup=row).count()
    row.save(update_fields=["storage", "state", "missing_copies"])
    backup.storage, backup.state, backup.missing_copies = row.storage, row.state, row.missing_copies


def _in_need() -> QuerySet[Backup]:
    available = Backup.objects.available().filter(database__removed_at=None)
    return available.exclude(job__in=Job.objects.filter(state__in=ACTIVE_STATES))


@transaction.atomic
def _is_lost(copy: Copy, state: CopyState, error: DbadminError) -> None:
    others = Copy.objects.filter(backup=copy.backup_id, state=CopyState.STORED).exclude(pk=copy.pk)
    before = copy.backup.state
    retry_at = timezone.now() if others.exists() else None
    if not _write(copy, state=state, message=error.message, retry_at=retry_at):
        return
    audit.record(audit.SYSTEM, f"copy.{state}", copy.backup, storage=copy.storage.name)
    if copy.backup.state != before:
        audit.record(audit.SYSTEM, f"backup.{copy.backup.state}", copy.backup)


def _write(copy: Copy, **fields: Any) -> bool:
    """Write to a row, new or not, unless somebody has decided something else meanwhile: that the copy expires."""
    was = copy.state
    for name, value in fields.items():
        setattr(copy, name, value)
    if copy.pk is None:
        copy.save()
        written = True
    else:
        written = bool(Copy.objects.filter(pk=copy.pk, state=was).update(**fields))
    settle(copy.backup)
    return written


def _state(backup: Backup, copies: list[Copy]) -> str:
    """What was deleted stays so; a backup is damaged or vanished only when no good copy is left."""
    states = {copy.state for copy in copies}
    if backup.state == BackupState.DELETED:
        return backup.state
    if CopyState.STORED in states:
        return BackupState.AVAILABLE
    if CopyState.DAMAGED in states:
        return BackupState.DAMAGED
    return BackupState.VANISHED if CopyState.VANISHED in states else backup.state
