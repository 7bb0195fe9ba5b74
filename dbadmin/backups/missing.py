"""Make the copies that a storage has not got yet, from one that is good."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from dbadmin import audit
from dbadmin.archives.encryption import EncryptedStorage
from dbadmin.archives.manifest import ARCHIVE_NAME, MANIFEST_NAME, Manifest
from dbadmin.backups import copies
from dbadmin.backups.reading import read, trusted_manifest
from dbadmin.backups.storing import (
    Placed,
    check,
    check_sealed,
    discarded,
    is_readable,
    place,
    recipients_of,
    require_room,
    still_held,
)
from dbadmin.backups.take import discard_unfinished
from dbadmin.backups.twins import same_place, twin_of
from dbadmin.choices import CopyState, JobKind, JobState
from dbadmin.exceptions import Cancelled, CorruptArchive, DbadminError, KeyMissing, Refused, StorageError
from dbadmin.models import Backup, Copy, Database, Job, Storage
from dbadmin.progress import Progress
from dbadmin.storages.base import Storage as StorageBackend
from dbadmin.text import Text

# What a job that failed has left in a storage that was away is looked for so long, and not more often.
REMEMBERED, AGAIN_AFTER = copies.AFTERWARDS * 28, copies.BACK_OFF[2]
OVER_BADLY = (JobState.FAILED, JobState.LOST, JobState.CANCELLED, JobState.ERRORED)


def store_missing(database: Database, progress: Progress, job: Job | None = None) -> tuple[list[Copy], list[Copy]]:
    """Make every copy of ``database`` that is due; return those that are stored now, and those that failed again.

    A failure is written to its copy with the time of the next try. What earlier jobs left half stored is removed.
    """
    for left in _left_over(database, timezone.now()):
        _discard(left, progress)
    done: list[Copy] = []
    failed: list[Copy] = []
    for copy in copies.due_of(database.pk, timezone.now()):
        progress.check()
        (done if _make(copy, progress, job) else failed).append(copy)
    return done, failed


def ask_for(backup: Backup, storage: Storage | None = None) -> None:
    """Have the missing copies of a backup be due now; with ``storage`` that one, also where there was to be none."""
    with transaction.atomic():
        if storage is not None:
            _require_new(backup, storage)
            Copy.objects.get_or_create(backup=backup, storage=storage)
        missing = Copy.objects.filter(copies.MISSING, backup=backup)
        copies.lock_copies(missing)
        missing.update(retry_at=timezone.now())
        copies.settle(backup)


def databases_in_need(now: datetime) -> set[int]:
    """Return the ids of the databases for which there is something to do; a constant number of queries."""
    recent = Job.objects.filter(kind=JobKind.COPY, created_at__gt=now - AGAIN_AFTER).values("database")
    left = _jobs_with_traces(now).exclude(database__in=recent)
    return set(copies.due(now)) | {job.database_id for job in left if job.params.get("storing")}


def _make(copy: Copy, progress: Progress, job: Job | None) -> bool:
    name = copy.storage.name
    if not copies.is_wanted(copy):  # it has expired since, or another process has made it
        return True
    progress.log(Text("Copying {backup} to {storage}", backup=copy.backup.key, storage=name))
    try:
        placed = _Copying(copy, progress, job).run()
    except Cancelled:
        copies.postpone(Copy.objects.filter(pk=copy.pk), job)
        raise
    except DbadminError as error:
        copies.has_failed(copy, error)
        progress.log(Text("“{storage}” has not got it: {reason}", storage=name, reason=error.message), level="error")
        return False
    audit.record(audit.from_job(job), "copy.stored", copy.backup, storage=name, size=placed.size)
    return True


class _Copying:
    """One archive on its way from a good copy to where it is missing."""

    def __init__(self, copy: Copy, progress: Progress, job: Job | None) -> None:
        self._copy, self._progress, self._job = copy, progress, job
        self._key, self._backup = copy.backup.key, copy.backup
        self._reading_failed = self._has_begun = False

    def run(self) -> Placed:
        """Store it, and leave nothing when that fails."""
        target = self._copy.storage.for_writing()
        require_room(target, self._backup.size, self._copy.storage.name)
        try:
            placed = read(
                self._backup,
                lambda copy, source: self._from(copy, source, target),
                progress=self._progress,
                besides=self._copy.storage,
            )
            copies.is_stored(self._copy, placed, self._job)
            return placed
        except BaseException as error:  # also when the worker is told to end
            self._clear()
            raise (error.error if isinstance(error, _TargetFailed) else error) from None

    def _clear(self) -> None:
        """Remove what was begun. When the job was given up, another one may be storing the same by now."""
        if self._has_begun and still_held(self._job):
            discarded(self._copy.storage, self._key)

    def _from(self, copy: Copy, source: StorageBackend, target: StorageBackend) -> Placed:
        sealed = not is_readable(source, self._key)
        if sealed:
            self._require_same_keys(copy, target)
        if self._copy.state not in (CopyState.WAITING, CopyState.FAILED):
            self._require_sound(copy, source)
        manifest = None if sealed else trusted_manifest(self._backup, source)
        self._require_elsewhere(copy, target)
        self._reading_failed, self._has_begun = False, True
        try:
            target.discard(self._key)
            return self._place(source, target, manifest) if manifest else self._place_sealed(copy, source, target)
        except StorageError as error:
            if self._reading_failed:
                raise
            raise _TargetFailed(error) from error

    def _require_sound(self, copy: Copy, source: StorageBackend) -> None:
        """Something is there already, and perhaps it is better than nothing: it goes only for a good one."""
        check(
            source, self._key, sha256=copy.sha256, manifest=lambda: trusted_manifest(self._backup, source),
            progress=self._progress,
        )  # fmt: skip

    def _require_elsewhere(self, copy: Copy, target: StorageBackend) -> None:
        """What lies where it shall go is discarded before, unless that is what shall be copied."""
        try:
            is_there = next(iter(target.list(f"{self._key}/")), None) is not None
            if is_there and twin_of(target, [copy.storage]):
                raise same_place(self._copy.storage.name, copy.storage)
        except StorageError as error:
            raise _TargetFailed(error) from error

    def _require_same_keys(self, copy: Copy, target: StorageBackend) -> None:
        """What cannot be opened can only be copied as it is."""
        if set(recipients_of(target)) != set(copy.recipients):
            raise KeyMissing(
                Text(
                    "No private key here opens the copy in “{storage}”, and “{target}” is encrypted for other keys.",
                    storage=copy.storage.name,
                    target=self._copy.storage.name,
                ),
                Text("Add its private key on the page of the keys, or encrypt both storages for the same keys."),
            )

    def _place(self, source: StorageBackend, target: StorageBackend, manifest: Manifest) -> Placed:
        self._progress.phase(Text("Storing the archive"), total=manifest.archive_size)
        name, size = f"{self._key}/{ARCHIVE_NAME}", manifest.archive_size
        chunks = self._checked(source.open(name), manifest.archive_sha256, size)
        return place(
            target,
            self._key,
            archive=lambda: target.write(name, chunks, expected_size=size),
            manifest=lambda: manifest,
            progress=self._progress,
        )

    def _place_sealed(self, copy: Copy, source: StorageBackend, target: StorageBackend) -> Placed:
        assert isinstance(source, EncryptedStorage)
        assert isinstance(target, EncryptedStorage)
        self._progress.phase(Text("Storing the archive"), total=copy.size)
        name = f"{self._key}/{ARCHIVE_NAME}"
        chunks = self._checked(source.open_sealed(name), copy.sha256, copy.size)
        stored = target.write_sealed(name, chunks, expected_size=copy.size)
        name = f"{self._key}/{MANIFEST_NAME}"
        target.write_sealed(name, source.open_sealed(name))
        check_sealed(target, self._key, copy.sha256, self._progress)
        return Placed(size=stored.size, sha256=copy.sha256, recipients=tuple(copy.recipients))

    def _checked(self, chunks: Iterable[bytes], sha256: str, size: int) -> Iterator[bytes]:
        """What is not the archive that was taken is not spread."""
        digest, done = hashlib.sha256(), 0
        self._reading_failed = True
        for chunk in chunks:
            digest.update(chunk)
            done += len(chunk)
            self._reading_failed = False
            self._progress.update(done)
            self._progress.check()
            yield chunk
            self._reading_failed = True
        if (digest.hexdigest(), done) != (sha256, size):
            raise CorruptArchive(
                Text(
                    "The archive does not match its manifest. {what}", what=Text("The archive as a whole has changed.")
                ),
                Text("It was not copied. Check the disk it is kept on."),
            )
        self._reading_failed = False


class _TargetFailed(Exception):
    """Where it should go, it could not: another source would not help."""

    def __init__(self, error: StorageError) -> None:
        super().__init__(error)
        self.error = error


def _require_new(backup: Backup, storage: Storage) -> None:
    if storage.removed_at is not None:
        raise Refused(Text("“{storage}” was removed from the dashboard.", storage=storage.name))
    held = Copy.objects.filter(backup=backup, storage=storage).exclude(copies.MISSING)
    if held.exists():
        raise Refused(Text("“{storage}” has, or had, a copy of this backup.", storage=storage.name))


def _left_over(database: Database, now: datetime) -> list[Job]:
    return [job for job in _jobs_with_traces(now).filter(database=database) if job.params.get("storing")]


def _jobs_with_traces(now: datetime) -> QuerySet[Job]:
    over = Job.objects.filter(state__in=OVER_BADLY, finished_at__gt=now - REMEMBERED, params__has_key="storing")
    return over.only("params", "database", "state")


def _discard(left: Job, progress: Progress) -> None:
    try:
        discard_unfinished(left)
    except DbadminError as error:
        line = Text(
            "What job {job} left half stored cannot be removed yet: {reason}", job=left.pk, reason=error.message
        )
        progress.log(line, level="warning")
