"""Take a backup: dump once, store it in one storage after the other; with the first there is a row in the catalogue."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from dbadmin import audit
from dbadmin.archives.encryption import EncryptedStorage
from dbadmin.archives.manifest import Manifest
from dbadmin.archives.writer import ArchiveWriter
from dbadmin.backups import copies, own
from dbadmin.backups.spool import require_space, spool
from dbadmin.backups.storing import Placed, described, discarded, place, require_room, require_vacant, still_held
from dbadmin.choices import CopyState
from dbadmin.engines.base import Dump
from dbadmin.exceptions import Cancelled, DbadminError, Refused, StorageError
from dbadmin.models import Backup, Copy, Database, Job, Schedule, Storage
from dbadmin.progress import Progress
from dbadmin.text import Text, joined


def take_backup(
    *,
    database: Database,
    storages: Sequence[Storage],
    scope: str,
    progress: Progress,
    job: Job | None = None,
    schedule: Schedule | None = None,
    spare: Sequence[Storage] = (),
) -> Backup:
    """Dump ``database`` and store it in each of ``storages``; the row exists only because a manifest is stored.

    A storage that fails does not spoil the others: its copy says why, and when it is tried again (``missing_copies``).
    When all fail, one of ``spare`` is used instead; when these fail, too, a ``DbadminError`` subclass is raised and
    neither the spool nor a storage holds anything of it.
    """
    _require_scope(database, scope)
    began = timezone.now()
    key = f"{database.slug}/{began:%Y%m%dT%H%M%SZ}-{scope}-{secrets.token_hex(4)}"
    waiting = list(dict.fromkeys(storages))
    taking = _Taking(
        database=database, scope=scope, began=began, key=key, waiting=waiting, of=len(waiting), spare=list(spare),
        job=job, schedule=schedule, progress=progress,
    )  # fmt: skip
    taking.look_ahead()
    if database.is_catalogue:
        own.refresh_copy()
    with spool(job) as folder:
        dump = database.adapter.dump(
            database.connection(), scope=scope, spool=folder, progress=progress, measuring=database.measuring
        )
        for warning in dump.warnings:
            progress.log(warning, level="warning")
        return taking.store(folder, dump)


def discard_unfinished(job: Job) -> None:
    """Remove what a job that is over left in storages; where a storage is away, ``DbadminError``, and call it again.

    With a row in the catalogue nothing is removed: what a storage lacks then is a copy that is made later.
    """
    traces = job.params
    if not (begun := traces.get("storing")):
        return
    if not Backup.objects.filter(key=traces["key"]).exists():
        _discard(traces["key"], Storage.objects.filter(pk__in=begun))
    job.note(storing=[])


def _discard(key: str, storages: Iterable[Storage]) -> None:
    """Raise the first ``DbadminError`` after the others: a storage that is away keeps nothing in those that are not."""
    first: DbadminError | None = None
    for storage in storages:
        try:
            storage.backend().discard(key)
        except DbadminError as error:
            first = first or error
    if first is not None:
        raise first


@dataclass(kw_only=True)
class _Taking:
    """One backup on its way. ``waiting``: whose turn is still to come; ``failed``: which have not got it, and why."""

    database: Database
    scope: str
    began: datetime
    key: str
    waiting: list[Storage]
    of: int
    spare: list[Storage]
    job: Job | None
    schedule: Schedule | None
    progress: Progress
    failed: dict[Storage, DbadminError] = field(default_factory=dict)
    begun: list[int] = field(default_factory=list)
    is_spent: bool = False
    backup: Backup | None = None
    manifest: Manifest | None = None

    def look_ahead(self) -> None:
        """The newest archive tells about how much will be needed; without one nothing is known beforehand."""
        earlier = Backup.objects.available().filter(database=self.database, scope=self.scope)
        if (size := earlier.order_by("-finished_at").values_list("size", flat=True).first()) is None:
            return
        require_space(size)
        for storage in self.waiting:
            try:
                require_room(storage.backend(), size, storage.name)
            except DbadminError as error:
                self._has_failed(storage, error)
        self.waiting = [storage for storage in self.waiting if storage not in self.failed]
        self._require_any_left()

    def store(self, folder: Path, dump: Dump) -> Backup:
        """Store what was dumped; once it exists, what is broken off is a copy that is made later."""
        self.progress.check()
        while self.backup is None:
            self._require_any_left()
            self._try(self.waiting.pop(0), folder, dump)
        self._note(begun=[])
        if self.is_spent:
            return self.backup  # a copy that somebody has asked for meanwhile is made from this one
        for copy in self.backup.copies.filter(state=CopyState.WAITING).select_related("storage"):
            copy.backup = self.backup
            try:
                self._add(copy, folder, dump)
            except Cancelled:
                copies.postpone(self.backup.copies.filter(state=CopyState.WAITING), self.job)
                raise
        return self.backup

    def _try(self, storage: Storage, folder: Path, dump: Dump) -> None:
        self._note(begun=[*self.begun, storage.pk])
        try:
            placed = self._place(storage.for_writing(), folder, dump, storage.name)
            self._catalogue(storage, placed)
        except BaseException as error:  # also when the worker is told to end
            if discarded(storage, self.key):
                self._note(begun=[pk for pk in self.begun if pk != storage.pk])
            if isinstance(error, Cancelled) or not isinstance(error, DbadminError):
                raise
            self._has_failed(storage, error)

    def _add(self, copy: Copy, folder: Path, dump: Dump) -> None:
        has_begun = False
        try:
            target = copy.storage.for_writing()
            require_vacant(target, self.key, copy.storage.name)
            has_begun = True
            copies.is_stored(copy, self._place(target, folder, dump, copy.storage.name), self.job)
        except BaseException as error:
            # When the job was given up, another one may be storing it by now.
            if has_begun and still_held(self.job):
                discarded(copy.storage, self.key)
            if isinstance(error, Cancelled) or not isinstance(error, DbadminError):
                raise
            copies.has_failed(copy, error)
            self._has_failed(copy.storage, error)

    def _place(self, backend: EncryptedStorage, folder: Path, dump: Dump, name: str) -> Placed:
        require_room(backend, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()), name)
        if self.is_spent:
            raise RuntimeError("The dump has been stored once, and its files were given back.")
        self.is_spent = self.of == 1 and not self.spare
        writer = ArchiveWriter(folder, self.progress, attributes=dump.attributes, once=self.is_spent)
        return place(
            backend,
            self.key,
            archive=lambda: writer.write(backend, self.key),
            manifest=lambda: self._described(dump, writer),
            progress=self.progress,
        )

    def _described(self, dump: Dump, writer: ArchiveWriter) -> Manifest:
        """The same in every storage: the tar is the same to the last byte."""
        self.manifest = self.manifest or self._manifest(dump, writer)
        return self.manifest

    def _manifest(self, dump: Dump, writer: ArchiveWriter) -> Manifest:
        return Manifest(
            engine=self.database.engine,
            application=self.database.application.slug,
            database=self.database.slug,
            scope=self.scope,
            started_at=self.began,
            finished_at=timezone.now(),
            server_version=dump.server_version,
            client_version=dump.client_version,
            facts=dump.facts,
            members=tuple(writer.members),
            archive_size=writer.size,
            archive_sha256=writer.sha256,
            origin=dump.origin,
        )

    @transaction.atomic
    def _catalogue(self, storage: Storage, placed: Placed) -> None:
        """Make the row, and those of all copies: this one, those that failed, those whose turn is still to come."""
        if self.job is not None:
            self.job.require_held()
        manifest = self.manifest
        assert manifest is not None
        backup = Backup.objects.create(
            database=self.database,
            storage=storage,
            job=self.job,
            schedule=self.schedule,
            key=self.key,
            **described(manifest),
            verified_at=timezone.now(),
        )
        copies.is_stored(Copy(backup=backup, storage=storage), placed)
        for failed, error in self.failed.items():
            copies.has_failed(Copy(backup=backup, storage=failed), error)
        now = timezone.now()
        Copy.objects.bulk_create(Copy(backup=backup, storage=waiting, retry_at=now) for waiting in self.waiting)
        copies.settle(backup)
        audit.record(audit.from_job(self.job), "backup.complete", backup, size=backup.size, rows=backup.row_count)
        self.backup = backup

    def _note(self, *, begun: list[int]) -> None:
        """What the job's row names is removed by the reaper when this process dies, and later when it cannot be now."""
        self.begun = begun
        if self.job is not None:
            self.job.note(key=self.key, storing=begun)

    def _has_failed(self, storage: Storage, error: DbadminError) -> None:
        self.failed[storage] = error
        if self.of > 1:  # with a single one the job itself says why
            line = Text("“{storage}” has not got it: {reason}", storage=storage.name, reason=error.message)
            self.progress.log(line, level="warning")

    def _require_any_left(self) -> None:
        if not self.waiting and self.spare:
            self.waiting, self.of = [self.spare.pop(0)], self.of + 1
        if self.waiting:
            return
        if len(self.failed) == 1:
            raise next(iter(self.failed.values()))
        raise _none_has_it(self.failed)


def _none_has_it(failed: Mapping[Storage, DbadminError]) -> StorageError:
    reasons = (
        Text("{storage}: {reason}", storage=storage.name, reason=error.message) for storage, error in failed.items()
    )
    return StorageError(
        Text("None of {count} storages has got the backup. {reasons}", count=len(failed), reasons=joined(reasons)),
        joined(error.hint for error in failed.values()),
    )


def _require_scope(database: Database, scope: str) -> None:
    if scope not in database.adapter.scopes:
        raise Refused(
            Text("{engine} has no backup of scope “{scope}”.", engine=database.adapter.label, scope=scope),
            Text("Possible are: {scopes}.", scopes=", ".join(database.adapter.scopes)),
        )
