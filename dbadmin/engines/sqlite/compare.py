"""Two SQLite dumps side by side: their schemas, and the rows in the order of the tables."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw

from dbadmin.engines.base import FULL, SCHEMA
from dbadmin.engines.comparing import Changes, Compared, Layout, compare_definitions, compare_rows
from dbadmin.engines.sqlite.connection import sentences
from dbadmin.engines.sqlite.dump import MEMBERS, reading
from dbadmin.engines.sqlite.measure import definitions, quoted, tables, watched
from dbadmin.engines.sqlite.restore import restore
from dbadmin.exceptions import ValidationFailed
from dbadmin.progress import Progress
from dbadmin.text import Text

UNPACKED = "compare.sqlite3"
# Longer values are compared by their hash.
_LONGEST = 1000


def compare_dumps(left: Path, right: Path, *, content: bool, progress: Progress) -> Compared:
    """Compare the dumps in two spools, in which both are unpacked."""
    paths = _unpacked(left, progress), _unpacked(right, progress)
    with sentences(paths[0]), reading(paths[0]) as before, reading(paths[1]) as after:
        for db in (before, after):
            watched(db, progress.check)
        objects = compare_definitions(definitions(before), definitions(after))
        return Compared(objects=objects, tables=_compare_tables(before, after, progress) if content else {})


def _unpacked(spool: Path, progress: Progress) -> Path:
    scope = next((scope for scope in (FULL, SCHEMA) if (spool / MEMBERS[scope]).exists()), None)
    if scope is None:
        raise ValidationFailed(
            Text("A backup of the data alone cannot be compared row by row."), Text("Compare a full backup.")
        )
    target = spool / UNPACKED
    restore(target, spool=spool, scope=scope, origin={}, progress=progress)
    return target


def _compare_tables(before: apsw.Connection, after: apsw.Connection, progress: Progress) -> dict[str, Changes]:
    common = sorted(set(tables(before, "table", "virtual")) & set(tables(after, "table", "virtual")))
    progress.phase(Text("Comparing the rows"), total=len(common), unit="items")
    found = {}
    for done, name in enumerate(common):
        progress.update(done, current=name)
        found[name] = _compare_table(before, after, name, progress)
    progress.update(len(common))
    return found


def _compare_table(before: apsw.Connection, after: apsw.Connection, name: str, progress: Progress) -> Changes:
    columns, key = _columns(before, name)
    others, _key = _columns(after, name)
    try:
        return compare_rows(
            _rows(before, name, columns),
            _rows(after, name, others),
            layouts=(Layout(columns=columns, split=_split), Layout(columns=others, split=_split)),
            key=key,
            look=progress.check,
        )
    except apsw.SQLError as error:  # a virtual table whose module only its application has
        return Changes(unknown=Text("It could not be read: {reason}.", reason=str(error)))
    except UnicodeDecodeError:
        return Changes(unknown=Text("It holds text that is not UTF-8."))


def _columns(db: apsw.Connection, table: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns that are stored, and those of the primary key; the rowid where there is none."""
    rows = list(db.execute("SELECT name, pk FROM pragma_table_xinfo(?) WHERE hidden = 0", (table,)))
    key = tuple(name for name, _place in sorted((row for row in rows if row[1]), key=lambda row: row[1]))
    return tuple(name for name, _place in rows), key


def _rows(db: apsw.Connection, table: str, columns: tuple[str, ...]) -> Iterator[bytes]:
    chosen = ", ".join(map(quoted, columns))
    for row in db.execute(f"SELECT {chosen} FROM {quoted(table)}"):  # noqa: S608
        yield b"\t".join(map(_encoded, row))


def _encoded(value: Any) -> bytes:
    """Return what differs for every two values that differ, types included, and holds no tab."""
    if isinstance(value, (str, bytes)) and len(value) > _LONGEST:
        raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        return f"{type(value).__name__} {hashlib.sha256(raw).hexdigest()}".encode()
    return repr(value).encode("utf-8", "surrogatepass")


def _split(line: bytes) -> list[bytes]:
    return line.split(b"\t")
