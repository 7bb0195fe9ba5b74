"""SQLite files and helpers of these tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from dbadmin.engines.base import RestoreOptions
from dbadmin.engines.sqlite import SQLiteConnection, SQLiteEngine
from dbadmin.exceptions import Cancelled
from dbadmin.progress import Silent

ENGINE = SQLiteEngine()
EXOTIC = """マンガ 50%41 'a' "b" ?x=1 #2 &.db"""
ACCOUNTS = 100
_NUMBERS = "WITH RECURSIVE n(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM n WHERE x < {} - 1) "

RICH = '''
CREATE TABLE "Größe ""x""" (id INTEGER PRIMARY KEY AUTOINCREMENT, "列 名" TEXT, raw BLOB, num REAL, any,
  doubled AS (num * 2) STORED);
INSERT INTO "Größe ""x""" ("列 名", raw, num, any) VALUES
  ('it''s', X'00FF', 1e999, NULL), ('a' || char(0) || 'b', X'', -9e999, 12345678901234567),
  ('日本', NULL, 0.1, 'x'), (NULL, zeroblob(5000), 1e-300, 3.0);
CREATE TABLE wr (k TEXT PRIMARY KEY, v) WITHOUT ROWID;
INSERT INTO wr VALUES ('k', 1);
CREATE TABLE empty (a);
CREATE INDEX ix ON wr (v);
CREATE VIEW seen AS SELECT * FROM wr;
CREATE TRIGGER tr AFTER INSERT ON wr BEGIN INSERT INTO empty VALUES (new.k); END;
CREATE VIRTUAL TABLE words USING fts5 (body);
INSERT INTO words VALUES ('hello world'), ('good bye');
CREATE VIRTUAL TABLE boxes USING rtree (id, x0, x1);
INSERT INTO boxes VALUES (1, 0, 1);
CREATE TABLE alembic_version (version_num TEXT);
INSERT INTO alembic_version VALUES ('abc123');
PRAGMA user_version = 7;
PRAGMA application_id = 99;
'''


def make(path: Path, sql: str = RICH, *, wal: bool = True, page_size: int = 4096) -> SQLiteConnection:
    db = apsw.Connection(str(path))
    db.execute(f"PRAGMA page_size = {page_size}").fetchall()
    if wal:
        db.execute("PRAGMA journal_mode = WAL").fetchall()
    db.execute(sql).fetchall()
    db.close()
    return SQLiteConnection(path)


def make_accounts(path: Path, *, wal: bool = True) -> SQLiteConnection:
    """Accounts whose sum is always zero, and ballast so that copying takes a while."""
    db = apsw.Connection(str(path))
    db.execute("PRAGMA journal_mode = " + ("WAL" if wal else "DELETE")).fetchall()
    for statement in (
        "CREATE TABLE ballast (b)",
        _NUMBERS.format(30) + "INSERT INTO ballast SELECT randomblob(1000000) FROM n",
        "CREATE TABLE acc (id INTEGER PRIMARY KEY, v)",
        _NUMBERS.format(ACCOUNTS) + "INSERT INTO acc SELECT x, 0 FROM n",
    ):
        db.execute(statement).fetchall()
    db.close()
    return SQLiteConnection(path)


_WRITER = """
import random, sys, apsw
db = apsw.Connection(sys.argv[1]); db.set_busy_timeout(10000)
done = 0
while True:
    a, b = random.sample(range(int(sys.argv[2])), 2)
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE acc SET v = v - 1 WHERE id = ?", (a,)).fetchall()
    db.execute("UPDATE acc SET v = v + 1 WHERE id = ?", (b,)).fetchall()
    db.execute("COMMIT")
    done += 1
    if done == 21:
        print("busy", flush=True)
"""


@contextmanager
def writer(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that writes as fast as it can."""
    process = subprocess.Popen([sys.executable, "-c", _WRITER, str(path), str(ACCOUNTS)], stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    try:
        yield process
        assert process.poll() is None, "the writer has to live through the backup"
    finally:
        process.kill()
        process.wait()


def restored(target: SQLiteConnection, spool: Path, *, scope: str = "full", **origin: object) -> SQLiteConnection:
    ENGINE.restore(
        target, spool=spool, scope=scope, origin=origin, client_version="", options=RestoreOptions(), progress=Silent()
    )
    return target


class CancelAfter(Silent):
    """Cancels at the given question."""

    def __init__(self, questions: int) -> None:
        self.left = questions

    def check(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Cancelled
