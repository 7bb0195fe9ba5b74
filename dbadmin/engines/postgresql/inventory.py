"""What is in a database: rows, sequences, objects. Every query sees the snapshot of the session it runs in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql

from dbadmin.engines.history import read_history
from dbadmin.engines.postgresql.sessions import Session
from dbadmin.facts import MOST_NAMES, Facts, named

# Namespaces of users: everything but PostgreSQL's own, temporary ones included in those.
USER_NAMESPACE: LiteralString = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"
NOT_OF_EXTENSION: LiteralString = (
    "NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid"
    " AND e.deptype = 'e')"
)

# Partitions one by one; of an extension's tables those that pg_dump dumps. Unpopulated views hold nothing.
_TABLES: LiteralString = f"""
SELECT c.oid, n.nspname, c.relname, c.relkind::text, pg_table_size(c.oid), greatest(c.reltuples, 0)::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relispopulated AND c.relpersistence <> 't' AND {USER_NAMESPACE}
  AND ({NOT_OF_EXTENSION} OR EXISTS (SELECT 1 FROM pg_extension x WHERE c.oid = ANY (x.extconfig)))
ORDER BY 5 DESC, 2, 3
"""  # noqa: S608
_SEQUENCES: LiteralString = f"""
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND {USER_NAMESPACE} AND {NOT_OF_EXTENSION} ORDER BY 1, 2
"""  # noqa: S608
_USERS: LiteralString = """
WITH members AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
spaces AS (SELECT oid, nspname FROM pg_namespace n WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT 1 FROM members WHERE classid = 'pg_namespace'::regclass AND objid = n.oid)),
relations AS (SELECT c.oid, c.relkind, c.relname, s.nspname FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace
  WHERE c.relpersistence <> 't'
  AND NOT EXISTS (SELECT 1 FROM members WHERE classid = 'pg_class'::regclass AND objid = c.oid))
"""
_OF_RELATION: LiteralString = "r.nspname, r.relname, NULL, NULL"
# Of each kind: schema, name, name of what belongs to it, arguments; and where they are.
_OBJECTS: dict[str, tuple[LiteralString, LiteralString]] = {
    "schemas": ("s.nspname, NULL, NULL, NULL", "FROM spaces s"),
    "tables": (_OF_RELATION, "FROM relations r WHERE relkind IN ('r', 'p')"),
    "foreign_tables": (_OF_RELATION, "FROM relations r WHERE relkind = 'f'"),
    "views": (_OF_RELATION, "FROM relations r WHERE relkind = 'v'"),
    "materialized_views": (_OF_RELATION, "FROM relations r WHERE relkind = 'm'"),
    "sequences": (_OF_RELATION, "FROM relations r WHERE relkind = 'S'"),
    "indexes": (_OF_RELATION, "FROM relations r WHERE relkind IN ('i', 'I')"),
    "functions": (
        "s.nspname, p.proname, NULL, pg_get_function_identity_arguments(p.oid)",
        "FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace WHERE NOT EXISTS (SELECT 1 FROM pg_depend d"
        " WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype IN ('e', 'i'))",
    ),
    "types": (
        "s.nspname, t.typname, NULL, NULL",
        "FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace"
        " WHERE (t.typtype IN ('e', 'd', 'r') OR t.typrelid IN (SELECT oid FROM relations WHERE relkind = 'c'))"
        " AND NOT EXISTS (SELECT 1 FROM members WHERE classid = 'pg_type'::regclass AND objid = t.oid)",
    ),
    "triggers": (
        "r.nspname, r.relname, g.tgname, NULL",
        "FROM pg_trigger g JOIN relations r ON r.oid = g.tgrelid WHERE NOT g.tgisinternal AND g.tgparentid = 0",
    ),
    "constraints": (
        "s.nspname, coalesce(r.relname, t.typname), k.conname, NULL",
        "FROM pg_constraint k JOIN spaces s ON s.oid = k.connamespace LEFT JOIN relations r ON r.oid = k.conrelid"
        " LEFT JOIN pg_type t ON t.oid = k.contypid WHERE k.conparentid = 0"
        " AND k.contype IN ('c', 'f', 'p', 'u', 'x') AND (k.conrelid = 0 OR r.oid IS NOT NULL)",
    ),
    "policies": (
        "r.nspname, r.relname, p.polname, NULL",
        "FROM pg_policy p JOIN relations r ON r.oid = p.polrelid",
    ),
    "extensions": ("x.extname, NULL, NULL, NULL", "FROM pg_extension x"),
    "large_objects": ("NULL, NULL, NULL, NULL", "FROM pg_largeobject_metadata"),
}
WITHOUT_NAMES = ("large_objects",)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table or materialised view that holds rows. size: bytes with TOAST; estimate: rows as last analysed."""

    oid: int
    schema: str
    name: str
    kind: str
    size: int
    estimate: int

    @property
    def label(self) -> str:
        """Its name as facts have it."""
        return qualified(self.schema, self.name)


def qualified(schema: str, name: str) -> str:
    """Return schema.name, each quoted where PostgreSQL would need it; the same on every server version."""
    return f"{_shown(schema)}.{_shown(name)}"


def find_tables(session: Session) -> list[Table]:
    """Return everything that holds rows, the biggest first."""
    return [
        Table(oid=oid, schema=schema, name=name, kind=kind, size=size, estimate=estimate)
        for oid, schema, name, kind, size, estimate in session.execute(_TABLES)
    ]


def read_sequences(session: Session) -> dict[str, int | None]:
    """Return the last value of every sequence, None where it was never used."""
    values: dict[str, int | None] = {}
    for schema, name in session.execute(_SEQUENCES).fetchall():
        query = sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(schema, name))
        row = session.execute(query).fetchone()
        assert row is not None
        values[qualified(schema, name)] = int(row[0]) if row[1] else None
    return values


def count_objects(session: Session) -> dict[str, int]:
    """Return how many objects of each kind users made."""
    each = [
        sql.SQL("SELECT {}, count(*) {}").format(sql.Literal(kind), sql.SQL(where))
        for kind, (_, where) in _OBJECTS.items()
    ]
    query = sql.SQL(_USERS) + sql.SQL(" UNION ALL ").join(each)
    return {kind: int(count) for kind, count in session.execute(query)}


def name_objects(session: Session, counts: Mapping[str, int]) -> dict[str, list[str]]:
    """Return what ``Facts.names`` holds; kinds of which ``counts`` says too many are not even asked for."""
    kinds = [kind for kind in _OBJECTS if kind not in WITHOUT_NAMES and counts[kind] <= MOST_NAMES]
    each = [sql.SQL("SELECT {}, {} {}").format(sql.Literal(kind), *map(sql.SQL, _OBJECTS[kind])) for kind in kinds]
    found: dict[str, list[str]] = {kind: [] for kind in kinds}
    if each:
        for kind, *names, arguments in session.execute(sql.SQL(_USERS) + sql.SQL(" UNION ALL ").join(each)):
            label = ".".join(_shown(name) for name in names if name is not None)
            found[kind].append(label if arguments is None else f"{label}({arguments})")
    return named(found)


def find_named(session: Session, name: str) -> list[str]:
    """Return the quoted, qualified names of all tables so called."""
    rows = session.execute(
        sql.SQL(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relname = %s AND c.relkind IN ('r', 'p') AND {} ORDER BY 1"
        ).format(sql.SQL(USER_NAMESPACE)),
        (name,),
    ).fetchall()
    return [sql.Identifier(schema, table).as_string() for schema, table in rows]


def schema_heads(session: Session) -> dict[str, list[str]]:
    """Return the applied heads of every migration tool that left its table here."""

    def fetch(query: str) -> list[tuple[Any, ...]]:
        return session.execute(query.encode()).fetchall()

    found = read_history(lambda name: find_named(session, name), fetch)
    return {history.tool: sorted(history.heads) for history in found}


def without_rows(facts: Facts, views: Iterable[str]) -> Facts:
    """Return what a copy of the schema alone will measure; ``views`` are materialised and will not be populated."""
    unpopulated = set(views)
    empty: Mapping[str, int] = {name: 0 for name in facts.tables if name not in unpopulated}
    return Facts(
        tables=empty,
        sequences=dict.fromkeys(facts.sequences),
        objects={**facts.objects, "large_objects": 0},
        names=facts.names,
        schema_fingerprint=facts.schema_fingerprint,
    )


def _shown(identifier: str) -> str:
    if re.fullmatch(r"[^\W\dA-Z][^\WA-Z]*", identifier):
        return identifier
    return '"' + identifier.replace('"', '""') + '"'
