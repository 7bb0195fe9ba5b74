"""Jobs where the encryption key is lost: what needs nothing that is locked goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dbadmin.archives.age import new_identity
from dbadmin.archives.manifest import ARCHIVE_NAME
from dbadmin.backups.missing import ask_for, store_missing
from dbadmin.backups.reading import unpack
from dbadmin.backups.reconcile import reconcile
from dbadmin.backups.take import discard_unfinished, take_backup
from dbadmin.backups.verify import verify_backup
from dbadmin.choices import CopyState
from dbadmin.exceptions import KeyMissing, StorageError, ValidationFailed
from dbadmin.models import Backup, Database, EncryptionKey, Storage
from dbadmin.progress import Silent
from tests.factories import make_copy, make_job, make_storage
from tests.lost_key import lose_key, make_cloud


def take(database: Database, *storages: Storage) -> Backup:
    return take_backup(database=database, storages=storages, scope="full", progress=Silent())


@pytest.fixture
def shut(db: None) -> EncryptionKey:
    identity, recipient = new_identity()
    key = EncryptionKey(name="shut", recipient=recipient)
    key.identity = identity
    key.save()
    return key


def test_what_is_sealed_is_verified_and_copied_without_the_private_key(
    database: Database, shut: EncryptionKey, tmp_path: Path, settings: Any
) -> None:
    here, there = make_storage(tmp_path / "here"), make_storage(tmp_path / "there")
    for storage in (here, there):
        storage.keys.add(shut)
    backup = take(database, here)
    lose_key(settings)
    verify_backup(backup, Silent())
    ask_for(backup, there)
    done, failed = store_missing(database, Silent())
    assert ([copy.storage for copy in done], failed) == ([there], [])
    with pytest.raises(KeyMissing, match="private key"):
        unpack(backup, tmp_path / "out", Silent())


def test_one_locked_storage_leaves_the_others_looked_into(backup: Backup, storage: Storage, settings: Any) -> None:
    locked = make_cloud(name="Aloft")
    make_copy(backup=backup, storage=locked)
    lose_key(settings)
    next(Path(storage.settings["path"]).rglob(ARCHIVE_NAME)).unlink()
    with pytest.raises(StorageError, match="Aloft: The stored password cannot be decrypted"):
        reconcile(database=backup.database, progress=Silent())
    assert backup.copies.get(storage=storage).state == CopyState.VANISHED


def test_one_locked_storage_keeps_no_left_overs_in_the_others(
    database: Database, storage: Storage, settings: Any
) -> None:
    locked = make_cloud(name="Aloft")
    lose_key(settings)
    left = Path(storage.settings["path"]) / "shop" / "1" / ARCHIVE_NAME
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    job = make_job(database=database, params={"key": "shop/1", "storing": [locked.pk, storage.pk]})
    with pytest.raises(ValidationFailed):
        discard_unfinished(job)
    assert not left.exists()
    job.refresh_from_db()
    assert job.params["storing"]
