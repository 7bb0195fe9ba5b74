"""One database takes the name of another: sessions are refused and ended, both names change in one transaction."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from dbadmin.engines.base import ReportLine, Switch
from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.engines.postgresql.inventory import find_tables
from dbadmin.engines.postgresql.sessions import Session, words
from dbadmin.engines.postgresql.sessions import session as lend
from dbadmin.engines.postgresql.target import (
    LONGEST_NAME,
    beside,
    database_exists,
    known_privilege,
    named_beside,
    settings_statements,
)
from dbadmin.exceptions import DatabaseError, Refused
from dbadmin.progress import Progress
from dbadmin.text import Text

EMPTY_SECONDS = 20.0
_POLL_SECONDS = 0.1

_RIGHTS: LiteralString = """
SELECT d.oid::text, pg_has_role(d.datdba, 'USAGE'), r.rolsuper, r.rolcreatedb
FROM pg_database d, pg_roles r WHERE d.datname = %s AND r.rolname = current_user
"""
_OBJECT: LiteralString = """
SELECT pg_get_userbyid(datdba), datconnlimit, coalesce(shobj_description(oid, 'pg_database'), '')
FROM pg_database WHERE datname = %s
"""
_GRANTS: LiteralString = """
SELECT coalesce(r.rolname, ''), a.privilege_type, a.is_grantable
FROM pg_database d CROSS JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
LEFT JOIN pg_roles r ON r.oid = a.grantee WHERE d.datname = %s ORDER BY 1, 2
"""
_SETTINGS: LiteralString = """
SELECT coalesce(r.rolname, ''), unnest(s.setconfig) FROM pg_db_role_setting s
JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole
WHERE d.datname = %s ORDER BY 1, 2
"""
_END: LiteralString = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY(%s) AND pid <> pg_backend_pid()
"""
_WHO: LiteralString = """
SELECT coalesce(nullif(application_name, ''), backend_type), coalesce(usename, '') FROM pg_stat_activity
WHERE datname = ANY(%s) AND pid <> pg_backend_pid() ORDER BY 1 LIMIT 5
"""


def beside_name(current: PostgreSQLConnection, suffix: str) -> str:
    """Return the name with the suffix, of at most 63 bytes and of whole characters."""
    room = LONGEST_NAME - len(suffix.encode())
    return current.dbname.encode()[:room].decode(errors="ignore").rstrip() + suffix


def intend(current: PostgreSQLConnection, *, candidate: str, kept: str) -> Switch:
    """Look whether the role may do it, and note by which numbers the two databases are known."""
    if database_exists(named_beside(current, kept)):
        raise Refused(
            Text("There is a database called “{name}” already.", name=kept), Text("Rename or drop it, then try again.")
        )
    with beside(current) as asking:
        row = asking.execute(_RIGHTS, (current.dbname,)).fetchone()
        if row is None:
            raise Refused(
                Text("There is no database “{name}” that could be replaced.", name=current.dbname),
                Text("Restore into a new database of that name instead."),
            )
        number, is_owner, is_superuser, may_create = row
        if not is_superuser and not (is_owner and may_create):
            raise _may_not(current, asking.info.user, is_owner=is_owner)
        found = asking.execute("SELECT oid::text FROM pg_database WHERE datname = %s", (candidate,)).fetchone()
    marks = {"current": number, "candidate": found[0] if found else ""}
    return Switch(current=current.dbname, candidate=candidate, kept=kept, marks=marks)


def replace(current: PostgreSQLConnection, switch: Switch, *, progress: Progress) -> tuple[ReportLine, ...]:
    """Switch in one transaction; sessions of both databases are ended and new ones refused only just before it."""
    with beside(current) as session:
        progress.phase(Text("Ending sessions"))
        _set_open(session, (switch.candidate, switch.current), is_open=False)
        _empty(session, (switch.current, switch.candidate))
        progress.phase(Text("Switching"))
        with session.transaction():
            lines = tuple(_carry_over(session, switch.current, switch.candidate))
            _rename(session, switch.current, switch.kept)
            _rename(session, switch.candidate, switch.current)
            _set_open(session, (switch.current,), is_open=True)
    progress.phase(Text("Switched"))
    return lines


def settle(current: PostgreSQLConnection, switch: Switch) -> bool:
    """Judge by the databases' numbers, which no renaming changes, and open what is current to everybody."""
    with beside(current) as session:
        row = session.execute("SELECT oid::text FROM pg_database WHERE datname = %s", (switch.current,)).fetchone()
        if row is None:
            raise DatabaseError(
                Text("The database “{name}” is not there any more.", name=switch.current),
                Text("Look for “{kept}” and “{candidate}”.", kept=switch.kept, candidate=switch.candidate),
            )
        _set_open(session, (switch.current,), is_open=True)
        return bool(switch.marks.get("candidate")) and row[0] == switch.marks["candidate"]


def open_sessions(current: PostgreSQLConnection) -> list[tuple[str, str]]:
    """Return who is connected now: application and role, at most five."""
    with beside(current) as session:
        return session.execute(_WHO, ([current.dbname],)).fetchall()


def contents(current: PostgreSQLConnection) -> dict[str, int]:
    """Return what holds rows, with the numbers of rows that the server estimates."""
    with lend(current) as lent:
        return {table.label: table.estimate for table in find_tables(lent)}


def _may_not(current: PostgreSQLConnection, user: str, *, is_owner: bool) -> Refused:
    if not is_owner:
        return Refused(
            Text("{user} does not own the database {name}.", user=user, name=current.dbname),
            Text("Let its owner or a superuser do it, or restore into a new database."),
        )
    return Refused(
        Text("{user} may not create databases, so that nothing can be restored beside and switched.", user=user),
        Text("As a superuser: ALTER ROLE {user} CREATEDB;", user=user),
    )


def _set_open(session: Session, names: tuple[str, ...], *, is_open: bool) -> None:
    for name in names:
        session.execute(
            sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(name), sql.Literal(is_open))
        )


def _empty(session: Session, names: tuple[str, ...]) -> None:
    """End every session in these databases and wait until they are gone; ``DatabaseError`` names who stays."""
    until = time.monotonic() + EMPTY_SECONDS
    while who := session.execute(_WHO, (list(names),)).fetchall():
        if time.monotonic() > until:
            raise _stay(names[0], who)
        try:
            session.execute(_END, (list(names),))
        except psycopg.errors.InsufficientPrivilege as error:
            raise _stay(names[0], who) from error
        time.sleep(_POLL_SECONDS)


def _stay(name: str, who: list[tuple[Any, ...]]) -> DatabaseError:
    listed = ", ".join(f"{application} ({role})" for application, role in who)
    return DatabaseError(
        Text("Sessions in {name} could not be ended: {who}.", name=name, who=listed),
        Text("Stop that program, or give the role pg_signal_backend."),
    )


def _rename(session: Session, old: str, new: str) -> None:
    session.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))


def _carry_over(session: Session, source: str, target: str) -> Iterator[ReportLine]:
    """Give ``target`` what belongs to the place and not to the content: owner, grants, settings, limit, comment."""
    for statement in _wanted(session, source, target):
        try:
            with session.transaction():
                session.execute(statement)
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            message = f"{statement.as_string(session)}: {words(error)}"
            yield ReportLine(level="warning", object=f"DATABASE {source}", message=message)


def _wanted(session: Session, source: str, target: str) -> Iterator[sql.Composed]:
    name = sql.Identifier(target)
    row = session.execute(_OBJECT, (source,)).fetchone()
    assert row is not None
    owner, limit, comment = row
    yield sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, sql.Identifier(owner))
    yield sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, sql.Literal(comment or None))
    yield sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(name, sql.Literal(limit))
    yield from _same_settings(session, source, target)
    yield from _same_grants(session, source, target)


def _same_settings(session: Session, source: str, target: str) -> Iterator[sql.Composed]:
    wanted, found = (session.execute(_SETTINGS, (each,)).fetchall() for each in (source, target))
    if wanted == found:
        return
    for role in dict.fromkeys(role for role, _setting in found):
        if role:
            yield sql.SQL("ALTER ROLE {} IN DATABASE {} RESET ALL").format(sql.Identifier(role), sql.Identifier(target))
        else:
            yield sql.SQL("ALTER DATABASE {} RESET ALL").format(sql.Identifier(target))
    yield from settings_statements(target, wanted)


def _same_grants(session: Session, source: str, target: str) -> Iterator[sql.Composed]:
    wanted, found = (session.execute(_GRANTS, (each,)).fetchall() for each in (source, target))
    if wanted == found:
        return
    name = sql.Identifier(target)
    for role in dict.fromkeys(role for role, _privilege, _grantable in found):
        yield sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(name, _grantee(role))
    for role, privilege, grantable in wanted:
        yield sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
            sql.SQL(known_privilege(privilege)),
            name,
            _grantee(role),
            sql.SQL(" WITH GRANT OPTION" if grantable else ""),
        )


def _grantee(role: str) -> sql.Composable:
    return sql.Identifier(role) if role else sql.SQL("PUBLIC")
