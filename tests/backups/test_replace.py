from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import apsw
import pytest
from django.utils import timezone

from dbadmin.backups.replace import replace_with_backup
from dbadmin.backups.take import take_backup
from dbadmin.backups.undo import forget_ways_back, settle_unfinished, undo_restore
from dbadmin.choices import RestoreState
from dbadmin.engines.base import in_words
from dbadmin.exceptions import DatabaseError, DbadminError, Refused
from dbadmin.models import AuditEvent, Backup, Database, Restore, Storage
from dbadmin.progress import Silent
from tests.backups.files import below, flip_a_byte, spools, stored
from tests.factories import make_database, make_job
from tests.small_disk import small_disk as small_disk


def replace(backup: Backup, **options: object) -> Restore:
    return replace_with_backup(backup=backup, database=backup.database, progress=Silent(), **options)


def titles(path: Path) -> list[str]:
    db = apsw.Connection(str(path))
    try:
        return [title for (title,) in db.execute("SELECT title FROM releases ORDER BY id")]
    finally:
        db.close()


def change(path: Path, sql: str) -> None:
    db = apsw.Connection(str(path))
    db.execute(sql).fetchall()
    db.close()


@pytest.fixture
def live(database: Database, backup: Backup) -> Path:
    """The file that was backed up, changed since."""
    path = Path(database.settings["path"])
    change(path, "INSERT INTO releases (title) VALUES ('after'); CREATE TABLE later (id)")
    return path


def test_a_file_becomes_what_the_backup_has_and_can_be_undone(backup: Backup, live: Path) -> None:
    row = replace(backup)
    assert row.state == RestoreState.EXACT
    assert titles(live) == ["第0話", "第1話", "第2話"]
    assert row.safety_backup is not None
    assert row.safety_backup.row_count == 4
    assert {path.name for path in live.parent.iterdir()} == {"archives", "shop.db", kept(row)}
    undone = undo_restore(row=row, progress=Silent())
    assert undone.state == RestoreState.UNDONE
    assert titles(live)[-1] == "after"
    assert spools() == []


def kept(row: Restore) -> str:
    return f"shop.db__before_{row.pk}"


def test_an_undo_can_be_taken_once(backup: Backup, live: Path) -> None:
    row = undo_restore(row=replace(backup), progress=Silent())
    with pytest.raises(Refused, match="cannot be undone"):
        undo_restore(row=row, progress=Silent())


def test_only_the_newest_replacing_is_undone(backup: Backup, live: Path) -> None:
    first, second = replace(backup), replace(backup)
    with pytest.raises(Refused, match=f"Restore {second.pk} has replaced"):
        undo_restore(row=first, progress=Silent())
    undo_restore(row=second, progress=Silent())
    undo_restore(row=first, progress=Silent())
    assert titles(live)[-1] == "after"


def test_a_corrupt_archive_leaves_the_target_untouched(backup: Backup, live: Path) -> None:
    flip_a_byte(stored(backup, "backup.tar"))
    before = live.read_bytes()
    with pytest.raises(DbadminError):
        replace(backup)
    assert live.read_bytes() == before
    assert Restore.objects.get().state == RestoreState.FAILED
    assert not list(live.parent.glob("*__*"))


def test_a_copy_that_differs_never_takes_the_place(backup: Backup, live: Path) -> None:
    manifest = stored(backup, "manifest.json")
    manifest.write_text(manifest.read_text().replace('"releases": 3', '"releases": 4'))
    before = live.read_bytes()
    with pytest.raises(DatabaseError, match="differs from the backup; differences: 1"):
        replace(backup)
    row = Restore.objects.get()
    assert (row.state, row.differences[0]["subject"]) == (RestoreState.FAILED, "releases")
    assert live.read_bytes() == before
    assert not list(live.parent.glob("*__*"))


def test_a_target_that_cannot_be_saved_needs_an_acknowledgement(backup: Backup, live: Path) -> None:
    content = bytearray(live.read_bytes())
    content[4096 + 100 : 8192] = b"\xff" * (4096 - 100)
    live.write_bytes(content)
    with pytest.raises(Refused, match="No safety backup"):
        replace(backup)
    assert live.read_bytes() == bytes(content)
    row = replace(backup, without_safety=True)
    assert (row.state, row.safety_backup) == (RestoreState.EXACT, None)
    assert "There is no safety backup" in in_words(row.lines)[0]["message"]
    assert titles(live) == ["第0話", "第1話", "第2話"]


def test_the_way_back_is_forgotten_when_its_time_is_over(backup: Backup, live: Path) -> None:
    row = replace(backup, keep_hours=1)
    assert forget_ways_back(timezone.now()) == []
    assert (live.parent / kept(row)).exists()
    assert forget_ways_back(timezone.now() + timedelta(hours=2)) == [row]
    assert not (live.parent / kept(row)).exists()
    assert AuditEvent.objects.filter(action="restore.way_back_removed").exists()
    row.refresh_from_db()
    with pytest.raises(Refused, match="cannot be undone"):
        undo_restore(row=row, progress=Silent())


def test_the_way_back_stays_while_the_database_does_not_answer(backup: Backup, live: Path) -> None:
    row = replace(backup, keep_hours=1)
    live.rename(live.with_suffix(".gone"))
    assert forget_ways_back(timezone.now() + timedelta(hours=2)) == []
    assert (live.parent / kept(row)).exists()


def test_what_is_not_there_is_not_replaced(backup: Backup, live: Path) -> None:
    live.unlink()
    with pytest.raises(Refused, match="nothing to replace"):
        replace(backup)


@pytest.fixture
def folder(tmp_path: Path, storage: Storage) -> Path:
    root = tmp_path / "config"
    (root / "sub").mkdir(parents=True)
    (root / "a.json").write_text('{"a": 1}')
    (root / "sub" / "b.json").write_text('{"b": 1}')
    (root / "notes.txt").write_text("not of the set")
    os.utime(root / "a.json", (1, 1))
    (root / "a.json").chmod(0o640)
    return root


@pytest.fixture
def set_backup(folder: Path, storage: Storage) -> Backup:
    settings = {"folder": str(folder), "required": ["**/*.json"]}
    database = make_database(engine="files", settings=settings, slug="config")
    return take_backup(database=database, storages=[storage], scope="full", progress=Silent())


def content(root: Path) -> dict[str, tuple[str, int, int]]:
    return {
        name: ((root / name).read_text(), (root / name).stat().st_mode, (root / name).stat().st_mtime_ns)
        for name in below(root)
    }


def test_files_become_what_the_backup_has_and_can_be_undone(set_backup: Backup, folder: Path) -> None:
    wanted = content(folder)
    (folder / "a.json").write_text('{"a": 2}')
    (folder / "sub" / "b.json").unlink()
    (folder / "c.json").write_text("{}")
    present = content(folder)
    row = replace(set_backup)
    assert content(folder) == wanted
    assert json.loads((folder.with_name(f"config__before_{row.pk}") / "c.json").read_text()) == {}
    undo_restore(row=row, progress=Silent())
    assert content(folder) == present


def test_a_file_that_cannot_be_replaced_puts_all_back(set_backup: Backup, folder: Path) -> None:
    (folder / "a.json").write_text('{"a": 2}')
    (folder / "sub" / "b.json").unlink()
    (folder / "sub" / "b.json").mkdir()
    present = content(folder)
    with pytest.raises(DbadminError, match="is a folder now"):
        replace(set_backup)
    assert content(folder) == present
    assert not list(folder.parent.glob("*__*"))
    assert Restore.objects.get().state == RestoreState.FAILED


def test_a_way_back_of_absurd_length_is_a_year(backup: Backup, live: Path) -> None:
    row = replace(backup, keep_hours=10**12)
    assert row.way_back_until is not None
    assert row.way_back_until < timezone.now() + timedelta(days=366)


def test_what_could_not_be_settled_is_settled_by_the_clock(backup: Backup, live: Path) -> None:
    row = replace(backup)
    job = make_job(database=backup.database, kind="restore", state="lost")
    Restore.objects.filter(pk=row.pk).update(state=RestoreState.RUNNING, job=job)
    live.rename(live.with_suffix(".away"))
    settle_unfinished()
    row.refresh_from_db()
    assert row.state == RestoreState.RUNNING
    live.with_suffix(".away").rename(live)
    settle_unfinished()
    row.refresh_from_db()
    assert row.state == RestoreState.EXACT
    assert undo_restore(row=row, progress=Silent()).state == RestoreState.UNDONE
