"""Facts of a SQLite database, measured on a connection that is inside a read transaction."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import apsw

from dbadmin.engines.base import ToolHistory
from dbadmin.engines.history import read_history
from dbadmin.facts import COUNTS, Facts, Measuring, named
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


def measure(db: apsw.Connection, progress: Progress, *, rows: bool = True, measuring: Measuring = COUNTS) -> Facts:
    """Count every row of every table, and describe the schema. ``rows`` false: all tables are taken as empty.

    The tables behind a virtual table are not counted, the virtual table is; neither is hashed. A virtual table whose
    module is not in our SQLite is named in ``missing``.
    """
    read, objects = _Rows(db=db, measuring=measuring), _objects(db)
    if rows:
        read.measure(progress)
    else:
        read.counts |= dict.fromkeys(tables(db, "table", "virtual"), 0)
    return Facts(
        tables=read.counts,
        hashes=read.hashes,
        sequences=_sequences(db) if rows else {},
        objects={kind: len(names) for kind, names in objects.items()},
        names=named(objects),
        schema_fingerprint=_fingerprint(db),
        schema_head={tool.tool: list(tool.heads) for tool in history(db)} if rows else {},
        missing=tuple(read.reasons),
        reasons={name: reason.to_json() for name, reason in read.reasons.items()},
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


class _TimeIsOver(Exception):
    """Ends the statement that was reading rows."""


@dataclass(kw_only=True)
class _Rows:
    """What is known of rows so far, and until when more may be read."""

    db: apsw.Connection
    measuring: Measuring
    begun: float = field(default_factory=time.monotonic)
    counts: dict[str, int] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, Text] = field(default_factory=dict)

    def measure(self, progress: Progress) -> None:
        """Counts come before hashes, so that most is known when the time is over."""
        steps = [(name, self._count) for name in tables(self.db, "table", "virtual")]
        if self.measuring.hashes:
            steps += [(name, self._hash) for name in tables(self.db, "table")]
        progress.phase(Text("Counting rows"), total=len(steps), unit="items")
        if self.measuring.seconds:
            self.db.set_progress_handler(self._look, _OPERATIONS_BETWEEN_LOOKS, id="rows")
        try:
            for done, (name, step) in enumerate(steps):
                progress.update(done, current=name)
                self._try(name, step)
        finally:
            self.db.set_progress_handler(None, id="rows")
        progress.update(len(steps))

    def _try(self, name: str, step: Callable[[str], None]) -> None:
        try:
            self._look()
            step(name)
        except _TimeIsOver:
            self.reasons[name] = Text("The time limit of {seconds} s was over.", seconds=self.measuring.seconds)
        except apsw.SQLError as error:
            self.reasons.setdefault(name, Text("SQLite answered: {reason}", reason=str(error)))

    def _look(self) -> bool:
        if self.measuring.seconds and time.monotonic() > self.begun + self.measuring.seconds:
            raise _TimeIsOver
        return False

    def _count(self, name: str) -> None:
        self.counts[name] = int(self.db.execute(f"SELECT count(*) FROM {quoted(name)}").get)  # noqa: S608

    def _hash(self, name: str) -> None:
        """Generated columns follow from the others; text is taken as the bytes it is, for it may be no Unicode."""
        found = self.db.execute("SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY name", (name,))
        columns = [quoted(column) for (column,) in found]
        wanted = (f"typeof({c}), CASE typeof({c}) WHEN 'text' THEN CAST({c} AS BLOB) ELSE {c} END" for c in columns)
        rows = self.db.execute(f"SELECT {', '.join(wanted)} FROM {quoted(name)}")  # noqa: S608
        self.hashes[name] = str(sum(_hash_of_row(row) for row in rows))


def _hash_of_row(row: tuple[Any, ...]) -> int:
    """Return 64 bits of types and values, each with its length; a number as Python writes it, which is exact."""
    digest = hashlib.blake2b(digest_size=8)
    for value in row:
        content = value if isinstance(value, bytes) else str(value).encode()
        digest.update(b"%d:" % len(content))
        digest.update(content)
    return int.from_bytes(digest.digest(), "big")


def _sequences(db: apsw.Connection) -> dict[str, int | None]:
    if not db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_sequence'").get:
        return {}
    return {str(name): int(seq) for name, seq in db.execute("SELECT name, seq FROM sqlite_sequence ORDER BY name")}


def _objects(db: apsw.Connection) -> dict[str, list[str]]:
    kinds = {"table": "tables", "index": "indexes", "view": "views", "trigger": "triggers"}
    found: dict[str, list[str]] = {kind: [] for kind in kinds.values()}
    for kind, name in definitions(db):
        found[kinds[kind]].append(name)
    return found


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
