"""A database that a restore makes: its name, its creation like the original, its removal."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from dbadmin.engines.base import ReportLine
from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.engines.postgresql.diagnosis import MAINTENANCE
from dbadmin.engines.postgresql.sessions import Session, close_pool, connect, sentences, words
from dbadmin.exceptions import ConnectionFailed, DatabaseError, Refused, ValidationFailed
from dbadmin.text import Text

LONGEST_NAME = 63
PRIVILEGES: tuple[LiteralString, ...] = ("CREATE", "CONNECT", "TEMPORARY")
RESERVED = frozenset({"postgres", "template0", "template1"})
# Settings that hold lists: each element is quoted by itself.
LIST_SETTINGS = frozenset(
    {"search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries", "DateStyle"}
)
_ELEMENT = re.compile(r'"((?:[^"]|"")*)"|([^,\s]+)')


def named_beside(connection: PostgreSQLConnection, name: str) -> PostgreSQLConnection:
    """Return the connection of a database ``name`` on the same server; ``ValidationFailed`` when it cannot be used."""
    size = len(name.encode())
    if not name.strip() or name != name.strip() or any(ord(character) < 32 for character in name):
        raise ValidationFailed(Text("“{name}” cannot be the name of a database.", name=name))
    if size > LONGEST_NAME:
        raise ValidationFailed(
            Text("“{name}” is too long: {size} bytes of at most {most}.", name=name, size=size, most=LONGEST_NAME)
        )
    if name in RESERVED:
        raise ValidationFailed(Text("“{name}” belongs to PostgreSQL itself.", name=name), Text("Choose another name."))
    return replace(connection, dbname=name, maintenance=connection.maintenance or connection.dbname)


@contextlib.contextmanager
def beside(target: PostgreSQLConnection) -> Iterator[Session]:
    """Open a session in another database of the target's server, to create, drop or ask for the target."""
    names = [name for name in dict.fromkeys((target.maintenance, *MAINTENANCE)) if name and name != target.dbname]
    failure: ConnectionFailed | None = None
    for name in names:
        try:
            session = connect(replace(target, dbname=name))
        except ConnectionFailed as error:
            failure = failure or error
            if error.stage not in ("login", "database"):
                break
        else:
            with session, sentences(target):
                yield session
            return
    assert failure is not None
    raise failure


def database_exists(target: PostgreSQLConnection) -> bool:
    """Say whether the server has a database of that name."""
    with beside(target) as session:
        return _exists(session, target.dbname)


def create_database(target: PostgreSQLConnection, origin: Mapping[str, Any], *, keep_owners: bool) -> list[ReportLine]:
    """Create it with encoding, locale and owner of the original; ``Refused`` when it exists or cannot be like that."""
    with beside(target) as session:
        if _exists(session, target.dbname):
            raise already_exists(target)
        check_roles(session, origin, keep_owners=keep_owners)
        owner = str(origin.get("owner") or "") if keep_owners else ""
        try:
            lines = _create(session, target, origin, owner)
            if target.guest:
                _close_to_others(session, target.dbname)
            return lines
        except psycopg.errors.DuplicateDatabase as error:
            raise already_exists(target) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise Refused(
                Text(
                    "{user} may not create the database {name}: {reason}",
                    user=target.user,
                    name=target.dbname,
                    reason=words(error),
                ),
                Text("Give the role CREATEDB, or restore without owners."),
            ) from error


def finish_database(target: PostgreSQLConnection, origin: Mapping[str, Any], *, keep_owners: bool) -> list[ReportLine]:
    """Apply comment, settings, privileges and connection limit; return a warning for each that could not be.

    Of a guest only the settings: nobody else is let in.
    """
    if target.guest:
        origin = {"settings": origin.get("settings", ())}
    with connect(target) as session, sentences(target):
        return list(_finish(session, target.dbname, origin, keep_owners=keep_owners))


def drop_database(target: PostgreSQLConnection) -> None:
    """Drop it with everybody's sessions in it; nothing happens when it is not there."""
    close_pool(target)
    with beside(target) as session:
        name = sql.Identifier(target.dbname)
        try:
            session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        except psycopg.errors.ObjectInUse:
            _drop_subscriptions(target)
            session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


def settings_statements(name: str, settings: Iterable[Sequence[str]]) -> Iterator[sql.Composed]:
    """Return the commands that give a database settings: pairs of role, empty for all, and ``name=value``."""
    for role, setting in settings:
        yield _setting(sql.Identifier(name), role, setting)


def missing_roles(session: Session, needed: Iterable[str]) -> list[str]:
    """Return those of the roles that are not on the server."""
    there = {name for (name,) in session.execute("SELECT rolname FROM pg_roles")}
    return sorted(set(needed) - there)


def check_roles(session: Session, origin: Mapping[str, Any], *, keep_owners: bool) -> None:
    """Refuse when roles that the dump names are not on the server."""
    if missing := missing_roles(session, origin.get("roles" if keep_owners else "policy_roles", ())):
        raise Refused(
            Text("The server lacks roles that the backup names: {roles}.", roles=", ".join(missing)),
            Text("Create them (globals.sql in the archive has the commands), or restore without owners.")
            if keep_owners
            else Text("Row security policies name them. Create them; globals.sql in the archive has the commands."),
        )


def already_exists(target: PostgreSQLConnection) -> Refused:
    """Return the refusal to restore over something."""
    return Refused(
        Text(
            "{name} already exists; choose a new name.",
            name=target.address,
        )
    )


def _exists(session: Session, name: str) -> bool:
    return session.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None


def _create(session: Session, target: PostgreSQLConnection, origin: Mapping[str, Any], owner: str) -> list[ReportLine]:
    begin = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {}").format(
        sql.Identifier(target.dbname), sql.Literal(origin.get("encoding") or "UTF8")
    )
    if target.guest:
        begin += sql.SQL(" ALLOW_CONNECTIONS false")
    if owner:
        begin += sql.SQL(" OWNER {}").format(sql.Identifier(owner))
    try:
        session.execute(begin + _locale(session, origin))
    except (
        psycopg.errors.WrongObjectType,
        psycopg.errors.InvalidParameterValue,
        psycopg.errors.FeatureNotSupported,
        psycopg.errors.InternalError_,
    ) as error:
        return [_create_with_c(session, begin, origin, reason=words(error))]
    return []


def _close_to_others(session: Session, name: str) -> None:
    """A new database is open to everybody, so nobody was allowed in until now."""
    for statement in (
        "COMMENT ON DATABASE {} IS 'Made by dbadmin for a drill, which removes it'",
        "REVOKE ALL ON DATABASE {} FROM PUBLIC",
        "ALTER DATABASE {} ALLOW_CONNECTIONS true",
    ):
        session.execute(sql.SQL(statement).format(sql.Identifier(name)))


def _create_with_c(session: Session, begin: sql.Composed, origin: Mapping[str, Any], *, reason: str) -> ReportLine:
    """Without the locale the content is the same but sorts differently; that is better than no database."""
    locale = str(origin.get("locale") or origin.get("collate") or "")
    session.execute(begin + sql.SQL(" LC_COLLATE 'C' LC_CTYPE 'C'"))
    message = Text(
        "The locale {locale} is not available on this server ({reason}). Created with C: text sorts differently.",
        locale=locale, reason=reason,
    )  # fmt: skip
    return ReportLine(level="warning", object="DATABASE", message=message)


def _locale(session: Session, origin: Mapping[str, Any]) -> sql.Composed:
    parts = [sql.SQL("")]
    composed = sql.Composed(parts)
    for word, key in (("LC_COLLATE", "collate"), ("LC_CTYPE", "ctype")):
        if origin.get(key):
            composed += sql.SQL(" {} {}").format(sql.SQL(word), sql.Literal(origin[key]))
    provider = {"i": "icu", "b": "builtin"}.get(str(origin.get("locale_provider")), "libc")
    if session.info.server_version >= 150000:
        composed += sql.SQL(" LOCALE_PROVIDER {}").format(sql.SQL(provider))
    if provider != "libc":
        composed += sql.SQL(" {} {}").format(
            sql.SQL("ICU_LOCALE" if provider == "icu" else "BUILTIN_LOCALE"), sql.Literal(origin.get("locale", ""))
        )
    if provider == "icu" and origin.get("icu_rules"):
        composed += sql.SQL(" ICU_RULES {}").format(sql.Literal(origin["icu_rules"]))
    return composed


def _finish(session: Session, name: str, origin: Mapping[str, Any], *, keep_owners: bool) -> Iterator[ReportLine]:
    for statement in _statements(session, sql.Identifier(name), origin, keep_owners=keep_owners):
        try:
            session.execute(statement)
        except psycopg.errors.OperationalError:
            raise
        except psycopg.Error as error:
            yield ReportLine(
                level="warning", object=f"DATABASE {name}", message=f"{statement.as_string(session)}: {words(error)}"
            )


def _statements(
    session: Session, name: sql.Identifier, origin: Mapping[str, Any], *, keep_owners: bool
) -> Iterator[sql.Composed]:
    if origin.get("comment"):
        yield sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, sql.Literal(origin["comment"]))
    roles = {role for (role,) in session.execute("SELECT rolname FROM pg_roles")}
    for role, setting in origin.get("settings", ()):
        if not role or role in roles:
            yield _setting(name, role, setting)
    if keep_owners and origin.get("privileges"):
        yield sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name)
        for role, privilege, grantable in origin["privileges"]:
            yield sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
                sql.SQL(known_privilege(privilege)),
                name,
                sql.Identifier(role) if role else sql.SQL("PUBLIC"),
                sql.SQL(" WITH GRANT OPTION" if grantable else ""),
            )
    if origin.get("connection_limit", -1) not in (-1, -2):
        yield sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(
            name, sql.Literal(int(origin["connection_limit"]))
        )


def _setting(name: sql.Identifier, role: str, setting: str) -> sql.Composed:
    key, _, value = setting.partition("=")
    begin = (
        sql.SQL("ALTER ROLE {} IN DATABASE {}").format(sql.Identifier(role), name)
        if role
        else sql.SQL("ALTER DATABASE {}").format(name)
    )
    values = [value]
    if key in LIST_SETTINGS:
        values = [(quoted or plain).replace('""', '"') for quoted, plain in _ELEMENT.findall(value)] or [""]
    literals = sql.SQL(", ").join(map(sql.Literal, values))
    return begin + sql.SQL(" SET {} TO {}").format(sql.Identifier(*key.split(".")), literals)


def known_privilege(name: str) -> LiteralString:
    """Return the privilege as SQL; ``DatabaseError`` for one that databases do not have."""
    for known in PRIVILEGES:
        if name == known:
            return known
    raise DatabaseError(Text("“{name}” is not a privilege of databases.", name=name))


def _drop_subscriptions(target: PostgreSQLConnection) -> None:
    """Drop restored subscriptions without touching the publisher's slots."""
    with connect(target) as session, sentences(target):
        rows = session.execute(
            "SELECT subname FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database"
            " WHERE datname = current_database())"
        ).fetchall()
        for (name,) in rows:
            for action in (
                "ALTER SUBSCRIPTION {} DISABLE",
                "ALTER SUBSCRIPTION {} SET (slot_name = NONE)",
                "DROP SUBSCRIPTION {}",
            ):
                session.execute(sql.SQL(action).format(sql.Identifier(name)))
