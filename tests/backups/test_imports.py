from __future__ import annotations

import gzip
import os
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from dbadmin.backups import spool, uploads
from dbadmin.backups.imports import discard_unfinished, import_file, look_ahead, receive
from dbadmin.engines.base import in_words
from dbadmin.exceptions import DbadminError
from dbadmin.models import AuditEvent, Database, Import
from dbadmin.progress import Silent
from tests.factories import make_job
from tests.postgresql_database import execute
from tests.postgresql_database import postgresql as postgresql
from tests.sqlite_file import make_sqlite_file


def uploaded(content: bytes, name: str = "old shop.db") -> Import:
    path = uploads.new_folder() / "content"
    path.write_bytes(content)
    return receive(path, file_name=name, uploaded=True)


def bring(row: Import, server: Database, name: str) -> Import:
    return import_file(row=row, server=server, target_name=name, keep_owners=False, progress=Silent())


def left() -> list[Path]:
    return list(spool.root().glob("*"))


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return make_sqlite_file(tmp_path / "old.db", rows=7).read_bytes()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_sqlite_file_is_copied_checked_and_counted(
    database: Database, tmp_path: Path, content: bytes, pack: type[bytes]
) -> None:
    row = bring(uploaded(pack(content)), database, "copy.db")
    assert (row.state, row.measured().tables) == ("imported", {"releases": 7})
    with sqlite3.connect(tmp_path / "copy.db") as copy:
        assert copy.execute("SELECT count(*) FROM releases").fetchone() == (7,)
    assert left() == []
    assert AuditEvent.objects.get(action="import.complete").details["rows"] == 7


def test_a_file_in_use_is_copied_with_its_write_ahead_log(database: Database, tmp_path: Path) -> None:
    live = sqlite3.connect(tmp_path / "live.db")
    live.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1), (2);")
    row = bring(receive(tmp_path / "live.db", file_name="live.db", uploaded=False), database, "copy.db")
    assert row.measured().tables == {"t": 2}
    assert (tmp_path / "live.db").exists()
    live.close()


def test_a_damaged_sqlite_file_leaves_nothing(database: Database, tmp_path: Path, content: bytes) -> None:
    row = uploaded(content[:-4096] + b"\xff" * 4096)
    with pytest.raises(DbadminError):
        bring(row, database, "copy.db")
    assert row.state == "failed"
    assert row.lines[0]["level"] == "error"
    assert not (tmp_path / "copy.db").exists()
    assert left() == []


def test_what_exists_is_left_alone(database: Database, tmp_path: Path, content: bytes) -> None:
    before = (tmp_path / "shop.db").read_bytes()
    with pytest.raises(DbadminError, match="exists already"):
        bring(uploaded(content), database, "shop.db")
    assert (tmp_path / "shop.db").read_bytes() == before


def test_a_dump_goes_into_a_new_database_of_the_server(postgresql: Database, tmp_path: Path) -> None:
    sql = b"CREATE TABLE a (x int);\nINSERT INTO a VALUES (1), (2);\nALTER TABLE a OWNER TO nobody_here;\n"
    row = bring(uploaded(sql, "dump.sql"), postgresql, "brought_in")
    try:
        assert row.measured().tables == {"public.a": 2}
        assert row.target.endswith("/brought_in")
        assert in_words(row.lines)[0]["message"] == "Statements about owners and grants, left out: 1."
    finally:
        execute(postgresql, "DROP DATABASE brought_in")


def test_a_failed_dump_leaves_no_database(postgresql: Database) -> None:
    row = uploaded(b"CREATE TABLE a (x int);\nINSERT INTO b VALUES (1);\n", "dump.sql")
    with pytest.raises(DbadminError, match="line 2 failed"):
        bring(row, postgresql, "brought_in")
    adapter = postgresql.adapter
    assert not adapter.exists(adapter.new_target(postgresql.connection(), "brought_in"))
    assert left() == []


def test_what_an_import_that_died_left_is_removed(database: Database, tmp_path: Path, content: bytes) -> None:
    row = uploaded(content)
    (tmp_path / "copy.db").write_bytes(content)
    params = {"import": row.pk, "target_name": "copy.db", "creating": True}
    discard_unfinished(make_job(database=database, kind="import", params=params))
    row.refresh_from_db()
    assert row.state == "failed"
    assert not (tmp_path / "copy.db").exists()
    assert left() == []


def test_a_finished_import_is_never_removed(database: Database, tmp_path: Path, content: bytes) -> None:
    row = bring(uploaded(content), database, "copy.db")
    params = {"import": row.pk, "target_name": "copy.db", "creating": True}
    discard_unfinished(make_job(database=database, kind="import", params=params))
    assert (tmp_path / "copy.db").exists()


def test_a_file_that_was_exchanged_is_refused(database: Database, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "found.db"
    path.write_bytes(content)
    row = receive(path, file_name="found.db", uploaded=False)
    path.write_bytes(b"SELECT 1;")
    with pytest.raises(DbadminError, match="no longer the file"):
        bring(row, database, "copy.db")
    assert path.exists()


def test_uploads_that_nobody_imports_are_removed_after_a_day(database: Database, content: bytes) -> None:
    old, new = uploaded(content), uploaded(content)
    stray = uploads.new_folder()
    past = timezone.now() - timedelta(days=2)
    Import.objects.filter(pk=old.pk).update(created_at=past)
    for folder in (Path(old.path).parent, stray):
        os.utime(folder, (past.timestamp(), past.timestamp()))
    uploads.sweep(timezone.now())
    assert list(Import.objects.all()) == [new]
    assert left() == [Path(new.path).parent]
    uploads.discard(Path(new.path))


def test_looking_ahead_finds_a_name_that_is_taken(database: Database, content: bytes) -> None:
    row = uploaded(content)
    assert look_ahead(row, database, "copy.db", keep_owners=False).may_start
    assert not look_ahead(row, database, "shop.db", keep_owners=False).may_start
    uploads.discard(Path(row.path))


def test_only_plain_files_of_the_listed_folders_are_found(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, secret = tmp_path / "in", tmp_path / "secret.db"
    folder.mkdir()
    secret.write_bytes(content)
    (folder / "good.db").write_bytes(content)
    (folder / "notes.txt").write_bytes(b"hello")
    (folder / "link.db").symlink_to(secret)
    (folder / "deeper").mkdir()
    os.mkfifo(folder / "pipe")
    monkeypatch.setattr(settings, "IMPORT_FOLDERS", [str(folder), "/nowhere"], raising=False)
    found = {one.path.name: one for one in uploads.found_files()}
    assert set(found) == {"good.db", "notes.txt"}
    assert found["good.db"].what is not None
    assert found["notes.txt"].why_not
    assert uploads.found_file(str(folder / "good.db")) == folder / "good.db"
    for name in (str(secret), str(folder / "link.db"), f"{folder}/../secret.db", f"{folder}/./good.db", "good.db", ""):
        with pytest.raises(DbadminError, match="not in a folder"):
            uploads.found_file(name)
