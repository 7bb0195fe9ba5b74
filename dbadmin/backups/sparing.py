"""What was released and must not go after all: by now something else is lost, or newer runs fail."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from dbadmin import audit
from dbadmin.archives.manifest import ARCHIVE_NAME, MANIFEST_NAME
from dbadmin.backups.copies import lock_copies, settle
from dbadmin.backups.judging import Judged, wanted_after_all
from dbadmin.choices import BackupState, CopyState
from dbadmin.exceptions import DbadminError, StorageError
from dbadmin.models import Backup, Copy, Database
from dbadmin.progress import Progress
from dbadmin.text import Text


def by_hand(reason: str) -> Text:
    """Return what is written of a copy that a person deletes; nobody takes that back."""
    return Text("Deleted by hand: {reason}", reason=reason)


def spare(database: Database, released: list[Copy], progress: Progress, *, now: datetime) -> list[Copy]:
    """Return those of ``released`` that may be deleted now.

    ``require_seen`` has been asked. What would stay if it were decided now is taken back, if it is still complete.
    """
    by_rule = {copy.pk: copy for copy in released if not is_by_hand(copy)}
    possible, spared = set(by_rule), set[int]()
    while possible and (wanted := wanted_after_all(database, possible, now=now)):
        broken = {pk for pk in wanted if not _is_complete(by_rule[pk])}
        if not broken:
            _take_back([by_rule[pk] for pk in sorted(wanted)], progress)
            spared = wanted
            break
        possible -= broken
    return [copy for copy in released if copy.pk not in spared]


def pending(database: Database, *, now: datetime) -> list[Judged]:
    """Say of what is released and not yet deleted whether it goes, or would be taken back; no storage is asked."""
    released = Copy.objects.filter(backup__database=database, state=CopyState.EXPIRING, storage__removed_at=None)
    copies = list(
        released.select_related("storage", "backup__schedule", "backup__database").order_by("-backup__started_at", "pk")
    )
    by_rule = {copy.pk for copy in copies if not is_by_hand(copy)}
    wanted = wanted_after_all(database, by_rule, now=now) if by_rule else set()
    return [_told(copy, stays=copy.pk in wanted) for copy in copies]


def _told(copy: Copy, *, stays: bool) -> Judged:
    back = Text("It was released; by what is there now it would stay, so it is taken back if it is whole.")
    return Judged(copy=copy, keep=stays, reasons=(back if stays else copy.message,), retention=None)


def require_seen(database: Database, scopes: Iterable[str]) -> None:
    """Raise ``StorageError`` unless the newest good backup of each scope that has one is in one of its storages."""
    for scope in scopes:
        if newest := _newest_good(database, scope):
            _require_complete(newest)


def is_by_hand(copy: Copy) -> bool:
    """Say whether a person has deleted it."""
    return bool(copy.message.msgid == by_hand("").msgid)


def _newest_good(database: Database, scope: str) -> Backup | None:
    good = Backup.objects.read_whole().filter(database=database, scope=scope)
    return good.defer("facts", "origin").order_by("-started_at").first()


def _require_complete(backup: Backup) -> None:
    """The storage may have lost it since somebody looked; one of its copies is enough."""
    stored = Copy.objects.filter(backup=backup, state=CopyState.STORED).select_related("storage", "backup")
    first: DbadminError | None = None
    for copy in stored:
        try:
            if _is_complete(copy):
                return
        except DbadminError as error:
            first = first or error
    raise StorageError(
        Text("The newest good backup, {key}, was not found where it should be; nothing older is deleted.",
             key=backup.key),
        first.message if first else Text("Reconcile the storages, and see what happened to it."),
    )  # fmt: skip


def _take_back(copies: list[Copy], progress: Progress) -> None:
    """Backup by backup, the newest first."""
    for backup in sorted({copy.backup for copy in copies}, key=lambda each: each.started_at, reverse=True):
        if _is_taken_back(backup, [copy.pk for copy in copies if copy.backup == backup]):
            line = Text("{key} is taken back: by what is there now it would stay.", key=backup.key)
            progress.log(line, level="warning")


@transaction.atomic
def _is_taken_back(backup: Backup, ids: list[int]) -> bool:
    """A copy of which both objects are there is what it was before: deleting begins with the manifest."""
    waiting = Copy.objects.filter(pk__in=ids, state=CopyState.EXPIRING)
    lock_copies(waiting)
    if not waiting.update(state=CopyState.STORED, message=Text(""), deleted_at=None):
        return False
    Backup.objects.filter(pk=backup.pk).update(state=BackupState.AVAILABLE)
    settle(backup)
    audit.record(audit.SYSTEM, "backup.taken_back", backup)
    return True


def _is_complete(copy: Copy) -> bool:
    backend = copy.storage.backend()
    return all(backend.stat(f"{copy.backup.key}/{name}") for name in (MANIFEST_NAME, ARCHIVE_NAME))
