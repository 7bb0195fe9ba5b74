"""Testing a connection: the stages of reaching it, then whether everything in it may be read."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from dbadmin.engines.base import ServerInfo
from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.engines.postgresql.diagnosis import StageFailed, Stages, reach
from dbadmin.engines.postgresql.inventory import USER_NAMESPACE, qualified
from dbadmin.engines.postgresql.sessions import words
from dbadmin.text import Text

NAMED = 5
_UNREADABLE = f"""
SELECT n.nspname, c.relname, count(*) OVER () FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'S', 'm') AND c.relpersistence <> 't' AND {USER_NAMESPACE}
  AND NOT (has_schema_privilege(n.oid, 'USAGE') AND CASE WHEN c.relkind = 'S'
    THEN has_sequence_privilege(c.oid, 'SELECT') ELSE has_table_privilege(c.oid, 'SELECT') END)
  AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid
    AND e.deptype = 'e')
ORDER BY 1, 2 LIMIT {NAMED}
"""  # noqa: S608
_FILTERED = f"""
SELECT n.nspname, c.relname, count(*) OVER () FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relrowsecurity AND {USER_NAMESPACE} AND row_security_active(c.oid) ORDER BY 1, 2 LIMIT {NAMED}
"""  # noqa: S608
_DETAILS = """
SELECT current_setting('server_version'), current_setting('server_version_num'), pg_is_in_recovery()::text,
  pg_encoding_to_char(d.encoding), d.datcollate, pg_database_size(d.oid)::text, pg_get_userbyid(d.datdba),
  coalesce((SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()), 'false'), current_user
FROM pg_database d WHERE d.datname = current_database()
"""
DETAILS = ("server_version_num", "in_recovery", "encoding", "collate", "size_bytes", "owner", "tls", "user")


def probe_server(connection: PostgreSQLConnection) -> ServerInfo:
    """Try stage by stage; the last stage is the one that failed, if one did."""
    stages = Stages()
    try:
        session = reach(connection, stages)
    except StageFailed:
        return ServerInfo(stages=tuple(stages.done))
    with session:
        version, details = "", dict[str, str]()
        try:
            with stages.stage(Text("privileges")):
                version, details = _look(session)
                _check_privileges(session, connection)
        except StageFailed:
            pass
    return ServerInfo(stages=tuple(stages.done), version=version, details=details)


def _look(session: psycopg.Connection[Any]) -> tuple[str, dict[str, str]]:
    try:
        row = session.execute(_DETAILS).fetchone()
    except psycopg.Error as error:
        raise _unusable(error) from error
    assert row is not None
    return row[0].split()[0], dict(zip(DETAILS, row[1:], strict=False))


def _check_privileges(session: psycopg.Connection[Any], connection: PostgreSQLConnection) -> None:
    try:
        unreadable = session.execute(sql.SQL(_UNREADABLE)).fetchall()
        filtered = session.execute(sql.SQL(_FILTERED)).fetchall()
    except psycopg.Error as error:
        raise _unusable(error) from error
    user = connection.user or str(session.info.user)
    if unreadable:
        raise StageFailed(
            Text(
                "{user} may not read {count} tables or sequences: {names}.",
                user=user,
                count=unreadable[0][2],
                names=_names(unreadable),
            ),
            Text("As a superuser: GRANT pg_read_all_data TO {user};", user=user)
            if session.info.server_version >= 140000
            else Text("Grant {user} SELECT on all tables and sequences, and USAGE on their schemas.", user=user),
        )
    if filtered:
        raise StageFailed(
            Text(
                "Row security hides rows of {count} tables from {user}: {names}.",
                user=user,
                count=filtered[0][2],
                names=_names(filtered),
            ),
            Text("As a superuser: ALTER ROLE {user} BYPASSRLS;", user=user),
        )


def _names(rows: list[Any]) -> str:
    names = ", ".join(qualified(schema, name) for schema, name, _ in rows)
    return f"{names}, …" if rows[0][2] > NAMED else names


def _unusable(error: psycopg.Error) -> StageFailed:
    return StageFailed(
        Text("The database answers, but its catalogue cannot be read: {reason}", reason=words(error)),
        Text("Look into the server's log."),
    )
