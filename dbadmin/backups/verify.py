"""Re-read what is stored and believe nothing that does not match."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dbadmin.archives.encryption import EncryptedStorage
from dbadmin.archives.manifest import ARCHIVE_NAME
from dbadmin.backups.copies import HELD, is_sound
from dbadmin.backups.reading import mark, require_stored, trusted_manifest
from dbadmin.backups.storing import check
from dbadmin.exceptions import CorruptArchive, DbadminError, StorageError, ValidationFailed
from dbadmin.models import Backup, Copy
from dbadmin.progress import Progress
from dbadmin.text import Text, joined


@dataclass(frozen=True, kw_only=True)
class _Failure:
    """``is_bad``: the copy was read and is damaged or gone; otherwise nothing is known of it."""

    storage: str
    error: DbadminError
    is_bad: bool

    @property
    def sentence(self) -> Text:
        return Text("{storage}: {reason}", storage=self.storage, reason=self.error.message)


def verify_backup(backup: Backup, progress: Progress, *, copy: Copy | None = None) -> Backup:
    """Compare every stored byte of each copy, or of ``copy`` alone, with the manifest and the catalogue.

    Without the private key a sealed copy is compared as it is stored, by the hash in the catalogue.

    What is found is written to each: sound (also one that was damaged, mended outside), damaged, gone, or nothing but
    a sentence, such as for a disk that is not mounted. Sets ``verified_at``. When one was not sound or not reached, a
    ``StorageError`` that tells the two apart is raised after all were looked at: ``CorruptArchive`` when one is bad.
    """
    require_stored(backup)
    copies = list(_copies(backup, copy))
    failures = [failure for each in copies if (failure := _failure(each, progress))]
    backup.refresh_from_db()
    if failures:
        raise _summary(failures, of=len(copies))
    return backup


def _copies(backup: Backup, chosen: Copy | None) -> Iterable[Copy]:
    held = Copy.objects.filter(backup=backup, state__in=HELD).select_related("storage")
    for copy in held.filter(pk=chosen.pk) if chosen else held:
        copy.backup = backup
        yield copy


def _failure(copy: Copy, progress: Progress) -> _Failure | None:
    progress.log(Text("Reading the copy in {storage}", storage=copy.storage.name))
    try:
        _compare(copy, copy.storage.backend(), progress)
    except (StorageError, ValidationFailed) as error:
        failure = _Failure(storage=copy.storage.name, error=error, is_bad=mark(copy, error))
        progress.log(failure.sentence, level="error")
        return failure
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


def _summary(failures: Sequence[_Failure], *, of: int) -> DbadminError:
    if of == 1:
        return failures[0].error
    bad = [failure for failure in failures if failure.is_bad]
    away = [failure for failure in failures if not failure.is_bad]
    kind = CorruptArchive if any(isinstance(failure.error, CorruptArchive) for failure in bad) else StorageError
    said = [each(found, of) for each, found in ((_told_bad, bad), (_told_away, away)) if found]
    return kind(joined(message for message, _hint in said), joined(hint for _message, hint in said))


def _told_bad(failures: Sequence[_Failure], of: int) -> tuple[Text, Text]:
    return Text(
        "{bad} of {all} copies are not as they were stored. {reasons}",
        bad=len(failures),
        all=of,
        reasons=joined(failure.sentence for failure in failures),
    ), Text("A copy that is damaged or gone is made again from a good one. Check the disk it was kept on.")


def _told_away(failures: Sequence[_Failure], of: int) -> tuple[Text, Text]:
    return Text(
        "{away} of {all} copies could not be read. {reasons}",
        away=len(failures),
        all=of,
        reasons=joined(failure.sentence for failure in failures),
    ), Text("Whether a copy that was not read is good is not known. Verify it again when its storage can be reached.")
