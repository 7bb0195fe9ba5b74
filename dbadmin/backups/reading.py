"""Read a backup from one of its copies, and from the next one where that fails."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from dbadmin import audit
from dbadmin.archives.manifest import ARCHIVE_NAME, MANIFEST_NAME, Manifest
from dbadmin.archives.reader import read_manifest
from dbadmin.archives.reader import unpack as unpack_archive
from dbadmin.backups.copies import HELD, is_damaged, is_gone
from dbadmin.backups.keys import good_copy
from dbadmin.choices import BackupState, CopyState
from dbadmin.exceptions import CorruptArchive, DbadminError, KeyMissing, Refused, StorageError, ValidationFailed
from dbadmin.models import Backup, Copy, Storage
from dbadmin.progress import Progress, Silent
from dbadmin.storages.base import Storage as StorageBackend
from dbadmin.text import Text, joined

Answer = TypeVar("Answer")
NEIGHBOURS = 3


def read(
    backup: Backup,
    work: Callable[[Copy, StorageBackend], Answer],
    *,
    progress: Progress | None = None,
    besides: Storage | None = None,
    marking: bool = True,
) -> Answer:
    """Return what ``work`` makes of a good copy and its storage; it may be called again with another one.

    First comes the copy that is read, or the only one, when ``backup.read_from`` names it. A copy that is damaged, or
    no more where it was, is called so; one whose storage is away gets the sentence; then ``backup.storage`` is the
    storage that could be read. ``besides``: not this storage. ``marking=False`` only looks.
    Raises the first ``StorageError`` when none could; where a good copy only wants its private key, ``KeyMissing``.
    """
    require_stored(backup)
    failed: list[tuple[Copy, DbadminError]] = []
    for copy in candidates(backup, besides=besides):
        try:
            answer = work(copy, copy.storage.backend())
        except (StorageError, ValidationFailed) as error:
            failed.append((copy, error))
            if marking:
                _mark(copy, error, progress or Silent())
            continue
        if marking and backup.read_from is None:
            _read_from_now_on(backup, copy)
        return answer
    raise _why(failed) if failed else _nowhere(backup)


def unpack(backup: Backup, into: Path, progress: Progress) -> Manifest:
    """Write the archive's members into the folder ``into``, which is made or empty; return the manifest.

    Every hash is compared. Raises what ``read`` raises.
    """

    def work(copy: Copy, backend: StorageBackend) -> Manifest:
        _empty(into)
        manifest = trusted_manifest(backup, backend)
        unpack_archive(backend, backup.key, manifest, into, progress)
        return manifest

    return read(backup, work, progress=progress)


def manifest_of(backup: Backup) -> Manifest:
    """Return the manifest of a copy that can be read now, and mark nothing: a page only looks."""
    return read(backup, lambda copy, backend: read_manifest(backend, backup.key), marking=False)


def require_stored(backup: Backup) -> None:
    """Refuse for a backup whose archive was deleted."""
    if backup.state == BackupState.DELETED:
        raise Refused(Text("The archive of this backup was deleted."), Text("Choose another backup."))


def trusted_manifest(backup: Backup, backend: StorageBackend) -> Manifest:
    """Read the stored manifest; ``CorruptArchive`` when it is not the one the catalogue knows."""
    manifest = read_manifest(backend, backup.key)
    expected = (backup.sha256, backup.size, backup.database.engine, backup.scope)
    if expected != (manifest.archive_sha256, manifest.archive_size, manifest.engine, manifest.scope):
        raise CorruptArchive(
            Text("The manifest belongs to another archive than the catalogue says."),
            Text("Somebody exchanged files in the storage. Choose another backup."),
        )
    return manifest


def mark(copy: Copy, error: DbadminError) -> bool:
    """Write what a failure to read says of a copy: damaged, gone, or nothing but that its storage is away.

    Return whether it says anything of the copy itself.
    """
    if isinstance(error, KeyMissing):
        return False
    if isinstance(error, CorruptArchive):
        is_damaged(copy, error)
    elif _is_gone(copy):
        is_gone(copy, error)
    else:
        copy.message = error.message
        copy.save(update_fields=["message"])
        return False
    return True


def candidates(backup: Backup, *, besides: Storage | None = None) -> list[Copy]:
    """Return the copies in the order they are tried.

    First the one that is read, then the other good ones, then those in storages that were away when they were looked
    into, and at last what was damaged or gone. ``besides``: not in this storage.
    """
    held = Copy.objects.filter(backup=backup, state__in=HELD).select_related("storage")
    if backup.read_from is not None:
        held = held.filter(storage=backup.read_from)
    copies = [_same_backup(copy, backup) for copy in held if copy.storage != besides]
    return sorted(copies, key=lambda copy: (*_farness(copy), copy.storage_id != backup.storage_id, copy.pk))


def _farness(copy: Copy) -> tuple[bool, bool]:
    return copy.state != CopyState.STORED, copy.storage.is_away


def _why(failed: list[tuple[Copy, DbadminError]]) -> DbadminError:
    """What is damaged says nothing of a good copy that is only locked: its key is what helps."""
    unread = [(copy, error) for copy, error in failed if not isinstance(error, KeyMissing)]
    closed = [each for each in failed if each not in unread and each[0].state == CopyState.STORED]
    recipients = sorted({recipient for copy, _error in closed for recipient in copy.recipients})
    if not unread or not recipients:
        return _explained(*failed[0])
    said = good_copy([copy.storage.name for copy, _error in closed], recipients)
    return KeyMissing(joined((said, *(_told(*each) for each in unread))), closed[0][1].hint)


def _explained(copy: Copy, error: DbadminError) -> DbadminError:
    """Where a storage is away nothing was deleted: an empty folder is a disk that is not mounted."""
    if not copy.storage.is_away or not isinstance(error, StorageError):
        return error
    name, problem = copy.storage.name, copy.storage.problem
    return StorageError(
        error.message, Text("“{storage}” could not be read when it was last looked into: {problem}", storage=name,
                            problem=problem)
    )  # fmt: skip


def _told(copy: Copy, error: DbadminError) -> Text:
    return Text("The copy in {storage} cannot be read: {reason}", storage=copy.storage.name, reason=error.message)


def _same_backup(copy: Copy, backup: Backup) -> Copy:
    copy.backup = backup
    return copy


def _mark(copy: Copy, error: DbadminError, progress: Progress) -> None:
    mark(copy, error)
    progress.log(_told(copy, error), level="warning")


def _is_gone(copy: Copy) -> bool:
    """Whether the storage answers and has it no more. A disk that is not mounted has nothing at all: it is away."""
    try:
        backend = copy.storage.backend()
        found = [backend.stat(f"{copy.backup.key}/{name}") for name in (MANIFEST_NAME, ARCHIVE_NAME)]
        if any(found):
            return not all(found)
        beside = Copy.objects.filter(storage=copy.storage, state=CopyState.STORED).exclude(pk=copy.pk)
        keys = beside.order_by("-backup")[:NEIGHBOURS].values_list("backup__key", flat=True)
        return any(backend.stat(f"{key}/{MANIFEST_NAME}") is not None for key in keys)
    except (StorageError, ValidationFailed):
        return False


def _read_from_now_on(backup: Backup, copy: Copy) -> None:
    if copy.state != CopyState.STORED or backup.storage_id == copy.storage_id:
        return
    moved = Backup.objects.filter(pk=backup.pk, copies__storage=copy.storage, copies__state=CopyState.STORED)
    if moved.update(storage=copy.storage):
        audit.record(audit.SYSTEM, "backup.read_elsewhere", backup, storage=copy.storage.name)
        backup.storage = copy.storage


def _empty(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _nowhere(backup: Backup) -> DbadminError:
    if backup.read_from is not None:
        return Refused(
            Text("“{storage}” has no copy of this backup.", storage=backup.read_from.name),
            Text("Choose one of the storages that the backup's page lists."),
        )
    return StorageError(Text("No storage has a copy of this backup."), Text("Choose another backup."))
