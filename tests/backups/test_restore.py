from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from dbadmin.backups.restore import restore_backup
from dbadmin.backups.take import take_backup
from dbadmin.backups.verify import verify_backup
from dbadmin.choices import BackupState, RestoreState
from dbadmin.exceptions import CorruptArchive, DbadminError, Refused, StorageError
from dbadmin.models import Backup, Database, Restore, Storage
from dbadmin.progress import Silent
from dbadmin.text import Text
from tests.backups.files import flip_a_byte, spools, stored
from tests.factories import make_database
from tests.sqlite_file import make_sqlite_file, sqlite_database


def restore(backup: Backup, name: str = "copy.db", server: Database | None = None) -> Restore:
    return restore_backup(backup=backup, target_name=name, server=server, keep_owners=True, progress=Silent())


def test_a_restored_copy_is_equal(backup: Backup, tmp_path: Path) -> None:
    row = restore(backup)
    assert row.state == RestoreState.EXACT
    assert row.target == str(tmp_path / "copy.db")
    assert sqlite3.connect(tmp_path / "copy.db").execute("SELECT count(*) FROM releases").fetchone() == (3,)
    assert spools() == []


def test_a_schema_restored_is_equal_without_rows(database: Database, storage: Storage, tmp_path: Path) -> None:
    row = restore(take_backup(database=database, storages=[storage], scope="schema", progress=Silent()))
    assert (row.state, row.differences) == (RestoreState.EXACT, [])
    assert sqlite3.connect(tmp_path / "copy.db").execute("SELECT count(*) FROM releases").fetchone() == (0,)


def test_a_copy_that_differs_is_said_to_differ(database: Database, storage: Storage) -> None:
    backup = take_backup(database=database, storages=[storage], scope="full", progress=Silent())
    manifest = stored(backup, "manifest.json")
    manifest.write_text(manifest.read_text().replace('"releases": 3', '"releases": 4'))
    row = restore(backup)
    assert row.state == RestoreState.DIFFERENT
    assert row.differences == [{"subject": "releases", "expected": "4", "found": "3", "kind": ""}]


def test_what_exists_is_never_replaced(backup: Backup, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("mine")
    with pytest.raises(Refused, match="Choose a new name"):
        restore(backup)
    assert (tmp_path / "copy.db").read_text() == "mine"
    assert not Restore.objects.exists()


def test_a_flipped_byte_stops_the_restore_before_the_target(backup: Backup, tmp_path: Path) -> None:
    flip_a_byte(stored(backup, "backup.tar"))
    with pytest.raises(CorruptArchive):
        restore(backup)
    backup.refresh_from_db()
    assert backup.state == BackupState.DAMAGED
    assert Restore.objects.get().state == RestoreState.FAILED
    assert not (tmp_path / "copy.db").exists()
    assert spools() == []


def test_another_backups_manifest_is_not_believed(database: Database, storage: Storage, tmp_path: Path) -> None:
    one = take_backup(database=database, storages=[storage], scope="full", progress=Silent())
    make_sqlite_file(tmp_path / "other.db", rows=9)
    other = take_backup(
        database=sqlite_database(tmp_path / "other.db"), storages=[storage], scope="full", progress=Silent()
    )
    shutil.copy(stored(other, "manifest.json"), stored(one, "manifest.json"))
    with pytest.raises(CorruptArchive, match="another archive"):
        restore(one)
    shutil.copy(stored(other, "backup.tar"), stored(one, "backup.tar"))
    with pytest.raises(CorruptArchive, match="another archive"):
        restore(one)


@pytest.mark.parametrize("name", ["backup.tar", "manifest.json"])
def test_a_missing_file_is_named_and_the_backup_called_vanished(name: str, backup: Backup, tmp_path: Path) -> None:
    stored(backup, name).unlink()
    with pytest.raises(StorageError, match=name):
        restore(backup)
    backup.refresh_from_db()
    assert backup.state == BackupState.VANISHED
    assert not (tmp_path / "copy.db").exists()


def test_a_restore_that_fails_on_its_way_leaves_no_target(backup: Backup, tmp_path: Path) -> None:
    with pytest.raises(DbadminError):
        restore(backup, str(tmp_path / "no" / "folder" / "copy.db"))
    assert Restore.objects.get().state == RestoreState.FAILED
    assert spools() == []


def test_a_comparison_that_fails_discards_the_target(
    backup: Backup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*args: object, **options: object) -> None:
        raise StorageError(Text("The disk went away."))

    monkeypatch.setattr(type(backup.database.adapter), "facts", unreadable)
    with pytest.raises(StorageError):
        restore(backup)
    assert not (tmp_path / "copy.db").exists()
    assert Restore.objects.get().state == RestoreState.FAILED


def test_a_server_of_another_kind_is_refused(backup: Backup) -> None:
    with pytest.raises(Refused, match="another kind"):
        restore(backup, server=make_database(engine="files", settings={}))


def test_a_restore_beside_another_database_goes_there(backup: Backup, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    server = sqlite_database(make_sqlite_file(tmp_path / "elsewhere" / "b.db"))
    assert restore(backup, server=server).target == str(tmp_path / "elsewhere" / "copy.db")


def test_a_verified_backup_has_a_time(backup: Backup) -> None:
    assert verify_backup(backup, Silent()).verified_at is not None


def test_verify_finds_a_flipped_byte_and_a_mended_archive_is_available_again(backup: Backup) -> None:
    tar = stored(backup, "backup.tar")
    flip_a_byte(tar)
    with pytest.raises(CorruptArchive):
        verify_backup(backup, Silent())
    backup.refresh_from_db()
    assert backup.state == BackupState.DAMAGED
    flip_a_byte(tar)
    assert verify_backup(backup, Silent()).state == BackupState.AVAILABLE
