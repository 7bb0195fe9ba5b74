"""A dump of a SQLite file is consistent, proven, and leaves nothing behind when it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
from backports import zstd

from dbadmin.exceptions import Cancelled, ConnectionFailed, DbadminError, Refused, StorageError, ValidationFailed
from dbadmin.progress import Silent
from tests.engines.sqlite.files import ENGINE, EXOTIC, CancelAfter, make, make_accounts, restored, writer


def dump(connection: object, spool: Path, scope: str = "full", progress: Silent | None = None):
    return ENGINE.dump(connection, scope=scope, spool=spool, progress=progress or Silent())


@pytest.mark.parametrize("wal", [True, False])
def test_a_backup_under_a_writer_flat_out_is_consistent(tmp_path: Path, spool: Path, wal: bool) -> None:
    source = make_accounts(tmp_path / "a.db", wal=wal)
    with writer(source.path):
        dump(source, spool)
    copy = restored(ENGINE.new_target(source, "b.db"), spool)
    assert ENGINE.rows(copy, "SELECT sum(v), count(*), sum(v <> 0) > 0 FROM acc") == [(0, 100, 1)]


def test_the_copy_is_the_same_file_but_for_its_change_counters(tmp_path: Path, spool: Path) -> None:
    source = make(tmp_path / EXOTIC, page_size=8192)
    before = source.path.read_bytes()
    dump(source, spool)
    copy = zstd.decompress((spool / "database.sqlite3.zst").read_bytes())
    assert source.path.read_bytes() == before
    assert [at for at in range(len(before)) if before[at] != copy[at] and not (24 <= at < 44 or 92 <= at < 96)] == []
    assert len(copy) == len(before)
    assert os.listdir(spool) == ["database.sqlite3.zst"]


def test_nothing_is_left_beside_a_database_that_nobody_uses(tmp_path: Path, spool: Path) -> None:
    source = make(tmp_path / "a.db")
    dump(source, spool)
    ENGINE.probe(source), ENGINE.snapshot(source), ENGINE.facts(source, progress=Silent())
    assert sorted(os.listdir(tmp_path)) == ["a.db", "spool"]


def test_what_is_only_in_the_write_ahead_log_is_in_the_backup(tmp_path: Path, spool: Path) -> None:
    source = make(tmp_path / "a.db")
    user = apsw.Connection(str(source.path))
    user.execute("INSERT INTO wr VALUES ('late', 2)").fetchall()
    assert dump(source, spool).facts.tables["wr"] == 2


def test_facts_are_exact_and_name_the_schema_head(tmp_path: Path, spool: Path) -> None:
    facts = dump(make(tmp_path / "a.db"), spool).facts
    assert facts.tables == {'Größe "x"': 4, "alembic_version": 1, "boxes": 1, "empty": 0, "words": 2, "wr": 1}
    assert facts.sequences == {'Größe "x"': 4}
    assert facts.objects == {"tables": 6, "indexes": 1, "views": 1, "triggers": 1}
    assert facts.schema_head == {"alembic": ["abc123"]}


@pytest.mark.parametrize("scope", ["full", "data"])
@pytest.mark.parametrize("questions", [0, 1, 3, 4])
def test_cancelling_leaves_nothing(tmp_path: Path, spool: Path, questions: int, scope: str) -> None:
    source = make_accounts(tmp_path / "a.db")
    with pytest.raises(Cancelled):
        dump(source, spool, scope, CancelAfter(questions))
    assert os.listdir(spool) == []
    assert sorted(os.listdir(tmp_path)) == ["a.db", "spool"]


def test_a_missing_file_is_not_made(tmp_path: Path, spool: Path) -> None:
    source = ENGINE.connection({"path": str(tmp_path / "none.db")})
    for attempt in (ENGINE.snapshot, ENGINE.history, lambda c: dump(c, spool), lambda c: ENGINE.rows(c, "SELECT 1")):
        with pytest.raises(ConnectionFailed, match="There is no file"):
            attempt(source)
    assert os.listdir(tmp_path) == ["spool"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04" * 1000, "not a SQLite database"),
        (b"SQLite format 3\0" + b"\1" * 500, "SQLite"),
    ],
)
def test_what_is_no_database_is_refused(tmp_path: Path, spool: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(content)
    with pytest.raises(ValidationFailed, match=sentence):
        dump(ENGINE.connection({"path": str(path)}), spool)
    assert os.listdir(spool) == []
    assert path.read_bytes() == content


def test_a_database_without_tables_is_refused(tmp_path: Path, spool: Path) -> None:
    with pytest.raises(ValidationFailed, match="has no table"):
        dump(make(tmp_path / "a.db", "PRAGMA user_version = 3"), spool)


def test_a_folder_and_a_missing_folder_are_named(tmp_path: Path) -> None:
    assert "not a regular file" in str(ENGINE.probe(ENGINE.connection({"path": str(tmp_path)})).failed.message)
    failed = ENGINE.probe(ENGINE.connection({"path": str(tmp_path / "no" / "a.db")})).failed
    assert (str(failed.name), "There is no folder" in str(failed.message)) == ("Folder", True)


def test_an_index_that_contradicts_its_table_fails_the_backup(tmp_path: Path, spool: Path) -> None:
    source = make(tmp_path / "a.db", "CREATE TABLE t (a); CREATE INDEX ix ON t (a); INSERT INTO t VALUES ('aaaa')")
    content = source.path.read_bytes()
    at = content.rindex(b"aaaa")
    source.path.write_bytes(content[:at] + b"aaab" + content[at + 4 :])
    with pytest.raises(ValidationFailed, match="missing from index ix"):
        dump(source, spool)
    assert os.listdir(spool) == []


def test_a_damaged_page_fails_the_backup_and_shows_in_the_snapshot(tmp_path: Path, spool: Path) -> None:
    source = make_accounts(tmp_path / "a.db", wal=False)
    with source.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 200)
    with pytest.raises(ValidationFailed, match="is damaged"):
        dump(source, spool)
    assert ENGINE.snapshot(source).values["quick_check"] != ["ok"]


def test_a_broken_reference_is_a_warning_only(tmp_path: Path, spool: Path) -> None:
    sql = "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p); INSERT INTO c VALUES (1), (2)"
    (warning,) = dump(make(tmp_path / "a.db", sql), spool).warnings
    assert str(warning) == "2 rows of “c” point to rows of “p” that do not exist."


def test_a_locked_database_is_said_to_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbadmin.engines.sqlite.connection.BUSY_SECONDS", 0.05)
    source = make(tmp_path / "a.db", wal=False)
    user = apsw.Connection(str(source.path))
    user.execute("BEGIN EXCLUSIVE")
    failed = ENGINE.probe(source).failed
    assert "locked by another program" in str(failed.message)


def test_a_full_disk_is_a_sentence_and_leaves_nothing(small_disk: Path, tmp_path: Path) -> None:
    source = make_accounts(tmp_path / "a.db")
    with pytest.raises(Refused, match="MB free"):
        dump(source, small_disk)
    assert os.listdir(small_disk) == []


def test_a_disk_that_fills_while_writing_is_a_sentence_too(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dbadmin.engines.sqlite.dump.require_space", lambda folder, needed: None)
    source = make_accounts(tmp_path / "a.db")
    with pytest.raises(StorageError, match="is full"):
        dump(source, small_disk)
    assert os.listdir(small_disk) == []


def test_a_disk_that_fills_while_compressing_is_a_sentence_too(small_disk: Path, tmp_path: Path) -> None:
    source = make_accounts(tmp_path / "a.db")
    db = apsw.Connection(str(source.path))
    db.execute("DELETE FROM ballast WHERE rowid > 6; VACUUM").fetchall()
    db.close()
    with pytest.raises(StorageError, match="is full"):
        dump(source, small_disk)
    assert os.listdir(small_disk) == []


_AS_NOBODY = """
import os, sys
from pathlib import Path
from dbadmin.engines.sqlite import SQLiteEngine
os.setgid(65534); os.setuid(65534)
info = SQLiteEngine().probe(SQLiteEngine().connection({"path": sys.argv[1]}))
print(info.failed and f"{info.failed.name}: {info.failed.message}")
"""


def as_nobody(path: Path) -> str:
    done = subprocess.run([sys.executable, "-c", _AS_NOBODY, str(path)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.usefixtures("as_root")
def test_a_folder_or_file_that_may_not_be_read_is_named(open_folder: Path) -> None:
    inner = open_folder / "inner"
    inner.mkdir()
    source = make(inner / "a.db")
    assert as_nobody(source.path) == "None"
    source.path.chmod(0o600)
    assert as_nobody(source.path) == f"File: “{source.path}” may not be read."
    inner.chmod(0o700)
    assert as_nobody(source.path) == f"Folder: “{inner}” may not be read."


@pytest.mark.usefixtures("as_root")
def test_a_log_that_a_crash_left_is_not_recovered_by_a_stranger(open_folder: Path) -> None:
    source = make(open_folder / "a.db")
    crash = "import apsw, os, sys; d = apsw.Connection(sys.argv[1]); d.execute('CREATE TABLE x(y)'); os._exit(0)"
    subprocess.run([sys.executable, "-c", crash, str(source.path)], check=True)
    (open_folder / "a.db-shm").unlink()
    assert "write-ahead log that nobody has recovered" in as_nobody(source.path)
    assert ENGINE.probe(source).failed is None  # root recovers it, and SQLite gives the owner the file


def test_errors_are_always_ours(tmp_path: Path, spool: Path) -> None:
    source = make(
        tmp_path / "a.db", "CREATE TABLE t (a); PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'x'"
    )
    for attempt in (lambda: dump(source, spool), lambda: ENGINE.rows(source, "SELECT * FROM t")):
        with pytest.raises(DbadminError):
            attempt()
    assert ENGINE.snapshot(source).values["quick_check"] != ["ok"]
