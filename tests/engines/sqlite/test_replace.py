"""A live file gets new content while others read and write it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from dbadmin.engines.base import Switch
from dbadmin.engines.sqlite import SQLiteEngine
from dbadmin.engines.sqlite.connection import SQLiteConnection
from dbadmin.exceptions import DbadminError, Refused
from dbadmin.progress import Silent
from dbadmin.text import Text
from tests.small_disk import small_disk as small_disk

ENGINE = SQLiteEngine()


def make(path: Path, tag: str, *, mode: str = "wal", page_size: int = 4096, rows: int = 3000) -> Path:
    db = apsw.Connection(str(path))
    db.execute(f"PRAGMA page_size={page_size}; PRAGMA journal_mode={mode}").fetchall()
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, tag TEXT)")
    with db:
        db.executemany("INSERT INTO t (tag) VALUES (?)", [(tag,)] * rows)
    db.close()
    return path


def ask(path: Path, sql: str) -> list[tuple]:
    db = apsw.Connection(str(path))
    db.set_busy_timeout(300_000)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def tags(path: Path) -> list[tuple]:
    return ask(path, "SELECT tag, count(*) FROM t GROUP BY 1 ORDER BY 1")


def intend(live: Path) -> Switch:
    return ENGINE.intend(SQLiteConnection(live), candidate="new.db", kept="kept.db")


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 300
    while not true() and time.monotonic() < end:
        time.sleep(0.01)


def replace(live: Path) -> Switch:
    switch = intend(live)
    ENGINE.replace(SQLiteConnection(live), switch, progress=Silent())
    return switch


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_readers_see_the_old_or_the_new_and_no_write_is_lost(tmp_path: Path, mode: str) -> None:
    live = make(tmp_path / "live.db", "old", mode=mode)
    make(tmp_path / "new.db", "new")
    stop, seen, failures = threading.Event(), set(), []
    written: list[int] = []

    def read(db: apsw.Connection) -> None:
        found = {tag for (tag,) in db.execute("SELECT DISTINCT tag FROM t")} - {"app"}
        seen.add(tuple(found))

    def write(db: apsw.Connection) -> None:
        db.execute("INSERT INTO t (tag) VALUES ('app')")
        written.append(1)
        time.sleep(0.002)

    def loop(work: Callable[[apsw.Connection], None]) -> None:
        db = apsw.Connection(str(live))
        db.set_busy_timeout(300_000)
        try:
            while not stop.is_set():
                work(db)
        except apsw.Error as error:
            failures.append(error)
        finally:
            db.close()

    threads = [threading.Thread(target=loop, args=(work,)) for work in (read, read, write)]
    for thread in threads:
        thread.start()
    wait_until(lambda: ("old",) in seen and written)
    replace(live)
    wait_until(lambda: ("new",) in seen)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert seen == {("old",), ("new",)}
    kept, current = dict(tags(tmp_path / "kept.db")), dict(tags(live))
    assert kept["old"] == current["new"] == 3000
    assert kept.get("app", 0) + current.get("app", 0) == len(written)
    assert ask(live, "PRAGMA integrity_check") == [("ok",)]
    assert ask(live, "PRAGMA journal_mode") == [(mode,)]


@pytest.mark.parametrize("mode", ["wal", "delete"])
@pytest.mark.parametrize("page_size", [1024, 16384])
def test_pages_of_another_size_are_no_hindrance(tmp_path: Path, mode: str, page_size: int) -> None:
    live = make(tmp_path / "live.db", "old", mode=mode)
    make(tmp_path / "new.db", "new", page_size=page_size)
    application = apsw.Connection(str(live))
    replace(live)
    assert application.execute("SELECT DISTINCT tag FROM t").fetchall() == [("new",)]
    application.close()
    assert tags(live) == [("new", 3000)]
    assert ask(live, "PRAGMA integrity_check") == [("ok",)]


def test_a_stale_log_beside_the_file_is_never_played_back(tmp_path: Path) -> None:
    live = make(tmp_path / "live.db", "old")
    application = apsw.Connection(str(live))
    application.execute("UPDATE t SET tag = 'stale'")
    shutil.copy(tmp_path / "live.db-wal", tmp_path / "saved")
    application.close()
    shutil.copy(tmp_path / "saved", tmp_path / "live.db-wal")
    make(tmp_path / "new.db", "new", rows=20)
    replace(live)
    assert tags(live) == [("new", 20)]
    ask(live, "PRAGMA wal_checkpoint(TRUNCATE)")
    assert tags(live) == [("new", 20)]
    assert ask(live, "PRAGMA integrity_check") == [("ok",)]


def test_the_old_log_put_back_after_the_switch_belongs_to_nothing(tmp_path: Path) -> None:
    live = make(tmp_path / "live.db", "old")
    application = apsw.Connection(str(live))
    application.execute("UPDATE t SET tag = 'stale'")
    make(tmp_path / "new.db", "new", rows=20)
    replace(live)
    assert tags(live) == [("new", 20)]
    application.close()
    assert not (tmp_path / "live.db-wal").exists()
    assert tags(live) == [("new", 20)]


def test_a_writer_who_holds_the_file_too_long_is_named_and_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dbadmin.engines.sqlite.replace.WAIT_SECONDS", 0.3)
    live = make(tmp_path / "live.db", "old")
    make(tmp_path / "new.db", "new")
    writer = apsw.Connection(str(live))
    writer.execute("BEGIN IMMEDIATE; INSERT INTO t (tag) VALUES ('app')")
    switch = intend(live)
    with pytest.raises(DbadminError, match="locked by another program"):
        ENGINE.replace(SQLiteConnection(live), switch, progress=Silent())
    assert not ENGINE.settle(SQLiteConnection(live), switch)
    writer.execute("COMMIT")
    writer.close()
    assert tags(live) == [("app", 1), ("old", 3000)]
    assert not (tmp_path / "kept.db").exists()


def test_a_schema_change_between_a_crash_and_its_settling_is_not_taken_for_the_switch(tmp_path: Path) -> None:
    live = make(tmp_path / "live.db", "old")
    make(tmp_path / "new.db", "new")
    switch = intend(live)

    class Killed(BaseException):
        pass

    class Dies(Silent):
        def phase(self, name: Text, *, total: int | None = None, unit: str = "bytes") -> None:
            if name.msgid == "Switching":
                raise Killed

    with pytest.raises(Killed):
        ENGINE.replace(SQLiteConnection(live), switch, progress=Dies())
    assert (tmp_path / "kept.db").exists()
    ask(live, "CREATE TABLE migrated (id)")
    assert not ENGINE.settle(SQLiteConnection(live), switch)
    assert tags(live) == [("old", 3000)]
    assert ask(live, "SELECT count(*) FROM migrated") == [(0,)]


def test_what_is_written_between_the_switch_and_its_settling_is_kept(tmp_path: Path) -> None:
    live = make(tmp_path / "live.db", "old")
    make(tmp_path / "new.db", "new")
    shutil.copy(tmp_path / "new.db", tmp_path / "copy.db")
    switch = replace(live)
    shutil.copy(tmp_path / "copy.db", tmp_path / "new.db")  # as if killed before it was removed
    ask(live, "CREATE TABLE migrated (id)")
    assert ENGINE.settle(SQLiteConnection(live), switch)
    assert not (tmp_path / "new.db").exists()
    assert tags(live) == [("new", 3000)]


def test_a_full_disk_leaves_the_file_as_it_was(small_disk: Path) -> None:
    live = make(small_disk / "live.db", "old" * 100, rows=4000)
    make(small_disk / "new.db", "new" * 100, rows=4000)
    switch = intend(live)
    with pytest.raises(Refused, match="MB"):
        ENGINE.replace(SQLiteConnection(live), switch, progress=Silent())
    assert not ENGINE.settle(SQLiteConnection(live), switch)
    assert len(tags(live)) == 1
    assert {path.name for path in small_disk.iterdir()} == {"live.db", "new.db"}


def test_from_a_machine_without_the_file_nothing_is_concluded(tmp_path: Path) -> None:
    live = make(tmp_path / "live.db", "old")
    make(tmp_path / "new.db", "new")
    switch = intend(live)
    live.rename(tmp_path / "elsewhere.db")
    with pytest.raises(DbadminError, match="is not on this machine"):
        ENGINE.settle(SQLiteConnection(live), switch)
    assert (tmp_path / "new.db").exists()
