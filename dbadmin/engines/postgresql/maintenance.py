"""Looking after a live database: what autovacuum does when it gets the chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import LiteralString

import psycopg
from psycopg import sql

from dbadmin.engines.base import Examination
from dbadmin.engines.postgresql.background import wait_for
from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.engines.postgresql.inventory import USER_NAMESPACE, qualified
from dbadmin.engines.postgresql.sessions import Session, connect, sentences, words
from dbadmin.progress import Progress
from dbadmin.text import Text

STEPS: Mapping[str, Text] = {
    "vacuum": Text("Free the space of removed rows (VACUUM)"),
    "analyze": Text("Gather statistics (ANALYZE)"),
}
LOCK_SECONDS = 5
LEFT_OUT = (psycopg.errors.LockNotAvailable, psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege)
# The sizes are the last counted ones: asking for the present ones waits for locks.
_TABLES: LiteralString = f"""
SELECT n.nspname, c.relname, c.relpages * 8192::bigint, pg_has_role(c.relowner, 'USAGE') FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND {USER_NAMESPACE} ORDER BY 3 DESC, 1, 2
"""  # noqa: S608
_SIZE: LiteralString = "SELECT pg_database_size(current_database())"


def maintain(connection: PostgreSQLConnection, steps: Sequence[str], progress: Progress) -> tuple[Examination, ...]:
    """Work through the tables that the role owns, the largest first; nobody who reads or writes has to wait.

    A table that is locked is left out, and named.
    """
    with connect(connection, progress=progress) as session, sentences(connection):
        for name, value in (("lock_timeout", f"{LOCK_SECONDS}s"), ("statement_timeout", "0")):
            session.execute("SELECT set_config(%s, %s, false)", (name, value))
        tables = session.execute(_TABLES).fetchall()
        mine = [(schema, name, size) for schema, name, size, is_ours in tables if is_ours]
        done = [_all(session, name, mine, progress) for name in STEPS if name in steps]
    if strange := len(tables) - len(mine):
        done.append(
            _answer(
                Text("Tables of others"),
                "warning",
                Text("{user} does not own {count} tables, which were left alone.", user=connection.user, count=strange),
            )
        )
    return tuple(done)


def _all(session: Session, step: str, tables: list[tuple[str, str, int]], progress: Progress) -> Examination:
    progress.phase(STEPS[step], total=sum(size for _schema, _name, size in tables) or None)
    before, done, left = _size(session), 0, []
    verb = sql.SQL("VACUUM (SKIP_LOCKED) {}") if step == "vacuum" else sql.SQL("ANALYZE (SKIP_LOCKED) {}")
    for schema, name, size in tables:
        progress.check()
        progress.update(done, current=qualified(schema, name))
        if problem := _one(session, verb.format(sql.Identifier(schema, name)), progress):
            left.append(f"{qualified(schema, name)} ({problem})")
        done += size
    if left:
        return _answer(STEPS[step], "warning", Text("Left out: {tables}", tables=", ".join(left[:10])))
    if step == "analyze":
        return _answer(STEPS[step], "ok", Text("Statistics of {count} tables are up to date.", count=len(tables)))
    sizes = [round(size / 1_000_000, 1) for size in (before, _size(session))]
    return _answer(STEPS[step], "ok", Text("{count} tables; {before} MB before, {after} MB now.", count=len(tables),
                                           before=sizes[0], after=sizes[1]))  # fmt: skip


def _one(session: Session, statement: sql.Composed, progress: Progress) -> str:
    """Return why the table was left out; the server says it as a warning."""
    said: list[str] = []
    listen = lambda diagnostic: said.append(diagnostic.message_primary or "")  # noqa: E731
    session.add_notice_handler(listen)
    try:
        wait_for(session, lambda: session.execute(statement), progress)
    except LEFT_OUT as error:
        return words(error)
    finally:
        session.remove_notice_handler(listen)
    return next((line for line in said if "skipping" in line), "")


def _size(session: Session) -> int:
    row = session.execute(_SIZE).fetchone()
    return int(row[0]) if row else 0


def _answer(name: Text, verdict: str, message: Text) -> Examination:
    return Examination(name=name, verdict=verdict, message=message)
