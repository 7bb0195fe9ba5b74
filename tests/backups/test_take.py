from __future__ import annotations

import re
import sqlite3
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from django.utils import timezone

from dbadmin.archives.reader import read_manifest
from dbadmin.backups import copies
from dbadmin.backups.take import take_backup
from dbadmin.choices import CopyState
from dbadmin.exceptions import Cancelled, DbadminError, Refused, StorageError
from dbadmin.models import AuditEvent, Backup, Copy, Database, Storage
from dbadmin.progress import Silent
from dbadmin.storages.base import StoredObject
from dbadmin.storages.local import LocalStorage
from dbadmin.text import Text
from tests.backups.files import below, spools
from tests.factories import make_backup, make_storage


class CancelledAt(Silent):
    """Somebody presses Cancel as soon as this phase begins."""

    def __init__(self, phase: str) -> None:
        self._phase = phase

    def phase(self, name: Text, *, total: int | None = None, unit: str = "bytes") -> None:
        if name.msgid == self._phase:
            raise Cancelled


def test_a_backup_is_a_tar_with_a_manifest_beside_it(backup: Backup) -> None:
    folder = Path(backup.storage.settings["path"])
    assert re.fullmatch(r"shop/\d{8}T\d{6}Z-full-[0-9a-f]{8}", backup.key)
    assert below(folder) == [f"{backup.key}/backup.tar", f"{backup.key}/manifest.json"]
    with tarfile.open(folder / backup.key / "backup.tar") as tar:
        assert tar.getnames() == ["database.sqlite3.zst"]


def test_the_catalogue_has_what_the_manifest_has(backup: Backup) -> None:
    manifest = read_manifest(backup.storage.backend(), backup.key)
    assert (backup.sha256, backup.size) == (manifest.archive_sha256, manifest.archive_size)
    assert backup.row_count == 3 == manifest.facts.rows
    assert backup.measured() == manifest.facts.without_names()
    assert manifest.database == "shop"
    assert AuditEvent.objects.filter(action="backup.complete", object_id=str(backup.pk)).exists()


def test_the_schema_head_is_stored(database: Database, storage: Storage) -> None:
    with sqlite3.connect(database.settings["path"]) as db:
        db.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        db.execute("INSERT INTO alembic_version VALUES ('abc123')")
    db.close()
    backup = take_backup(database=database, storages=[storage], scope="full", progress=Silent())
    assert backup.schema_head == "alembic:abc123"


def test_no_spool_is_left(backup: Backup) -> None:
    assert spools() == []


@pytest.mark.parametrize("phase", ["Copying the database", "Storing the archive"])
def test_a_cancelled_backup_leaves_nothing(phase: str, database: Database, storage: Storage) -> None:
    with pytest.raises(Cancelled):
        take_backup(database=database, storages=[storage], scope="full", progress=CancelledAt(phase))
    assert below(Path(storage.settings["path"])) == []
    assert spools() == []
    assert not Backup.objects.exists()


def test_a_missing_file_leaves_nothing_and_says_so(database: Database, storage: Storage) -> None:
    Path(database.settings["path"]).unlink()
    with pytest.raises(DbadminError, match=r"shop\.db"):
        take_backup(database=database, storages=[storage], scope="full", progress=Silent())
    assert spools() == []


def test_a_manifest_that_cannot_be_stored_takes_the_tar_with_it(
    database: Database, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = storage.backend()
    original = type(backend).write

    def full_for_manifests(self: object, key: str, chunks: object, **expected: object) -> object:
        if key.endswith("manifest.json"):
            raise StorageError(Text("No space left."))
        return original(self, key, chunks, **expected)  # type: ignore[arg-type]

    monkeypatch.setattr(type(backend), "write", full_for_manifests)
    with pytest.raises(StorageError):
        take_backup(database=database, storages=[storage], scope="full", progress=Silent())
    assert below(Path(storage.settings["path"])) == []


def test_a_file_in_the_way_of_the_storage_is_a_sentence(database: Database, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="Check that the storage's folder"):
        take_backup(database=database, storages=[make_storage(tmp_path / "file")], scope="full", progress=Silent())
    assert spools() == []


def test_space_is_asked_for_before_work_begins(database: Database, storage: Storage) -> None:
    make_backup(database=database, storage=storage, size=10**18)
    with pytest.raises(Refused, match="are needed"):
        take_backup(database=database, storages=[storage], scope="full", progress=Silent())


def test_a_scope_the_engine_does_not_know_is_refused(database: Database, storage: Storage) -> None:
    with pytest.raises(Refused, match="full, schema, data"):
        take_backup(database=database, storages=[storage], scope="globals", progress=Silent())


class _Disk:
    """Looks for what is left of dumps whenever an archive has been written, and fails ``failures`` times then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, failures: int = 0) -> None:
        self.left: list[list[str]] = []
        self._failures = failures
        self._write = LocalStorage.write
        monkeypatch.setattr(LocalStorage, "write", lambda *given, **named: self._look(*given, **named))

    def _look(self, storage: LocalStorage, key: str, chunks: Iterable[bytes], **named: Any) -> StoredObject:
        stored = self._write(storage, key, chunks, **named)
        if key.endswith(".tar"):
            self.left.append([path.name for each in spools() for path in each.rglob("*") if path.is_file()])
            if len(self.left) <= self._failures:
                raise StorageError(Text("The cable was cut."))
        return stored


def test_a_dump_is_gone_when_the_only_storage_has_it(
    database: Database, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = _Disk(monkeypatch)
    take_backup(database=database, storages=[storage], scope="full", progress=Silent())
    assert disk.left == [[]]


@pytest.mark.parametrize("spare", [False, True])
def test_what_another_storage_may_need_stays_until_it_has_it(
    spare: bool, database: Database, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_storage(tmp_path / "elsewhere")
    given = {"storages": [storage], "spare": [other]} if spare else {"storages": [storage, other]}
    disk = _Disk(monkeypatch, failures=1)
    backup = take_backup(database=database, scope="full", progress=Silent(), **given)
    assert backup.storage == other
    assert disk.left[0] == ["database.sqlite3.zst"]
    with tarfile.open(Path(other.settings["path"]) / backup.key / "backup.tar") as tar:
        member = tar.extractfile("database.sqlite3.zst")
        assert member is not None
        assert zstd.decompress(member.read()).startswith(b"SQLite format 3")


def test_a_copy_somebody_asks_for_meanwhile_is_made_later(
    database: Database, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_storage(tmp_path / "elsewhere")
    settle = copies.settle

    def asked_for(backup: Backup) -> None:
        settle(backup)
        Copy.objects.get_or_create(backup=backup, storage=other, defaults={"retry_at": timezone.now()})

    monkeypatch.setattr(copies, "settle", asked_for)
    backup = take_backup(database=database, storages=[storage], scope="full", progress=Silent())
    assert [copy.state for copy in backup.copies.order_by("pk")] == [CopyState.STORED, CopyState.WAITING]
