"""A throw-away database on a server that others use: what has to be there before it is made."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.engines.postgresql.dump import DUMP_FOLDER
from dbadmin.engines.postgresql.restore import fitting_client
from dbadmin.engines.postgresql.sessions import Session
from dbadmin.engines.postgresql.target import already_exists, beside, database_exists, missing_roles, named_beside
from dbadmin.engines.postgresql.toc import read_toc
from dbadmin.exceptions import DbadminError, Refused
from dbadmin.text import Text

_RIGHTS = """
SELECT rolname, rolsuper, rolsuper OR rolcreatedb, pg_is_in_recovery() FROM pg_roles WHERE rolname = current_user
"""
_NOT_OURS = """
SELECT r.rolname FROM pg_roles r WHERE r.rolname = ANY (%s) AND NOT pg_has_role(current_user, r.oid, %s) ORDER BY 1
"""
_SPACES = """
SELECT wanted FROM unnest(%s::text[]) AS wanted WHERE NOT EXISTS (
  SELECT FROM pg_tablespace s WHERE s.spcname = wanted AND has_tablespace_privilege(current_user, s.oid, 'CREATE'))
"""


def lend(
    server: PostgreSQLConnection, name: str, *, archive: Path, origin: Mapping[str, Any], client_version: str
) -> PostgreSQLConnection:
    """Return the database ``name``, which does not exist yet, on ``server``. Changes nothing.

    ``Refused`` when the dump in ``archive`` could not be restored there: the role may not create databases, the server
    is too old, or lacks roles, extensions or tablespaces that the dump names.
    """
    target = replace(named_beside(server, name), guest=True)
    if database_exists(target):
        raise already_exists(target)
    with beside(target) as session:
        user, is_superuser = _require_rights(session)
        fitting_client(session.info.server_version // 10000, origin, client_version)
        owners = {entry.owner for entry in read_toc(archive / DUMP_FOLDER)} | {str(origin.get("owner") or "")}
        owners = {owner for owner in owners if owner and not owner.startswith("pg_")}
        _require_roles(session, {*origin.get("roles", ()), *owners})
        if not is_superuser:
            _require_membership(session, user, owners)
        _require_extensions(session, origin.get("extensions", {}))
        _require_tablespaces(session, origin.get("tablespaces", ()))
    return target


def is_same_server(first: PostgreSQLConnection, second: PostgreSQLConnection) -> bool:
    """Say whether both are databases of one server, also under two names; no when that cannot be seen now."""
    if (first.host, first.port) == (second.host, second.port):
        return True
    try:
        return _started(first) == _started(second)
    except DbadminError:
        return False


def _started(connection: PostgreSQLConnection) -> str:
    """No two servers started in the same microsecond; copies of a server keep its identifier."""
    with beside(replace(connection, dbname="", maintenance=connection.dbname)) as session:
        row = session.execute("SELECT extract(epoch FROM pg_postmaster_start_time())::text").fetchone()
    return str(row[0]) if row else ""


def _require_rights(session: Session) -> tuple[str, bool]:
    """Return who we are there, and whether that is a superuser."""
    row = session.execute(_RIGHTS).fetchone()
    assert row is not None
    user, is_superuser, may_create, is_standby = row
    if is_standby:
        raise Refused(
            Text("The server is a standby, where nothing can be made."),
            Text("Choose its primary server, or let the drill use a throw-away server on this machine."),
        )
    if not may_create:
        raise Refused(
            Text("{user} may not create databases on that server.", user=user),
            Text("Give the role CREATEDB, or let the drill use a throw-away server on this machine."),
        )
    return str(user), bool(is_superuser)


def _require_roles(session: Session, needed: Collection[str]) -> None:
    if missing := missing_roles(session, needed):
        raise Refused(
            Text("The server lacks roles that the backup names: {roles}.", roles=", ".join(missing)),
            Text("Create them there (globals.sql in the archive has the commands), or let the drill use a throw-away"
                 " server on this machine."),
        )  # fmt: skip


def _require_membership(session: Session, user: str, owners: Collection[str]) -> None:
    """Whoever makes an object another's has to be able to become that role."""
    needed = "SET" if session.info.server_version >= 160000 else "MEMBER"
    found = [name for (name,) in session.execute(_NOT_OURS, (sorted(owners), needed))]
    if found:
        raise Refused(
            Text("{user} may not make objects of {roles} on that server.", user=user, roles=", ".join(found)),
            Text("Grant the role membership in them, or let the drill use a throw-away server on this machine."),
        )


def _require_extensions(session: Session, needed: Collection[str]) -> None:
    there = {name for (name,) in session.execute("SELECT name FROM pg_available_extensions")}
    if missing := sorted(set(needed) - there):
        raise Refused(
            Text("The server lacks extensions that the backup needs: {names}.", names=", ".join(missing)),
            Text("Install their packages there, or let the drill use a throw-away server on this machine."),
        )


def _require_tablespaces(session: Session, needed: Collection[str]) -> None:
    if missing := [name for (name,) in session.execute(_SPACES, (sorted(needed),))]:
        raise Refused(
            Text("The server lacks tablespaces that the backup names, or they may not be used: {names}.",
                 names=", ".join(missing)),
            Text("Create them there, or let the drill use a throw-away server on this machine."),
        )  # fmt: skip
