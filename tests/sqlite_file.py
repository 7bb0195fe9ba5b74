"""Small SQLite files for tests of what is above the engines."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from dbadmin.models import Database
from tests.factories import make_database


def make_sqlite_file(path: Path, *, rows: int = 3) -> Path:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE releases (id INTEGER PRIMARY KEY, title TEXT)")
        db.executemany("INSERT INTO releases (title) VALUES (?)", [(f"第{n}話",) for n in range(rows)])
    db.close()
    return path


def make_large_sqlite_file(path: Path, *, megabytes: int) -> Path:
    """Rows of random bytes, so that nothing compresses away and copying takes a while."""
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("CREATE TABLE blobs (id INTEGER PRIMARY KEY, content BLOB)")
        db.executemany("INSERT INTO blobs (content) VALUES (randomblob(?))", [(1 << 20,)] * megabytes)
    db.close()
    return path


def sqlite_database(path: Path, **overrides: Any) -> Database:
    return make_database(engine="sqlite", settings={"path": str(path)}, **overrides)
