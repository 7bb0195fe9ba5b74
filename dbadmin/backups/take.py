"""Take a backup: dump, archive, manifest, and only then a row in the catalogue."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from dbadmin import audit
from dbadmin.archives.manifest import MANIFEST_NAME, Manifest
from dbadmin.archives.reader import read_manifest, verify
from dbadmin.archives.writer import ArchiveWriter
from dbadmin.backups.spool import require_space, spool
from dbadmin.engines.base import Dump
from dbadmin.exceptions import Refused
from dbadmin.models import Backup, Database, Job, Storage
from dbadmin.progress import Progress
from dbadmin.storages.base import Storage as StorageBackend
from dbadmin.text import Text


def take_backup(
    *, database: Database, storage: Storage, scope: str, progress: Progress, job: Job | None = None
) -> Backup:
    """Dump ``database`` and store it; the returned row exists only because its manifest is stored.

    Raises ``DbadminError`` subclasses; then neither the spool nor the storage holds anything of it.
    """
    _require_scope(database, scope)
    _require_space(database, storage, scope)
    taking = _Taking(database=database, storage=storage, scope=scope, started_at=timezone.now(), job=job)
    with spool(job) as folder:
        dump = database.adapter.dump(
            database.connection(), scope=scope, spool=folder, progress=progress, measuring=database.measuring
        )
        for warning in dump.warnings:
            progress.log(warning, level="warning")
        return taking.store(folder, dump, progress)


@dataclass(frozen=True, kw_only=True)
class _Taking:
    database: Database
    storage: Storage
    scope: str
    started_at: datetime
    job: Job | None

    def store(self, folder: Path, dump: Dump, progress: Progress) -> Backup:
        progress.check()
        backend = self.storage.backend()
        _require_stored_space(backend, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))
        key = self._key()
        with _nothing_left(backend, key):
            writer = ArchiveWriter(folder, progress, attributes=dump.attributes)
            writer.write(backend, key)
            manifest = self._manifest(dump, writer)
            backend.write(f"{key}/{MANIFEST_NAME}", [manifest.to_bytes()])
            # What cannot be read back as it was written never becomes a backup.
            verify(backend, key, read_manifest(backend, key), progress)
            return self._catalogue(key, manifest)

    def _key(self) -> str:
        key = f"{self.database.slug}/{self.started_at:%Y%m%dT%H%M%SZ}-{self.scope}-{secrets.token_hex(4)}"
        if self.job is not None:
            self.job.note(storage=self.storage.pk, key=key)
        return key

    def _manifest(self, dump: Dump, writer: ArchiveWriter) -> Manifest:
        return Manifest(
            engine=self.database.engine,
            application=self.database.application.slug,
            database=self.database.slug,
            scope=self.scope,
            started_at=self.started_at,
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
    def _catalogue(self, key: str, manifest: Manifest) -> Backup:
        if self.job is not None:
            self.job.require_held()
        backup = Backup.objects.create(
            database=self.database,
            storage=self.storage,
            job=self.job,
            key=key,
            scope=self.scope,
            started_at=manifest.started_at,
            finished_at=manifest.finished_at,
            size=manifest.archive_size,
            sha256=manifest.archive_sha256,
            row_count=manifest.facts.rows,
            server_version=manifest.server_version,
            client_version=manifest.client_version,
            schema_head=_head(manifest.facts.schema_head),
            facts=manifest.facts.to_json(),
            origin=dict(manifest.origin),
            verified_at=timezone.now(),
        )
        audit.record(audit.from_job(self.job), "backup.complete", backup, size=backup.size, rows=backup.row_count)
        return backup


def discard_unfinished(job: Job) -> None:
    """Remove what a backup job that died left in its storage; a completed backup is left alone."""
    key = job.params.get("key")
    if not key or Backup.objects.filter(key=key, storage=job.params["storage"]).exists():
        return
    Storage.objects.get(pk=job.params["storage"]).backend().discard(key)


def _require_scope(database: Database, scope: str) -> None:
    if scope not in database.adapter.scopes:
        raise Refused(
            Text("{engine} has no backup of scope “{scope}”.", engine=database.adapter.label, scope=scope),
            Text("Possible are: {scopes}.", scopes=", ".join(database.adapter.scopes)),
        )


def _require_space(database: Database, storage: Storage, scope: str) -> None:
    """The newest archive tells about how much will be needed; without one nothing is known beforehand."""
    newest = Backup.objects.available().filter(database=database, scope=scope).order_by("-finished_at").first()
    if newest is not None:
        require_space(newest.size)
        _require_stored_space(storage.backend(), newest.size)


def _require_stored_space(backend: StorageBackend, needed: int) -> None:
    free = backend.free_bytes()
    if free is not None and needed > free:
        raise Refused(
            Text(
                "The storage has {free} MB free; about {needed} MB are needed.",
                free=free // 1_000_000,
                needed=needed // 1_000_000 + 1,
            ),
            Text("Free some space there, or choose another storage."),
        )


@contextmanager
def _nothing_left(backend: StorageBackend, key: str) -> Iterator[None]:
    try:
        yield
    except BaseException:  # also when the worker is told to end
        backend.discard(key)
        raise


def _head(schema_head: Mapping[str, list[str]]) -> str:
    heads = (f"{tool}:{','.join(heads)}" for tool, heads in sorted(schema_head.items()) if heads)
    return " ".join(heads)[:200]
