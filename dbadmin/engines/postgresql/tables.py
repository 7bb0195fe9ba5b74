"""Some tables of a restored copy brought into a live database, in a schema of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, LiteralString

from psycopg import sql

from dbadmin.engines.base import require_rows
from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.engines.postgresql.inventory import Table, find_tables
from dbadmin.engines.postgresql.sessions import Session, connect, sentences
from dbadmin.progress import Progress
from dbadmin.text import Text

# Values are carried over as text: both ends have to write and read it alike, and types by their whole names.
SETTINGS = {
    "search_path": "",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "3",
    "statement_timeout": "0",
    "row_security": "off",
}
_COLUMNS: LiteralString = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod)
       || coalesce(' COLLATE ' || quote_ident(n.nspname) || '.' || quote_ident(c.collname), '')
       || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_collation c ON c.oid = a.attcollation AND a.attcollation <> t.typcollation
LEFT JOIN pg_namespace n ON n.oid = c.collnamespace
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_KEY: LiteralString = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s AND contype = 'p'"


def place(suffix: str) -> str:
    """Return the schema that the tables come into."""
    return f"dbadmin_{suffix.strip('_')}"


def is_there(current: PostgreSQLConnection, suffix: str) -> bool:
    """Say whether the tables have been brought."""
    with connect(current) as session, sentences(current):
        return session.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (place(suffix),)).fetchone() is not None


def bring_tables(
    current: PostgreSQLConnection,
    copy: PostgreSQLConnection,
    *,
    tables: Mapping[str, int],
    suffix: str,
    progress: Progress,
) -> None:
    """Copy columns, rows and primary key of each into ``place``, all or nothing. ``tables``: name -> expected rows.

    Defaults, further indexes and constraints are left out: what is brought is to be looked at and copied from.
    """
    with connect(copy) as source, sentences(copy), connect(current) as target, sentences(current):
        for session in (source, target):
            for name, value in SETTINGS.items():
                session.execute("SELECT set_config(%s, %s, false)", (name, value))
        chosen = [table for table in find_tables(source) if table.label in tables]
        with source.transaction(), target.transaction():
            target.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(place(suffix))))
            for table, name in zip(chosen, _names(chosen), strict=True):
                progress.phase(Text("Copying {table}", table=table.label), total=table.size)
                found = _copy(source, target, table, sql.Identifier(place(suffix), name), progress)
                require_rows(table.label, found, tables[table.label])
            progress.check()


def _names(tables: list[Table]) -> list[str]:
    """Tables of one name in different schemas are told apart by the schema."""
    count = Counter(table.name for table in tables)
    return [table.name if count[table.name] == 1 else f"{table.schema}.{table.name}" for table in tables]


def _copy(source: Session, target: Session, table: Table, new: sql.Identifier, progress: Progress) -> int:
    columns = source.execute(_COLUMNS, (table.oid,)).fetchall()
    target.execute(sql.SQL("CREATE TABLE {} ({})").format(new, sql.SQL(", ").join(map(_column, columns))))
    names = sql.SQL(", ").join(sql.Identifier(name) for name, _definition in columns)
    old = sql.Identifier(table.schema, table.name)
    done = 0
    with source.cursor() as reading, target.cursor() as writing:
        out = sql.SQL("COPY (SELECT {} FROM ONLY {}) TO STDOUT").format(names, old)
        with reading.copy(out) as rows, writing.copy(sql.SQL("COPY {} FROM STDIN").format(new)) as into:
            for chunk in rows:
                into.write(chunk)
                done += len(chunk)
                progress.update(done, current=table.label)
                progress.check()
        count = writing.rowcount
    for (definition,) in source.execute(_KEY, (table.oid,)).fetchall():
        target.execute(sql.SQL("ALTER TABLE {} ADD {}").format(new, _raw(definition)))
    return count


def _column(column: tuple[Any, ...]) -> sql.Composed:
    name, definition = column
    return sql.SQL("{} {}").format(sql.Identifier(name), _raw(definition))


def _raw(definition: str) -> sql.Composable:
    """What the server wrote itself, with every name quoted as it needs to be."""
    return sql.SQL(definition)
