"""What was released and must not go after all: what ought to have stayed in its place has been lost meanwhile."""

from __future__ import annotations

from django.db import transaction

from dbadmin import audit
from dbadmin.archives.manifest import ARCHIVE_NAME, MANIFEST_NAME
from dbadmin.backups.copies import settle
from dbadmin.choices import BackupState, CopyState
from dbadmin.exceptions import DbadminError, StorageError
from dbadmin.models import Backup, Copy, Database
from dbadmin.progress import Progress
from dbadmin.text import Text


def by_hand(reason: str) -> Text:
    """Return what is written of a copy that a person deletes; nobody takes that back."""
    return Text("Deleted by hand: {reason}", reason=reason)


def spare(database: Database, released: list[Copy], progress: Progress) -> list[Copy]:
    """Return those of ``released`` that may be deleted now.

    Of each scope a newer backup that was read whole has to be in one of its storages, seen just now. Where the
    catalogue has none any more, the newest released one that is still complete is taken back. Raises ``StorageError``
    when what has to be there cannot be seen: then nothing goes.
    """
    spared: set[int] = set()
    for scope in {copy.backup.scope for copy in released if not _is_by_hand(copy)}:
        going = [copy for copy in released if copy.backup.scope == scope and not _is_by_hand(copy)]
        newest = _newest_good(database, scope)
        if newest is not None:
            _require_seen(newest)
        newer = [copy for copy in going if newest is None or copy.backup.started_at > newest.started_at]
        spared |= _taken_back(newer, progress)
    return [copy for copy in released if copy.pk not in spared]


def _is_by_hand(copy: Copy) -> bool:
    return bool(copy.message.msgid == by_hand("").msgid)


def _newest_good(database: Database, scope: str) -> Backup | None:
    good = Backup.objects.read_whole().filter(database=database, scope=scope)
    return good.defer("facts", "origin").order_by("-started_at").first()


def _require_seen(backup: Backup) -> None:
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


def _taken_back(copies: list[Copy], progress: Progress) -> set[int]:
    """Take back all copies of the newest backup of these that is still complete somewhere."""
    for backup in sorted({copy.backup for copy in copies}, key=lambda each: each.started_at, reverse=True):
        complete = [copy for copy in copies if copy.backup == backup and _is_complete(copy)]
        if complete and _take_back(backup, complete):
            line = Text("{key} is taken back: what should have stayed in its place is lost.", key=backup.key)
            progress.log(line, level="warning")
            return {copy.pk for copy in complete}
    return set()


@transaction.atomic
def _take_back(backup: Backup, copies: list[Copy]) -> bool:
    """Every byte is read only when it is verified; until then it is better than nothing."""
    row = Backup.objects.select_for_update().get(pk=backup.pk)
    waiting = Copy.objects.filter(pk__in=[copy.pk for copy in copies], state=CopyState.EXPIRING)
    if not waiting.update(state=CopyState.STORED, message=Text(""), verified_at=None, deleted_at=None):
        return False
    Backup.objects.filter(pk=row.pk).update(state=BackupState.AVAILABLE)
    settle(row)
    audit.record(audit.SYSTEM, "backup.taken_back", row)
    return True


def _is_complete(copy: Copy) -> bool:
    backend = copy.storage.backend()
    return all(backend.stat(f"{copy.backup.key}/{name}") for name in (MANIFEST_NAME, ARCHIVE_NAME))
