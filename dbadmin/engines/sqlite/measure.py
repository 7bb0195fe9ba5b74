"""Facts of a SQLite database, measured on a connection that is inside a read transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import apsw

from dbadmin.engines.base import ToolHistory
from dbadmin.engines.history import read_history
from dbadmin.facts import Facts
from dbadmin.progress import Progress
from dbadmin.text import Text

# What SQLite itself adds (statistics of ANALYZE, automatic indexes) says nothing about the schema.
_OWN = r"name NOT LIKE 'sqlite\_%' ESCAPE '\'"
_OPERATIONS_BETWEEN_LOOKS = 20_000


def quoted(name: str) -> str:
    """Return an identifier as SQL."""
    return '"' + name.replace('"', '""') + '"'


def tables(db: apsw.Connection, *kinds: str) -> list[str]:
    """Return the names of tables of these kinds (table, virtual, shadow), in order, without SQLite's own."""
    found = db.execute(f"SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND {_OWN} ORDER BY name")  # noqa: S608
    return [name for name, kind in found if kind in kinds]


def measure(db: apsw.Connection, progress: Progress, *, rows: bool = True) -> Facts:
    """Count every row of every table, and describe the schema. ``rows`` false: all tables are taken as empty.

    The tables behind a virtual table are not counted, the virtual table is. One whose module is not in our SQLite
    is named in ``missing``.
    """
    counts, missing = _counts(db, progress) if rows else (dict.fromkeys(tables(db, "table", "virtual"), 0), [])
    return Facts(
        tables=counts,
        sequences=_sequences(db) if rows else {},
        objects=_objects(db),
        schema_fingerprint=_fingerprint(db),
        schema_head={tool.tool: list(tool.heads) for tool in history(db)} if rows else {},
        missing=tuple(missing),
    )


def history(db: apsw.Connection) -> tuple[ToolHistory, ...]:
    """Read the tables of migration tools."""

    def find(name: str) -> list[str]:
        return [quoted(table) for table in tables(db, "table") if table == name]

    def fetch(sql: str) -> list[tuple[Any, ...]]:
        return list(db.execute(sql))

    return read_history(find, fetch)


def watched(db: apsw.Connection, look: Callable[[], None]) -> None:
    """Call ``look`` while statements of this connection run; what it raises ends the statement."""

    def called() -> bool:
        look()
        return False

    db.set_progress_handler(called, _OPERATIONS_BETWEEN_LOOKS)


def definitions(db: apsw.Connection) -> dict[tuple[str, str], str]:
    """Return kind and name -> SQL of every object that somebody made."""
    shadows = set(tables(db, "shadow"))
    rows = db.execute(f"SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE {_OWN}")  # noqa: S608
    return {(kind, name): str(sql) for kind, name, table, sql in rows if table not in shadows}


def _counts(db: apsw.Connection, progress: Progress) -> tuple[dict[str, int], list[str]]:
    names = tables(db, "table", "virtual")
    counts, missing = {}, []
    progress.phase(Text("Counting rows"), total=len(names), unit="items")
    for done, name in enumerate(names):
        progress.update(done, current=name)
        try:
            counts[name] = int(db.execute(f"SELECT count(*) FROM {quoted(name)}").get)  # noqa: S608
        except apsw.SQLError:
            missing.append(name)
    progress.update(len(names))
    return counts, missing


def _sequences(db: apsw.Connection) -> dict[str, int | None]:
    if not db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_sequence'").get:
        return {}
    return {str(name): int(seq) for name, seq in db.execute("SELECT name, seq FROM sqlite_sequence ORDER BY name")}


def _objects(db: apsw.Connection) -> dict[str, int]:
    kinds = {"table": "tables", "index": "indexes", "view": "views", "trigger": "triggers"}
    counts = dict.fromkeys(kinds.values(), 0)
    shadows = set(tables(db, "shadow"))
    for kind, table in db.execute(f"SELECT type, tbl_name FROM sqlite_schema WHERE {_OWN}"):  # noqa: S608
        if table not in shadows:
            counts[kinds[kind]] += 1
    return counts


def _fingerprint(db: apsw.Connection) -> str:
    digest = hashlib.sha256()
    for line in _definitions(db):
        digest.update(line.encode() + b"\0")
    return digest.hexdigest()


def _definitions(db: apsw.Connection) -> Iterator[str]:
    shadows = set(tables(db, "shadow"))
    rows = db.execute(f"SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE {_OWN} ORDER BY type, name")  # noqa: S608
    for kind, name, table, sql in rows:
        if table not in shadows:
            yield f"{kind} {name} {table} {sql}"
