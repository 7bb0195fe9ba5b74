"""The rows of some live tables replaced by those of a restored copy, in one transaction. Definitions stay."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from dbadmin.engines.base import require_rows
from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.engines.postgresql.deparsed import casts_inside
from dbadmin.engines.postgresql.fingerprint import schema_fingerprint
from dbadmin.engines.postgresql.inventory import Table, find_tables, qualified
from dbadmin.engines.postgresql.sessions import Session, connect, sentences, words
from dbadmin.engines.postgresql.sessions import session as lend
from dbadmin.engines.postgresql.tables import SETTINGS
from dbadmin.engines.rows import Dependants, require_same_columns, require_same_rows
from dbadmin.exceptions import DatabaseError, Refused, ValidationFailed
from dbadmin.progress import Progress
from dbadmin.text import Text

LOCK_SECONDS = 30
END_SECONDS = 5.0
_POLL_SECONDS = 0.1

_COLUMNS: LiteralString = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod)
       || coalesce(' COLLATE ' || quote_ident(n.nspname) || '.' || quote_ident(c.collname), '')
       || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
       || CASE WHEN a.attgenerated <> '' THEN ' GENERATED AS ' || pg_get_expr(d.adbin, d.adrelid) ELSE '' END,
       a.attgenerated <> ''
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_collation c ON c.oid = a.attcollation AND a.attcollation <> t.typcollation
LEFT JOIN pg_namespace n ON n.oid = c.collnamespace
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
# A key of a partition is part of the key of what it is a partition of.
_KEYS: LiteralString = """
WITH RECURSIVE touched AS (
  SELECT oid, conparentid FROM pg_constraint
  WHERE contype = 'f' AND (conrelid = ANY(%(tables)s) OR confrelid = ANY(%(tables)s))
  UNION SELECT c.oid, c.conparentid FROM pg_constraint c JOIN touched t ON c.oid = t.conparentid)
SELECT n.nspname, r.relname, c.conname, pg_get_constraintdef(c.oid), obj_description(c.oid, 'pg_constraint'),
       pg_has_role(r.relowner, 'USAGE'), c.conrelid = ANY(%(tables)s)
FROM touched t JOIN pg_constraint c ON c.oid = t.oid JOIN pg_class r ON r.oid = c.conrelid
JOIN pg_namespace n ON n.oid = r.relnamespace WHERE t.conparentid = 0 ORDER BY 1, 2, 3
"""
_VIEWS: LiteralString = """
WITH RECURSIVE views AS (
  SELECT w.ev_class AS oid FROM pg_depend d JOIN pg_rewrite w ON w.oid = d.objid
  WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY(%(tables)s)
  UNION SELECT w.ev_class FROM views v JOIN pg_depend d ON d.refobjid = v.oid AND d.refclassid = 'pg_class'::regclass
  JOIN pg_rewrite w ON w.oid = d.objid AND d.classid = 'pg_rewrite'::regclass)
SELECT n.nspname, c.relname, c.relkind = 'm' FROM views v JOIN pg_class c ON c.oid = v.oid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm') ORDER BY 1, 2
"""
_TRIGGERS: LiteralString = """
SELECT n.nspname, c.relname, t.tgname, t.tgenabled::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE t.tgrelid = ANY(%(tables)s) AND NOT t.tgisinternal AND t.tgenabled <> 'D' ORDER BY 1, 2, 3
"""
_SEQUENCES: LiteralString = """
SELECT DISTINCT n.nspname, s.relname FROM pg_class s JOIN pg_namespace n ON n.oid = s.relnamespace
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.refclassid = 'pg_class'::regclass
WHERE s.relkind = 'S' AND d.refobjid = ANY(%(tables)s) AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i') ORDER BY 1, 2
"""
_OWNED: LiteralString = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = %s"
_ENABLE = {"O": sql.SQL("ENABLE"), "R": sql.SQL("ENABLE REPLICA"), "A": sql.SQL("ENABLE ALWAYS")}


@dataclass(frozen=True, kw_only=True)
class _Key:
    table: sql.Identifier
    name: sql.Identifier
    definition: str
    comment: str | None
    label: str
    is_ours: bool
    is_inside: bool


def dependants(current: PostgreSQLConnection, tables: tuple[str, ...]) -> Dependants:
    """Return what is touched by replacing rows; ``Refused`` when the role may not do it."""
    with lend(current) as session:
        session.execute("SELECT set_config('search_path', '', true)")
        _require_right_to_create(session)
        oids = [table.oid for table in _live(session, tables).values()]
        keys = _keys(session, oids)
        _require_owner(session, tables, oids, keys)
        views = session.execute(_VIEWS, {"tables": oids}).fetchall()
        triggers = session.execute(_TRIGGERS, {"tables": oids}).fetchall()
        return Dependants(
            foreign_keys=tuple(key.label for key in keys if not key.is_inside),
            views=tuple(qualified(schema, name) for schema, name, is_stored in views if not is_stored),
            stale=tuple(qualified(schema, name) for schema, name, is_stored in views if is_stored),
            triggers=tuple(f"{qualified(schema, table)}.{name}" for schema, table, name, _state in triggers),
            schema_fingerprint=schema_fingerprint(session),
        )


def replace_rows(
    current: PostgreSQLConnection,
    copy: PostgreSQLConnection,
    *,
    tables: Mapping[str, int],
    sequences: Mapping[str, int | None],
    mark: str,
    intend: Callable[[Mapping[str, Any]], None],
    progress: Progress,
) -> None:
    """Make the rows of each live table those of ``copy``, and its sequences what ``sequences`` say, or change nothing.

    ``tables``: expected rows. References are checked by PostgreSQL before the end, triggers do not fire, and every
    row is read back. ``intend`` is told by what ``is_done`` sees later whether it happened, just before it does.
    """
    with connect(copy) as source, sentences(copy), connect(current) as target, sentences(current):
        for session in (source, target):
            for name, value in SETTINGS.items():
                session.execute("SELECT set_config(%s, %s, false)", (name, value))
        with source.transaction(), target.transaction():
            _replace(source, target, tables, sequences, progress)
            progress.phase(Text("Switching"))
            number = target.execute("SELECT txid_current()::text").fetchone()
            assert number is not None
            intend({"transaction": number[0]})
            progress.check()
        progress.phase(Text("Switched"))


def is_done(current: PostgreSQLConnection, marks: Mapping[str, Any]) -> bool:
    """Say whether the noted transaction was committed; ``DatabaseError`` while it is not over."""
    until = time.monotonic() + END_SECONDS
    with connect(current) as session, sentences(current):
        while True:
            row = session.execute("SELECT txid_status(%s::bigint)", (marks["transaction"],)).fetchone()
            if row is not None and row[0] in ("committed", "aborted"):
                return bool(row[0] == "committed")
            if time.monotonic() > until:
                raise DatabaseError(
                    Text("The server cannot say yet how transaction {number} ended.", number=marks["transaction"]),
                    Text("It is asked again by itself; look for the session in pg_stat_activity."),
                )
            time.sleep(_POLL_SECONDS)


def forget(current: PostgreSQLConnection, marks: Mapping[str, Any]) -> None:
    """Nothing of the mark is in the database."""


def _replace(
    source: Session,
    target: Session,
    tables: Mapping[str, int],
    sequences: Mapping[str, int | None],
    progress: Progress,
) -> None:
    copies, live = _live(source, tuple(tables)), _live(target, tuple(tables))
    oids = [table.oid for table in live.values()]
    progress.phase(Text("Waiting for the tables"))
    target.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(f"{LOCK_SECONDS}s")))
    names = sql.SQL(", ").join(map(_name, live.values()))
    target.execute(sql.SQL("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE").format(names))
    columns = {label: _same_columns(source, target, copies[label], live[label]) for label in tables}
    before, keys = schema_fingerprint(target), _keys(target, oids)
    _require_owner(target, tuple(tables), oids, keys)
    with _without_triggers(target, oids), _without_keys(target, keys, progress):
        for label, expected in tables.items():
            _fill(source, target, columns[label], copies[label], live[label], expected, progress)
    _set_sequences(target, oids, sequences)
    if schema_fingerprint(target) != before:
        raise DatabaseError(
            Text("The definitions would not have come out as they were."),
            Text("Nothing was changed. Bring the tables beside the live ones instead."),
        )


def _live(session: Session, tables: tuple[str, ...]) -> dict[str, Table]:
    """Return the tables by name, in the given order; ``ValidationFailed`` for one that is not there."""
    found = {table.label: table for table in find_tables(session)}
    if missing := [label for label in tables if label not in found]:
        raise ValidationFailed(
            Text("“{table}” is not there, so that its rows cannot be replaced.", table=missing[0]),
            Text("Bring it beside the live ones instead."),
        )
    if views := [label for label in tables if found[label].kind != "r"]:
        raise ValidationFailed(
            Text("“{table}” is a materialised view.", table=views[0]),
            Text("Replace the tables it is made of, then refresh it."),
        )
    return {label: found[label] for label in tables}


def _same_columns(source: Session, target: Session, copy: Table, live: Table) -> sql.Composed:
    """Return the columns that are stored; ``Refused`` when the two tables have not the same."""
    found, held = (
        session.execute(_COLUMNS, (table.oid,)).fetchall() for session, table in ((target, live), (source, copy))
    )
    definitions = ({name: casts_inside(kind) for name, kind, _is_made in columns} for columns in (found, held))
    require_same_columns(live.label, *definitions)
    return sql.SQL(", ").join(sql.Identifier(name) for name, _kind, is_made in held if not is_made)


def _keys(session: Session, oids: list[int]) -> list[_Key]:
    return [
        _Key(
            table=sql.Identifier(schema, table),
            name=sql.Identifier(name),
            definition=definition,
            comment=comment,
            label=f"{qualified(schema, table)}.{name}",
            is_ours=is_ours,
            is_inside=is_inside,
        )
        for schema, table, name, definition, comment, is_ours, is_inside in session.execute(_KEYS, {"tables": oids})
    ]


def _require_right_to_create(session: Session) -> None:
    sees = session.execute("SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user").fetchone()
    if sees != (True,):
        raise Refused(
            Text("{user} may not create databases, so that nothing can be restored beside.", user=session.info.user),
            Text("As a superuser: ALTER ROLE {user} CREATEDB;", user=session.info.user),
        )


def _require_owner(session: Session, tables: tuple[str, ...], oids: list[int], keys: list[_Key]) -> None:
    owned = {
        label: session.execute(_OWNED, (oid,)).fetchone() == (True,) for label, oid in zip(tables, oids, strict=True)
    }
    strange = [label for label, is_ours in owned.items() if not is_ours]
    if strange := [*strange, *(key.label for key in keys if not key.is_ours)]:
        raise Refused(
            Text("{user} does not own {names}.", user=session.info.user, names=", ".join(strange)),
            Text("Only owners may set triggers and references aside. Bring the tables beside the live ones instead."),
        )


@contextmanager
def _without_triggers(session: Session, oids: list[int]) -> Iterator[None]:
    found = session.execute(_TRIGGERS, {"tables": oids}).fetchall()
    for schema, table, name, _state in found:
        _switch(session, sql.Identifier(schema, table), sql.SQL("DISABLE"), name)
    yield
    for schema, table, name, state in found:
        _switch(session, sql.Identifier(schema, table), _ENABLE[state], name)


def _switch(session: Session, table: sql.Identifier, how: sql.SQL, name: str) -> None:
    session.execute(sql.SQL("ALTER TABLE ONLY {} {} TRIGGER {}").format(table, how, sql.Identifier(name)))


@contextmanager
def _without_keys(session: Session, keys: list[_Key], progress: Progress) -> Iterator[None]:
    """Set references aside; PostgreSQL checks every row when they come back."""
    for key in keys:
        session.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(key.table, key.name))
    yield
    progress.phase(Text("Checking references"))
    for key in keys:
        _put_back(session, key)


def _put_back(session: Session, key: _Key) -> None:
    try:
        session.execute(
            sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(key.table, key.name, _raw(key.definition))
        )
    except psycopg.errors.ForeignKeyViolation as error:
        raise DatabaseError(
            Text("Rows would point nowhere: {reason}", reason=words(error)),
            Text("Nothing was changed. Replace the tables that refer to each other together."),
        ) from error
    if key.comment is not None:
        session.execute(
            sql.SQL("COMMENT ON CONSTRAINT {} ON {} IS {}").format(key.name, key.table, sql.Literal(key.comment))
        )


def _fill(
    source: Session,
    target: Session,
    columns: sql.Composed,
    copy: Table,
    live: Table,
    expected: int,
    progress: Progress,
) -> None:
    """Deleted rows, unlike truncated ones, stay visible to those who began to read before."""
    progress.phase(Text("Replacing the rows of {table}", table=live.label), total=2 * copy.size)
    target.execute(sql.SQL("DELETE FROM ONLY {}").format(_name(live)))
    out = sql.SQL("COPY (SELECT {} FROM ONLY {}) TO STDOUT")
    sent, stored = _Sum(), _Sum()
    with source.cursor() as reading, target.cursor() as writing:
        into = sql.SQL("COPY {} ({}) FROM STDIN").format(_name(live), columns)
        with reading.copy(out.format(columns, _name(copy))) as rows, writing.copy(into) as accept:
            for row in rows:
                accept.write(row)
                sent.add(row)
                progress.update(sent.bytes, current=live.label)
                progress.check()
    with target.cursor() as reading, reading.copy(out.format(columns, _name(live))) as rows:
        for row in rows:
            stored.add(row)
            progress.update(sent.bytes + stored.bytes, current=live.label)
            progress.check()
    require_rows(live.label, stored.rows, expected)
    require_same_rows(live.label, sent.total, stored.total)


class _Sum:
    """What rows are, in whatever order."""

    def __init__(self) -> None:
        self.rows, self.bytes, self.total = 0, 0, 0

    def add(self, row: Any) -> None:
        self.rows += 1
        self.bytes += len(row)
        self.total += int.from_bytes(hashlib.sha256(row).digest(), "big")


def _set_sequences(session: Session, oids: list[int], values: Mapping[str, int | None]) -> None:
    """``setval`` alone would outlive a rollback; after ``RESTART`` the sequence is a new one until the commit."""
    for schema, name in session.execute(_SEQUENCES, {"tables": oids}).fetchall():
        label, sequence = qualified(schema, name), sql.Identifier(schema, name)
        if label not in values:
            continue
        session.execute(sql.SQL("ALTER SEQUENCE {} RESTART").format(sequence))
        if (value := values[label]) is not None:
            session.execute("SELECT setval(%s::regclass, %s, true)", (sequence.as_string(session), value))


def _name(table: Table) -> sql.Identifier:
    return sql.Identifier(table.schema, table.name)


def _raw(definition: str) -> sql.Composable:
    """What the server wrote itself, with every name quoted as it needs to be."""
    return sql.SQL(definition)
