"""A SQLite database as SQL text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import apsw

from dbadmin.engines.sqlite.measure import quoted, tables
from dbadmin.exceptions import ValidationFailed
from dbadmin.progress import Progress
from dbadmin.text import Text

_TEXT_BETWEEN_LOOKS = 1_000_000


def schema(db: apsw.Connection) -> Iterator[str]:
    """Yield the statements that make the same objects, without rows, in an empty database."""
    yield from _settings(db)
    yield "BEGIN;\n"
    yield from _definitions(db, "table")
    yield from _definitions(db, "index", "view", "trigger")
    yield "COMMIT;\n"


def data(db: apsw.Connection, rows: int, progress: Progress) -> Iterator[str]:
    """Yield INSERT statements for every row; ``rows`` is how many there are, for the progress."""
    progress.phase(Text("Writing the rows as SQL"), total=rows, unit="rows")
    yield "PRAGMA foreign_keys=OFF;\nBEGIN;\n"
    yield from _rows(db, progress)
    yield "COMMIT;\n"


def whole(db: apsw.Connection, rows: int, progress: Progress) -> Iterator[str]:
    """Yield the statements that make the whole database; triggers come last, so that none fires."""
    progress.phase(Text("Writing the database as SQL"), total=rows, unit="rows")
    yield from _settings(db)
    yield "PRAGMA foreign_keys=OFF;\nBEGIN;\n"
    yield from _definitions(db, "table")
    yield from _rows(db, progress)
    yield from _definitions(db, "index", "view", "trigger")
    yield "COMMIT;\n"


def _settings(db: apsw.Connection) -> Iterator[str]:
    yield f"PRAGMA encoding='{db.pragma('encoding')}';\n"
    for name in ("page_size", "auto_vacuum", "user_version", "application_id"):
        yield f"PRAGMA {name}={db.pragma(name)};\n"


def _definitions(db: apsw.Connection, *kinds: str) -> Iterator[str]:
    """Tables behind a virtual table are left out: the virtual table makes them itself."""
    shadows = set(tables(db, "shadow"))
    for kind in kinds:
        found = db.execute(
            "SELECT tbl_name, sql FROM sqlite_schema WHERE type = ? AND sql IS NOT NULL"
            r" AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY rowid",
            (kind,),
        )
        yield from (f"{sql};\n" for table, sql in found if table not in shadows)


def _rows(db: apsw.Connection, progress: Progress) -> Iterator[str]:
    """Yield the rows of all tables. A virtual table is filled through the tables behind it, which hold its rows."""
    done = pending = 0
    for name in tables(db, "table"):
        for statement in _inserts(db, name):
            yield statement
            done += 1
            pending += len(statement)
            if pending > _TEXT_BETWEEN_LOOKS:
                pending = 0
                progress.check()
                progress.update(done, current=name)
    for name in tables(db, "shadow"):
        yield f"DELETE FROM {quoted(name)};\n"  # noqa: S608
        yield from _inserts(db, name)
    yield from _sequences(db)


def _inserts(db: apsw.Connection, table: str) -> Iterator[str]:
    columns = ", ".join(_columns(db, table))
    start = f"INSERT INTO {quoted(table)} ({columns}) VALUES ("  # noqa: S608
    try:
        for row in db.execute(f"SELECT {columns} FROM {quoted(table)}"):  # noqa: S608
            yield start + ", ".join(map(literal, row)) + ");\n"
    except UnicodeDecodeError as error:
        raise ValidationFailed(
            Text("Table “{table}” has a text that is not valid UTF-8.", table=table),
            Text("Take a full backup, which keeps every byte; SQL text cannot hold this value."),
        ) from error


def _columns(db: apsw.Connection, table: str) -> Iterable[str]:
    found = db.execute("SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid", (table,))
    return [quoted(name) for (name,) in found]


def _sequences(db: apsw.Connection) -> Iterator[str]:
    if db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_sequence'").get:
        yield "DELETE FROM sqlite_sequence;\n"
        yield from _inserts(db, "sqlite_sequence")


def literal(value: Any) -> str:
    """Return a value that SQLite holds as SQL; SQLite keeps no NaN (it is NULL)."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if isinstance(value, str):
        return "||char(0)||".join("'" + part.replace("'", "''") + "'" for part in value.split("\0"))
    if isinstance(value, float):
        return ("-9e999" if value < 0 else "9e999") if math.isinf(value) else repr(value)
    return str(value)
