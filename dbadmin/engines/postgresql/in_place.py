"""All of a database replaced inside it, in one transaction: for a role that may not make a database beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from dbadmin.engines import recognise
from dbadmin.engines.base import ReportLine, made_anew
from dbadmin.engines.paths import require_space
from dbadmin.engines.postgresql.background import background
from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.engines.postgresql.inventory import find_tables
from dbadmin.engines.postgresql.measure import measure
from dbadmin.engines.postgresql.restore import write_sql
from dbadmin.engines.postgresql.run_script import Running
from dbadmin.engines.postgresql.script import Statement
from dbadmin.engines.postgresql.sessions import Session, connect, sentences, words
from dbadmin.engines.postgresql.target import beside
from dbadmin.exceptions import DatabaseError, Refused
from dbadmin.facts import Facts
from dbadmin.progress import Progress
from dbadmin.text import Text

LOCK_SECONDS = 30

_MAY: LiteralString = """
SELECT pg_has_role(d.datdba, 'USAGE'), r.rolsuper OR r.rolcreatedb FROM pg_database d, pg_roles r
WHERE d.datname = %s AND r.rolname = current_user
"""
# Whole schemas go where no extension lives in them; public stays, with its owner and grants.
_SCHEMAS: LiteralString = """
SELECT format('DROP SCHEMA %I CASCADE', n.nspname) FROM pg_namespace n
WHERE n.nspname <> 'public' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND NOT EXISTS
  (SELECT 1 FROM pg_depend d WHERE d.deptype IN ('e', 'n') AND (d.classid = 'pg_namespace'::regclass AND d.objid = n.oid
   OR d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid AND d.classid = 'pg_extension'::regclass))
"""
# CASCADE takes what hangs together, so that each of these may be gone when its turn comes.
_OBJECTS: LiteralString = """
WITH members AS (SELECT classid, objid FROM pg_depend WHERE deptype IN ('e', 'i')),
spaces AS (SELECT oid, nspname FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname !~ '^pg_')
SELECT 1, format('DROP %s IF EXISTS %I.%I CASCADE', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN
  'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, s.nspname, c.relname)
FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND c.relpersistence <> 't'
  AND NOT EXISTS (SELECT 1 FROM members WHERE classid = 'pg_class'::regclass AND objid = c.oid)
UNION ALL SELECT 2, format('DROP ROUTINE IF EXISTS %I.%I(%s) CASCADE', s.nspname, p.proname,
  pg_get_function_identity_arguments(p.oid))
FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace WHERE p.prokind <> 'a'
  AND NOT EXISTS (SELECT 1 FROM members WHERE classid = 'pg_proc'::regclass AND objid = p.oid)
UNION ALL SELECT 2, format('DROP AGGREGATE IF EXISTS %I.%I(%s) CASCADE', s.nspname, p.proname,
  coalesce(nullif(pg_get_function_identity_arguments(p.oid), ''), '*'))
FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace WHERE p.prokind = 'a'
  AND NOT EXISTS (SELECT 1 FROM members WHERE classid = 'pg_proc'::regclass AND objid = p.oid)
UNION ALL SELECT 3, format('DROP %s IF EXISTS %I.%I CASCADE', CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END,
  s.nspname, t.typname)
FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
WHERE (t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c')
  AND NOT EXISTS (SELECT 1 FROM members WHERE classid = 'pg_type'::regclass AND objid = t.oid)
UNION ALL SELECT 4, format('DROP COLLATION IF EXISTS %I.%I CASCADE', s.nspname, o.collname)
FROM pg_collation o JOIN spaces s ON s.oid = o.collnamespace
WHERE NOT EXISTS (SELECT 1 FROM members WHERE classid = 'pg_collation'::regclass AND objid = o.oid)
UNION ALL SELECT 4, format('DROP TEXT SEARCH CONFIGURATION IF EXISTS %I.%I CASCADE', s.nspname, o.cfgname)
FROM pg_ts_config o JOIN spaces s ON s.oid = o.cfgnamespace
WHERE NOT EXISTS (SELECT 1 FROM members WHERE classid = 'pg_ts_config'::regclass AND objid = o.oid)
UNION ALL SELECT 5, format('DROP TEXT SEARCH DICTIONARY IF EXISTS %I.%I CASCADE', s.nspname, o.dictname)
FROM pg_ts_dict o JOIN spaces s ON s.oid = o.dictnamespace
WHERE NOT EXISTS (SELECT 1 FROM members WHERE classid = 'pg_ts_dict'::regclass AND objid = o.oid)
UNION ALL SELECT 6, format('DROP PUBLICATION IF EXISTS %I CASCADE', pubname) FROM pg_publication
UNION ALL SELECT 6, format('DROP SERVER IF EXISTS %I CASCADE', srvname) FROM pg_foreign_server
UNION ALL SELECT 7, format('SELECT lo_unlink(%s::oid)', oid) FROM pg_largeobject_metadata
ORDER BY 1, 2
"""


def is_needed(current: PostgreSQLConnection) -> bool:
    """Say whether the role owns the database and may not create another, so that this is the way to replace it."""
    with beside(current) as session:
        return session.execute(_MAY, (current.dbname,)).fetchone() == (True, False)


def replace_content(
    current: PostgreSQLConnection,
    *,
    spool: Path,
    client_version: str,
    expected: Facts,
    keep_owners: bool,
    intend: Callable[[Mapping[str, Any]], None],
    progress: Progress,
) -> tuple[ReportLine, ...]:
    """Make the content of ``current`` that of the dump in ``spool``, equal to ``expected``, or change nothing.

    Others wait for the tables until the end. ``intend`` is told by what ``rows.is_done`` sees later whether it
    happened, just before it does. Raises ``DatabaseError`` naming the statement, or the facts, that failed.
    """
    path = write_sql(spool=spool, client_version=client_version, progress=progress)
    with recognise.opened(path) as source, connect(current, progress=progress) as session, sentences(current):
        with session.transaction():
            _empty(session, progress)
            running = Running(session, source, keep_owners=keep_owners, skip=_Kept(session).has)
            progress.phase(Text("Running the statements"), total=source.size)
            with background(session, running.run_statements) as work:
                try:
                    work.result(progress, lambda: progress.update(running.done))
                finally:
                    running.stopped.set()
            remarks = _require_equal(session, expected, progress)
            progress.phase(Text("Switching"))
            number = session.execute("SELECT txid_current()::text").fetchone()
            assert number is not None
            intend({"transaction": number[0]})
            progress.check()
        progress.phase(Text("Switched"))
    return (*running.report, *remarks)


def require_room(spool: Path, origin: Mapping[str, Any]) -> None:
    """Refuse when the statements, which are written out first, would not fit beside the dump."""
    require_space(spool, int(origin.get("size_bytes") or 0))


def _empty(session: Session, progress: Progress) -> None:
    progress.phase(Text("Waiting for the tables"))
    for name, value in (("statement_timeout", "0"), ("lock_timeout", f"{LOCK_SECONDS}s"), ("search_path", "")):
        session.execute("SELECT set_config(%s, %s, true)", (name, value))
    for statement in _drops(session):
        progress.check()
        try:
            session.execute(statement)
        except psycopg.errors.InsufficientPrivilege as error:
            raise Refused(
                Text("{user} may not remove everything that is there: {reason}", user=session.info.user,
                     reason=words(error)),
                Text("Let the owner of all objects or a superuser do it. Nothing was changed."),
            ) from error  # fmt: skip


def _drops(session: Session) -> Iterator[bytes]:
    """The server writes the statements, with every name quoted as it has to be."""
    for (statement,) in session.execute(_SCHEMAS).fetchall():
        yield statement.encode()
    for _order, statement in session.execute(_OBJECTS).fetchall():
        yield statement.encode()


def _require_equal(session: Session, expected: Facts, progress: Progress) -> tuple[ReportLine, ...]:
    progress.phase(Text("Comparing with the backup"))
    with background(session, lambda: _measured(session, expected)) as comparing:
        found = comparing.result(progress)
    if differences := expected.differences(found):
        shown = "; ".join(str(each.as_text()) for each in differences[:5])
        raise DatabaseError(
            Text("What was restored differs from the backup; differences: {count}. {facts}.", count=len(differences),
                 facts=shown),
            Text("The database was not changed. Choose another backup."),
        )  # fmt: skip
    return made_anew(expected, found)


def _measured(session: Session, expected: Facts) -> Facts:
    found = measure(session, find_tables(session), expected.measuring)
    session.execute("ANALYZE")
    return found


class _Kept:
    """What stayed and is not made again: extensions, on which only their owners may comment, and their schemas."""

    def __init__(self, session: Session) -> None:
        names = session.execute("SELECT quote_ident(nspname) FROM pg_namespace").fetchall()
        self._schemas = {f"CREATE SCHEMA {name};".encode() for (name,) in names}

    def has(self, statement: Statement) -> bool:
        if statement.words[:3] == ["COMMENT", "ON", "EXTENSION"]:
            return True
        return (
            statement.words[:2] == ["CREATE", "SCHEMA"] and bytes(statement.content).splitlines()[-1] in self._schemas
        )
