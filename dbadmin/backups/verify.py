"""Re-read what is stored and believe nothing that does not match."""

from __future__ import annotations

from django.utils import timezone

from dbadmin import audit
from dbadmin.archives.manifest import Manifest
from dbadmin.archives.reader import read_manifest, verify
from dbadmin.choices import BackupState
from dbadmin.exceptions import CorruptArchive, Refused
from dbadmin.models import Backup
from dbadmin.progress import Progress
from dbadmin.storages.base import Storage
from dbadmin.text import Text


def verify_backup(backup: Backup, progress: Progress) -> Backup:
    """Compare every stored byte with the manifest and the catalogue.

    Sets ``verified_at`` (and a damaged backup, mended outside, is available again). ``CorruptArchive`` sets the
    backup damaged; ``StorageError``, such as a disk that is not mounted, says nothing about it.
    """
    require_stored(backup)
    backend = backup.storage.backend()
    try:
        verify(backend, backup.key, trusted_manifest(backup, backend), progress)
    except CorruptArchive:
        mark_damaged(backup)
        raise
    backup.verified_at, backup.state = timezone.now(), BackupState.AVAILABLE
    backup.save(update_fields=["verified_at", "state"])
    return backup


def require_stored(backup: Backup) -> None:
    """Refuse for a backup whose archive was deleted."""
    if backup.state == BackupState.DELETED:
        raise Refused(Text("The archive of this backup was deleted."), Text("Choose another backup."))


def trusted_manifest(backup: Backup, backend: Storage) -> Manifest:
    """Read the stored manifest; ``CorruptArchive`` when it is not the one the catalogue knows."""
    manifest = read_manifest(backend, backup.key)
    expected = (backup.sha256, backup.size, backup.database.engine, backup.scope)
    if expected != (manifest.archive_sha256, manifest.archive_size, manifest.engine, manifest.scope):
        raise CorruptArchive(
            Text("The manifest belongs to another archive than the catalogue says."),
            Text("Somebody exchanged files in the storage. Choose another backup."),
        )
    return manifest


def mark_damaged(backup: Backup) -> None:
    """Note that the archive must not be believed."""
    backup.state = BackupState.DAMAGED
    backup.save(update_fields=["state"])
    audit.record(audit.SYSTEM, "backup.damaged", backup)
