"""A restore makes a new file that is equal, or nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import apsw
import pytest

from dbadmin.engines.sqlite import SQLiteConnection
from dbadmin.exceptions import Cancelled, ConnectionFailed, CorruptArchive, DbadminError, Refused, ValidationFailed
from dbadmin.progress import Silent
from tests.engines.sqlite.files import ENGINE, EXOTIC, CancelAfter, make, make_accounts, restored


def dump(source: SQLiteConnection, spool: Path, scope: str = "full"):
    return ENGINE.dump(source, scope=scope, spool=spool, progress=Silent())


def contents(path: Path) -> list[object]:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1")]
    found = [(name, list(db.execute(f"SELECT * FROM {apsw.format_sql_value(name)}"))) for name in names]
    found.append(list(db.execute("SELECT body FROM words WHERE words MATCH 'hello'")))
    db.close()
    return found


def test_a_restored_file_is_equal_and_alone(tmp_path: Path, spool: Path) -> None:
    source = make(tmp_path / "a.db")
    source.path.chmod(0o640)
    made = dump(source, spool)
    copy = restored(ENGINE.new_target(source, EXOTIC), spool, **made.origin)
    assert made.facts.differences(ENGINE.facts(copy, progress=Silent())) == ()
    assert sorted(os.listdir(tmp_path)) == sorted([EXOTIC, "a.db", "spool"])
    assert contents(copy.path) == contents(source.path)
    assert copy.path.stat().st_mode & 0o7777 == 0o640
    assert ENGINE.snapshot(copy).values["user_version"] == 7


@pytest.mark.usefixtures("as_root")
def test_the_owner_comes_back(tmp_path: Path, spool: Path) -> None:
    source = make(tmp_path / "a.db")
    os.chown(source.path, 65534, 65534)
    copy = restored(ENGINE.new_target(source, "b.db"), spool, **dump(source, spool).origin)
    assert (copy.path.stat().st_uid, copy.path.stat().st_gid) == (65534, 65534)


def test_an_existing_file_is_never_replaced(tmp_path: Path, spool: Path) -> None:
    source = make(tmp_path / "a.db")
    dump(source, spool)
    (tmp_path / "b.db").write_text("precious")
    with pytest.raises(Refused, match="exists already"):
        restored(ENGINE.new_target(source, "b.db"), spool)
    assert (tmp_path / "b.db").read_text() == "precious"


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_a_stale_log_beside_the_target_is_refused(tmp_path: Path, spool: Path, suffix: str) -> None:
    source = make(tmp_path / "a.db")
    dump(source, spool)
    (tmp_path / f"b.db{suffix}").write_bytes(b"stale")
    with pytest.raises(Refused, match="would be"):
        restored(ENGINE.new_target(source, "b.db"), spool)
    assert not ENGINE.exists(ENGINE.new_target(source, "b.db"))


@pytest.mark.parametrize(
    "name", ["../b.db", "", " ", "x/b.db", "/tmp/../b.db", "b.db-wal", "b\0.db", "b.db/", ".", ".."]
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValidationFailed):
        ENGINE.new_target(SQLiteConnection(tmp_path / "a.db"), name)


def test_an_absolute_target_in_a_missing_folder_is_a_sentence(tmp_path: Path, spool: Path) -> None:
    source = make(tmp_path / "a.db")
    dump(source, spool)
    with pytest.raises(ConnectionFailed, match="no folder"):
        restored(ENGINE.new_target(source, str(tmp_path / "no" / "b.db")), spool)


def test_a_schema_backup_becomes_the_same_tables_without_rows(tmp_path: Path, spool: Path) -> None:
    source = make(tmp_path / "a.db", page_size=8192)
    made = dump(source, spool, "schema")
    copy = restored(ENGINE.new_target(source, "b.db"), spool, scope="schema")
    assert os.listdir(spool) == ["schema.sql"]
    found = ENGINE.facts(copy, progress=Silent())
    assert made.facts.differences(found) == ()
    assert found.rows == 0
    assert len(found.tables) == 6


def test_a_data_backup_is_not_a_file(tmp_path: Path, spool: Path) -> None:
    source = make(tmp_path / "a.db")
    dump(source, spool, "data")
    with pytest.raises(ValidationFailed, match="data alone"):
        restored(ENGINE.new_target(source, "b.db"), spool, scope="data")
    assert not (tmp_path / "b.db").exists()


def run_sql(path: Path, *scripts: Path) -> None:
    for script in scripts:
        with script.open() as file:
            done = subprocess.run(["sqlite3", "-bail", path], stdin=file, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_exported_sql_makes_an_equal_database_without_this_product(tmp_path: Path, spool: Path) -> None:
    source = make(tmp_path / "a.db")
    made = dump(source, spool)
    script = ENGINE.export_sql(spool=spool, client_version="", progress=Silent())
    run_sql(tmp_path / "b.db", script)
    assert contents(tmp_path / "b.db") == contents(source.path)
    assert made.facts.differences(ENGINE.facts(SQLiteConnection(tmp_path / "b.db"), progress=Silent())) == ()
    assert sorted(os.listdir(spool)) == ["database.sql", "database.sqlite3.zst"]


def test_schema_and_data_scripts_together_make_an_equal_database(tmp_path: Path, spool: Path) -> None:
    tables = "CREATE TABLE c (p REFERENCES p, g AS (p + 1)); CREATE TABLE p (id INTEGER PRIMARY KEY);"
    source = make(tmp_path / "a.db", tables + "INSERT INTO p VALUES (5); INSERT INTO c (p) VALUES (5)")
    scripts = []
    for scope in ("schema", "data"):
        folder = spool / scope
        folder.mkdir()
        made = dump(source, folder, scope)
        scripts.append(ENGINE.export_sql(spool=folder, client_version="", progress=Silent()))
    run_sql(tmp_path / "b.db", *scripts)
    assert made.facts.differences(ENGINE.facts(SQLiteConnection(tmp_path / "b.db"), progress=Silent())) == ()


@pytest.mark.parametrize("place", [0.1, 0.5, 0.99])
def test_one_flipped_byte_in_the_archive_is_found(tmp_path: Path, spool: Path, place: float) -> None:
    source = make_accounts(tmp_path / "a.db")
    dump(source, spool)
    member = spool / "database.sqlite3.zst"
    content = bytearray(member.read_bytes())
    content[int(len(content) * place)] ^= 1
    member.write_bytes(content)
    with pytest.raises(CorruptArchive):
        restored(ENGINE.new_target(source, "b.db"), spool)
    assert sorted(os.listdir(tmp_path)) == ["a.db", "spool"]


def test_a_cut_archive_is_found(tmp_path: Path, spool: Path) -> None:
    source = make(tmp_path / "a.db")
    dump(source, spool)
    member = spool / "database.sqlite3.zst"
    member.write_bytes(member.read_bytes()[:-20])
    with pytest.raises(CorruptArchive):
        restored(ENGINE.new_target(source, "b.db"), spool)
    assert sorted(os.listdir(tmp_path)) == ["a.db", "spool"]


@pytest.mark.parametrize("questions", [0, 1, 20])
def test_cancelling_a_restore_leaves_nothing(tmp_path: Path, spool: Path, questions: int) -> None:
    source = make_accounts(tmp_path / "a.db")
    dump(source, spool)
    with pytest.raises(Cancelled):
        ENGINE.restore(
            ENGINE.new_target(source, "b.db"),
            spool=spool,
            scope="full",
            origin={},
            client_version="",
            options=None,
            progress=CancelAfter(questions),
        )
    assert sorted(os.listdir(tmp_path)) == ["a.db", "spool"]


def test_a_full_disk_leaves_nothing(
    small_disk: Path, tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_accounts(tmp_path / "a.db")
    dump(source, spool)
    target = ENGINE.new_target(source, str(small_disk / "b.db"))
    with pytest.raises(Refused, match="MB free"):
        restored(target, spool)
    monkeypatch.setattr("dbadmin.engines.sqlite.restore.require_space", lambda folder, needed: None)
    with pytest.raises(DbadminError, match="is full"):
        restored(target, spool)
    assert os.listdir(small_disk) == []


def test_discarding_removes_what_lies_beside_too(tmp_path: Path) -> None:
    made = make(tmp_path / "b.db")
    (tmp_path / "b.db-wal").touch()
    ENGINE.discard(made)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "sql",
    ["INSERT INTO wr VALUES ('x', 1)", "ATTACH 'x.db' AS x", "COMMIT", "CREATE TEMP TABLE x (y)", "VACUUM INTO 'x.db'"],
)
def test_only_reading_statements_are_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql: str) -> None:
    monkeypatch.chdir(tmp_path)
    source = make(tmp_path / "a.db")
    with pytest.raises(DbadminError):
        ENGINE.rows(source, sql)
    assert os.listdir(tmp_path) == ["a.db"]
    assert ENGINE.rows(source, "SELECT body FROM words WHERE words MATCH ? ", ("bye",)) == [("good bye",)]


def test_a_statement_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbadmin.engines.sqlite.engine.QUERY_SECONDS", 0.2)
    with pytest.raises(ValidationFailed, match="longer than"):
        ENGINE.rows(
            make(tmp_path / "a.db"), "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT * FROM n"
        )
