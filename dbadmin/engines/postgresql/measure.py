"""How many rows there are and, where it is wanted, what they hold: measured in the snapshot of a session."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import LiteralString

import psycopg
from psycopg import sql

from dbadmin.engines.postgresql.fingerprint import schema_fingerprint
from dbadmin.engines.postgresql.inventory import Table, count_objects, name_objects, read_sequences, schema_heads
from dbadmin.engines.postgresql.sessions import Session, words
from dbadmin.facts import COUNTS, Facts, Measuring
from dbadmin.text import Text

# Whatever a server, database or role prefers, equal values are written alike.
_WRITTEN_ALIKE = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "quote_all_identifiers": "off",
    # Compiling takes longer than it saves here.
    "jit": "off",
}
# Generated columns follow from the others, by functions that may be others on another version. Inherited columns
# may come in another order in a restored copy. "char" is printed in another way since version 16.
_COLUMNS: LiteralString = """
SELECT attname, atttypid = '"char"'::regtype FROM pg_attribute
WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attname COLLATE "C"
"""
# The sum heeds how often equal rows occur; the collation keeps it to the bytes.
_HASH: LiteralString = (
    'SELECT count(*), coalesce(sum(hashtextextended(ROW({})::text COLLATE "C", 0)), 0)::text FROM ONLY {}'
)
_COUNT: LiteralString = "SELECT count(*), NULL FROM ONLY {}"


def measure(session: Session, tables: Iterable[Table], measuring: Measuring = COUNTS) -> Facts:
    """Measure everything in the session's snapshot. The session writes values in its own way afterwards.

    Materialised views are counted, never hashed: what they hold is made anew by a restore.
    """
    rows = _Rows(session=session, measuring=measuring)
    rows.measure(list(tables))
    objects = count_objects(session)
    return Facts(
        tables=rows.counts,
        sequences=read_sequences(session),
        objects=objects,
        names=name_objects(session, objects),
        schema_fingerprint=schema_fingerprint(session),
        schema_head=schema_heads(session),
        hashes=rows.hashes,
        missing=tuple(rows.reasons),
        reasons={name: reason.to_json() for name, reason in rows.reasons.items()},
    )


@dataclass(kw_only=True)
class _Rows:
    """What is known of rows so far, and until when more may be asked."""

    session: Session
    measuring: Measuring
    begun: float = field(default_factory=time.monotonic)
    counts: dict[str, int] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, Text] = field(default_factory=dict)

    def measure(self, tables: list[Table]) -> None:
        """Small tables come first where time is limited, and counts before hashes, so that most is known."""
        if self.measuring.seconds:
            tables = sorted(tables, key=lambda table: table.size)
        hashed = [table for table in tables if self.measuring.hashes and table.kind != "m"]
        counted = tables if self.measuring.seconds else [table for table in tables if table not in hashed]
        for table in counted:
            self._count(table)
        if hashed:
            self._write_alike()
        for table in hashed:
            self._hash(table)

    def _count(self, table: Table) -> None:
        self._ask(table, sql.SQL(_COUNT).format(_name(table)))

    def _hash(self, table: Table) -> None:
        """A row that cannot be written as text, such as one of more than 1 GB, leaves its table counted only."""
        try:
            with self.session.transaction():
                self._ask(table, sql.SQL(_HASH).format(self._columns(table), _name(table)))
        except psycopg.DatabaseError as error:
            if self.session.broken or isinstance(error, psycopg.errors.QueryCanceled):
                raise
            self.reasons[table.label] = Text("The server answered: {reason}", reason=words(error))
            if table.label not in self.counts:
                self._count(table)

    def _ask(self, table: Table, query: sql.Composed) -> None:
        try:
            answer = self._answer(query)
        except psycopg.errors.QueryCanceled:
            if not self.measuring.seconds or self._left() > 0:
                raise  # somebody has cancelled the job
            answer = None
        if answer is None:
            self.reasons[table.label] = Text("The time limit of {seconds} s was over.", seconds=self.measuring.seconds)
            return
        self.counts[table.label] = int(answer[0])
        if answer[1] is not None:
            self.hashes[table.label] = str(answer[1])

    def _answer(self, query: sql.Composed) -> tuple[int, str | None] | None:
        """Return None when the time is over."""
        if not self.measuring.seconds:
            return _only_row(self.session, query)
        if (left := self._left()) <= 0:
            return None
        with self.session.transaction():
            limit = str(max(1, round(left * 1000)))
            self.session.execute("SELECT set_config('statement_timeout', %s, true)", (limit,))
            answer = _only_row(self.session, query)
            self.session.execute("SET LOCAL statement_timeout = 0")
        return answer

    def _left(self) -> float:
        return self.begun + self.measuring.seconds - time.monotonic()

    def _columns(self, table: Table) -> sql.Composed:
        columns = self.session.execute(_COLUMNS, (table.oid,)).fetchall()
        return sql.SQL(", ").join(
            sql.SQL("{}::int4" if is_char else "{}").format(sql.Identifier(name)) for name, is_char in columns
        )

    def _write_alike(self) -> None:
        for name, value in _WRITTEN_ALIKE.items():
            self.session.execute("SELECT set_config(%s, %s, true)", (name, value))


def _name(table: Table) -> sql.Identifier:
    return sql.Identifier(table.schema, table.name)


def _only_row(session: Session, query: sql.Composed) -> tuple[int, str | None]:
    row = session.execute(query).fetchone()
    assert row is not None
    return row[0], row[1]
