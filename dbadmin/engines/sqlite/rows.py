"""The rows of some live tables replaced by those of a restored copy, in one transaction. Definitions stay."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import apsw

from dbadmin.engines.base import require_rows
from dbadmin.engines.rows import Dependants, require_same_columns, require_same_rows
from dbadmin.engines.sqlite.connection import SQLiteConnection, read, sentences
from dbadmin.engines.sqlite.measure import definitions, measure, quoted, watched
from dbadmin.engines.sqlite.measure import tables as tables_of
from dbadmin.engines.sqlite.tables import WAIT_SECONDS
from dbadmin.exceptions import DatabaseError, ValidationFailed
from dbadmin.progress import Progress, Silent
from dbadmin.text import Text

_COLUMNS = 'SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?, ?)'
_SQL = "SELECT sql FROM {}.sqlite_schema WHERE type = 'table' AND name = ?"
_ROWID_NAMES = ("_rowid_", "rowid", "oid")
_MADE = (2, 3)  # hidden: columns that are computed


def dependants(current: SQLiteConnection, tables: tuple[str, ...]) -> Dependants:
    """Return what is touched by replacing rows; views are found by the names in their definitions."""

    def look(db: apsw.Connection) -> Dependants:
        _require_plain(db, tables)
        found = definitions(db)
        words = re.compile("|".join(rf"(?<!\w){re.escape(table)}(?!\w)" for table in tables), re.IGNORECASE)
        fired = db.execute("SELECT name, tbl_name FROM sqlite_schema WHERE type = 'trigger' ORDER BY name")
        return Dependants(
            foreign_keys=tuple(_referring(db, tables)),
            views=tuple(sorted(name for (kind, name), text in found.items() if kind == "view" and words.search(text))),
            triggers=tuple(name for name, table in fired if table in tables),
            schema_fingerprint=measure(db, Silent(), rows=False).schema_fingerprint,
        )

    return read(current.path, look)


def replace_rows(
    current: SQLiteConnection,
    copy: SQLiteConnection,
    *,
    tables: Mapping[str, int],
    sequences: Mapping[str, int | None],
    mark: str,
    intend: Callable[[Mapping[str, Any]], None],
    progress: Progress,
) -> None:
    """Make the rows of each live table those of ``copy``, with their numbers and sequences, or change nothing.

    ``tables``: expected rows. Triggers do not fire; references are checked, and every row read back, before the end.
    An empty table ``mark`` comes with them, by which ``is_done`` sees that it happened, and which ``forget`` removes.
    """
    with sentences(current.path):
        db = _writable(current)
        try:
            db.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
            db.execute("PRAGMA foreign_keys=OFF; PRAGMA synchronous=FULL").fetchall()
            db.execute("ATTACH ? AS restored", (str(copy.path),)).fetchall()
            watched(db, progress.check)
            progress.phase(Text("Waiting for the tables"))
            db.execute("BEGIN IMMEDIATE").fetchall()
            _replace(db, tables, sequences, progress)
            db.execute(f"CREATE TABLE main.{quoted(mark)} (x)").fetchall()
            progress.phase(Text("Switching"))
            intend({"mark": mark})
            progress.check()
            db.execute("COMMIT").fetchall()
            progress.phase(Text("Switched"))
        finally:
            db.close()  # undoes what was not committed


def is_done(current: SQLiteConnection, marks: Mapping[str, Any]) -> bool:
    """Say whether the noted transaction was committed."""
    return read(current.path, lambda db: marks["mark"] in tables_of(db, "table"))


def forget(current: SQLiteConnection, marks: Mapping[str, Any]) -> None:
    """Remove the mark, if it is there."""
    with sentences(current.path):
        db = _writable(current)
        try:
            db.execute(f"DROP TABLE IF EXISTS main.{quoted(marks['mark'])}").fetchall()
        finally:
            db.close()


def _writable(current: SQLiteConnection) -> apsw.Connection:
    uri = "file://" + quote(os.fsencode(current.path)) + "?mode=rw"
    db = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI)
    db.set_busy_timeout(int(WAIT_SECONDS * 1000))
    return db


def _replace(
    db: apsw.Connection, tables: Mapping[str, int], sequences: Mapping[str, int | None], progress: Progress
) -> None:
    _require_plain(db, tuple(tables))
    for table in tables:
        _require_same(db, table)
    concerned = {*tables, *_referring(db, tuple(tables))}
    before = _broken(db, concerned)
    for table, expected in tables.items():
        progress.phase(Text("Replacing the rows of {table}", table=table))
        _fill(db, table)
        _sequence(db, table, sequences)
        require_rows(table, int(db.execute(f"SELECT count(*) FROM main.{quoted(table)}").get), expected)  # noqa: S608
        require_same_rows(table, _sum(db, "restored", table), _sum(db, "main", table))
    progress.phase(Text("Checking references"))
    if new := sorted(_broken(db, concerned) - before, key=str):
        raise DatabaseError(
            Text("Rows of “{table}” would point nowhere, into “{parent}”.", table=new[0][0], parent=new[0][2]),
            Text("Nothing was changed. Replace the tables that refer to each other together."),
        )


def _require_plain(db: apsw.Connection, tables: tuple[str, ...]) -> None:
    plain, virtual = set(tables_of(db, "table")), set(tables_of(db, "virtual"))
    for table in tables:
        if table in virtual:
            raise ValidationFailed(
                Text("“{table}” is a virtual table and cannot be brought by itself.", table=table),
                Text("Restore the whole database beside what exists."),
            )
        if table not in plain:
            raise ValidationFailed(
                Text("“{table}” is not there, so that its rows cannot be replaced.", table=table),
                Text("Bring it beside the live ones instead."),
            )


def _require_same(db: apsw.Connection, table: str) -> None:
    """What computes a column is only in the whole definition."""
    live, held = (
        {str(name): str((*rest, hidden)) for name, *rest, hidden in db.execute(_COLUMNS, (table, schema))}
        for schema in ("main", "restored")
    )
    require_same_columns(table, live, held)
    made = [name for name, *_rest, hidden in db.execute(_COLUMNS, (table, "main")) if hidden in _MADE]
    texts = [db.execute(_SQL.format(schema), (table,)).get for schema in ("main", "restored")]
    if made and texts[0] != texts[1]:
        require_same_columns(table, dict.fromkeys(made, texts[0]), dict.fromkeys(made, texts[1]))


def _referring(db: apsw.Connection, tables: tuple[str, ...]) -> list[str]:
    """Return the other tables that refer to these."""
    wanted = {table.lower() for table in tables}
    sql = 'SELECT "table" FROM pragma_foreign_key_list(?)'
    others = [name for name in tables_of(db, "table") if name not in tables]
    return [name for name in others if any(str(to).lower() in wanted for (to,) in db.execute(sql, (name,)))]


def _broken(db: apsw.Connection, tables: set[str]) -> set[tuple[Any, ...]]:
    sql = "SELECT * FROM pragma_foreign_key_check(?, 'main')"
    return {tuple(row) for table in sorted(tables) for row in db.execute(sql, (table,))}


def _stored(db: apsw.Connection, table: str) -> list[str]:
    """Return the columns that hold something, with the number of the row where a name of it is free."""
    names = [name for name, *_rest, hidden in db.execute(_COLUMNS, (table, "main")) if hidden == 0]
    listed = "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?"
    free = [alias for alias in _ROWID_NAMES if alias not in {name.lower() for name in names}]
    numbered = not db.execute(listed, (table,)).get and free
    return [*(free[:1] if numbered else []), *map(quoted, names)]


def _fill(db: apsw.Connection, table: str) -> None:
    columns, name = ", ".join(_stored(db, table)), quoted(table)
    db.execute(f"DELETE FROM main.{name}").fetchall()  # noqa: S608
    db.execute(f"INSERT INTO main.{name} ({columns}) SELECT {columns} FROM restored.{name}").fetchall()  # noqa: S608


def _sequence(db: apsw.Connection, table: str, values: Mapping[str, int | None]) -> None:
    if not db.execute("SELECT count(*) FROM main.sqlite_schema WHERE name = 'sqlite_sequence'").get:
        return
    db.execute("DELETE FROM main.sqlite_sequence WHERE name = ?", (table,)).fetchall()
    if (value := values.get(table)) is not None:
        db.execute("INSERT INTO main.sqlite_sequence (name, seq) VALUES (?, ?)", (table, value)).fetchall()


def _sum(db: apsw.Connection, schema: str, table: str) -> int:
    """Add up what rows are, in whatever order: type and value of each column, text by its bytes."""
    each = "typeof({0}), CASE typeof({0}) WHEN 'text' THEN CAST({0} AS BLOB) ELSE {0} END"
    columns = ", ".join(each.format(column) for column in _stored(db, table))
    rows = db.execute(f"SELECT {columns} FROM {schema}.{quoted(table)}")  # noqa: S608
    return sum(int.from_bytes(hashlib.sha256(repr(row).encode()).digest(), "big") for row in rows)
