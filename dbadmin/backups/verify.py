"""Re-read what is stored and believe nothing that does not match."""

from __future__ import annotations

from collections.abc import Iterable

from dbadmin.archives.encryption import EncryptedStorage
from dbadmin.archives.manifest import ARCHIVE_NAME
from dbadmin.backups.copies import HELD, is_sound
from dbadmin.backups.reading import mark, require_stored, trusted_manifest
from dbadmin.backups.storing import check
from dbadmin.exceptions import CorruptArchive, DbadminError, StorageError, ValidationFailed
from dbadmin.models import Backup, Copy
from dbadmin.progress import Progress
from dbadmin.text import Text


def verify_backup(backup: Backup, progress: Progress, *, copy: Copy | None = None) -> Backup:
    """Compare every stored byte of each copy, or of ``copy`` alone, with the manifest and the catalogue.

    Without the private key a sealed copy is compared as it is stored, by the hash in the catalogue.

    What is found is written to each: sound (also one that was damaged, mended outside), damaged, gone, or nothing but
    a sentence, such as for a disk that is not mounted. Sets ``verified_at``. When one was not sound, the first
    ``StorageError`` is raised after all were looked at; ``CorruptArchive`` comes before those that say nothing.
    """
    require_stored(backup)
    copies = list(_copies(backup, copy))
    failures = [(each, error) for each in copies if (error := _failure(each, backup, progress))]
    backup.refresh_from_db()
    if failures:
        raise _summary(failures, of=len(copies))
    return backup


def _copies(backup: Backup, chosen: Copy | None) -> Iterable[Copy]:
    held = Copy.objects.filter(backup=backup, state__in=HELD).select_related("storage")
    for copy in held.filter(pk=chosen.pk) if chosen else held:
        copy.backup = backup
        yield copy


def _failure(copy: Copy, backup: Backup, progress: Progress) -> DbadminError | None:
    progress.log(Text("Reading the copy in {storage}", storage=copy.storage.name))
    try:
        _compare(copy, copy.storage.backend(), progress)
    except (StorageError, ValidationFailed) as error:
        mark(copy, error)
        name, reason = copy.storage.name, error.message
        progress.log(Text("{storage}: {reason}", storage=name, reason=reason), level="error")
        return error
    is_sound(copy)
    return None


def _compare(copy: Copy, backend: EncryptedStorage, progress: Progress) -> None:
    backup, archive = copy.backup, f"{copy.backup.key}/{ARCHIVE_NAME}"
    if copy.recipients and not backend.can_open(archive):
        progress.phase(Text("Checking the encrypted archive"), total=copy.size)
        backend.check_sealed(archive, copy.sha256, progress)
    else:
        check(
            backend, backup.key, sha256=copy.sha256, manifest=lambda: trusted_manifest(backup, backend),
            progress=progress,
        )  # fmt: skip


def _summary(failures: list[tuple[Copy, DbadminError]], *, of: int) -> DbadminError:
    copy, error = min(failures, key=lambda failure: not isinstance(failure[1], CorruptArchive))
    if of == 1:
        return error
    kind = CorruptArchive if isinstance(error, CorruptArchive) else StorageError
    return kind(
        Text(
            "{bad} of {all} copies are not as they were stored. {storage}: {reason}",
            bad=len(failures),
            all=of,
            storage=copy.storage.name,
            reason=error.message,
        ),
        Text("A copy that is damaged or gone is made again from a good one. Check the disk it was kept on."),
    )
