"""What health checks want to know of a SQLite file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import apsw

from dbadmin.engines.base import Snapshot
from dbadmin.engines.sqlite.connection import explained, header, journal_mode, read, sentences, sidecar
from dbadmin.engines.sqlite.measure import tables, watched
from dbadmin.exceptions import ValidationFailed
from dbadmin.text import Text

QUICK_CHECK_SECONDS = 20.0
_PROBLEMS = 20


class _OutOfTime(Exception):
    pass


def snapshot(path: Path) -> Snapshot:
    """Gather sizes, versions and quick_check; damage is a value, only a file out of reach is an exception."""
    with sentences(path):
        wal = sidecar(path, "-wal")
        values: dict[str, Any] = {
            "size_bytes": path.stat().st_size,
            "wal_bytes": wal.stat().st_size if wal.exists() else 0,
            "sqlite_version": apsw.sqlite_lib_version(),
        }
    unavailable: dict[str, Text] = {}
    try:
        head = header(path)
        values |= read(path, lambda db: _asked(db, path, unavailable))
        values["journal_mode"] = journal_mode(head, values["journal_mode"])
    except ValidationFailed as error:  # not a database, or damaged beyond opening
        values["quick_check"] = [str(error.message)]
        unavailable |= dict.fromkeys(("table_count", "journal_mode", "schema_version", "user_version"), error.message)
    return Snapshot(values=values, unavailable=unavailable)


def _asked(db: apsw.Connection, path: Path, unavailable: dict[str, Text]) -> dict[str, Any]:
    values: dict[str, Any] = {name: db.pragma(name) for name in ("journal_mode", "schema_version", "user_version")}
    values["table_count"] = len(tables(db, "table", "virtual"))
    try:
        values["quick_check"] = _quick_check(db, path)
    except _OutOfTime:
        unavailable["quick_check"] = Text(
            "The quick check was not done after {seconds} seconds.", seconds=int(QUICK_CHECK_SECONDS)
        )
    return values


def _quick_check(db: apsw.Connection, path: Path) -> list[str]:
    end = time.monotonic() + QUICK_CHECK_SECONDS

    def look() -> None:
        if time.monotonic() > end:
            raise _OutOfTime

    watched(db, look)
    try:
        return [str(row[0]) for row in db.execute(f"PRAGMA quick_check({_PROBLEMS})")]
    except (apsw.CorruptError, apsw.SQLError) as error:
        return [str(explained(path, error).message)]
