"""Some tables of a restored copy brought into a live file, under new names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import quote

import apsw

from dbadmin.engines.base import require_rows
from dbadmin.engines.sqlite.connection import SQLiteConnection, opened, sentences
from dbadmin.engines.sqlite.measure import quoted, watched
from dbadmin.engines.sqlite.measure import tables as tables_of
from dbadmin.exceptions import ValidationFailed
from dbadmin.progress import Progress
from dbadmin.text import Text

WAIT_SECONDS = 30.0


def place(suffix: str) -> str:
    """Return what the tables' names end with."""
    return suffix


def is_there(current: SQLiteConnection, suffix: str) -> bool:
    """Say whether the tables have been brought."""
    with sentences(current.path):
        db = opened(current.path)
        try:
            return any(name.endswith(suffix) for name in tables_of(db, "table"))
        finally:
            db.close()


def bring_tables(
    current: SQLiteConnection, copy: SQLiteConnection, *, tables: Mapping[str, int], suffix: str, progress: Progress
) -> None:
    """Copy definition and rows of each under its name with the suffix, all or nothing. ``tables``: expected rows."""
    with sentences(copy.path):
        definitions = _renamed(copy, tuple(tables), suffix)
    with sentences(current.path):
        uri = "file://" + quote(os.fsencode(current.path)) + "?mode=rw"
        db = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI)
        try:
            db.set_busy_timeout(int(WAIT_SECONDS * 1000))
            watched(db, progress.check)
            db.execute("ATTACH ? AS restored", (str(copy.path),)).fetchall()
            db.execute("BEGIN IMMEDIATE").fetchall()
            for table, definition in definitions.items():
                progress.phase(Text("Copying {table}", table=table))
                db.execute(definition).fetchall()
                require_rows(table, _filled(db, table + suffix), tables[table])
            db.execute("COMMIT").fetchall()
        finally:
            db.close()  # undoes what was not committed


def _renamed(copy: SQLiteConnection, tables: tuple[str, ...], suffix: str) -> dict[str, str]:
    """Rename the tables in the copy, so that SQLite itself writes their definitions under the new names."""
    db = apsw.Connection(str(copy.path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        plain = set(tables_of(db, "table"))
        if virtual := [table for table in tables if table not in plain]:
            raise ValidationFailed(
                Text("“{table}” is a virtual table and cannot be brought by itself.", table=virtual[0]),
                Text("Restore the whole database beside what exists."),
            )
        db.execute("PRAGMA legacy_alter_table=ON; PRAGMA foreign_keys=OFF").fetchall()
        for table in tables:
            db.execute(f"ALTER TABLE {quoted(table)} RENAME TO {quoted(table + suffix)}").fetchall()
        found = {table: db.execute(_DEFINITION, (table + suffix,)).get for table in tables}
        return {table: str(definition) for table, definition in found.items()}
    finally:
        db.close()


_DEFINITION = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?"


def _filled(db: apsw.Connection, name: str) -> int:
    stored = db.execute("SELECT name FROM pragma_table_xinfo(?, 'main') WHERE hidden = 0", (name,))
    columns = ", ".join(quoted(column) for (column,) in stored)
    db.execute(
        f"INSERT INTO main.{quoted(name)} ({columns}) SELECT {columns} FROM restored.{quoted(name)}"  # noqa: S608
    ).fetchall()
    return int(db.execute(f"SELECT count(*) FROM main.{quoted(name)}").get)  # noqa: S608
