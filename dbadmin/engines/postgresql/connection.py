"""How to reach one PostgreSQL database."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg import pq

from dbadmin.exceptions import DbadminError, ValidationFailed
from dbadmin.process import Command
from dbadmin.text import Text

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# libpq parameters that may be set, and the variables by which client programs take them.
LIBPQ_VARIABLES = {
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE",
    "krbsrvname": "PGKRBSRVNAME",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}
# Whoever answers in the server's place is not given the password in clear.
NOT_IN_CLEAR = "!password"
KNOWS_REQUIRE_AUTH = 160000
# Which authority vouches for the server.
TRUST = ("sslrootcert", "sslcrl")
POOL_SIZE = 10
CONNECT_TIMEOUT = 10


@dataclass(frozen=True, kw_only=True)
class PostgreSQLConnection:
    """One database. ``host`` is a name, an address, or the folder of a Unix socket (begins with a slash).

    libpq: further parameters of LIBPQ_VARIABLES. options: server settings of each session, such as statement_timeout.
    maintenance: a database to connect to while ``dbname`` does not exist yet.
    guest: a throw-away database on a server that is not ours: nobody else is let into it.
    """

    host: str = "localhost"
    port: int = 5432
    dbname: str
    user: str = ""
    password: str = field(default="", repr=False)
    sslmode: str = "prefer"
    connect_timeout: int = CONNECT_TIMEOUT
    libpq: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    pool_size: int = POOL_SIZE
    maintenance: str = ""
    guest: bool = False

    @property
    def address(self) -> str:
        """Where it is, without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}/{self.dbname}"

    @property
    def by_socket(self) -> bool:
        """Say whether the host is the folder of a Unix socket."""
        return self.host.startswith("/")

    @property
    def require_auth(self) -> str:
        """Return libpq's ``require_auth``; empty where the server is proven to be the one that is meant."""
        return "" if self.by_socket or self.sslmode == "verify-full" else NOT_IN_CLEAR

    @property
    def key(self) -> str:
        """Equal for connections that may share sessions; tells nothing about the password."""
        parts = (repr(self), self.password)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def parameters(self, application_name: str = "dbadmin") -> dict[str, Any]:
        """Return what ``psycopg.connect`` takes."""
        return {
            "host": self.host,
            "port": self.port,
            "dbname": self.dbname,
            "user": self.user or None,
            "password": self.password or None,
            "sslmode": self.sslmode,
            "connect_timeout": self.connect_timeout,
            "application_name": application_name,
            "options": self._options(),
            "client_encoding": "UTF8",
            **self.libpq,
            # An empty value would allow no method at all.
            **({"require_auth": self.require_auth} if self.require_auth and pq.version() >= KNOWS_REQUIRE_AUTH else {}),
        }

    def command(self, argv: tuple[str, ...], *, application_name: str = "dbadmin") -> Command:
        """Return a client program that connects to this database; nothing of the connection is in its argv."""
        return Command(argv=argv, env=self._environment(application_name), secrets=(self.password,))

    def _environment(self, application_name: str) -> dict[str, str]:
        variables = {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGDATABASE": self.dbname,
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGSSLMODE": self.sslmode,
            "PGCONNECT_TIMEOUT": str(self.connect_timeout),
            "PGOPTIONS": self._options(),
            "PGAPPNAME": application_name,
            "PGREQUIREAUTH": self.require_auth,  # clients before 16 do not look at it
        } | {LIBPQ_VARIABLES[name]: value for name, value in self.libpq.items()}
        return {name: value for name, value in variables.items() if value}

    def _options(self) -> str:
        return " ".join(f"-c {name}={_escaped(value)}" for name, value in sorted(self.options.items()))


def make_connection(settings: Mapping[str, Any], password: str = "") -> PostgreSQLConnection:
    """Make a connection of stored settings; ``ValidationFailed`` names the field that is wrong.

    Keys: host, port, name, user, sslmode, connect_timeout (seconds), pool_size, server_settings (mapping), and those
    of LIBPQ_VARIABLES. Others are ignored.
    """
    return PostgreSQLConnection(
        host=_text(settings, "host", "localhost"),
        port=_number(settings, "port", default=5432, most=65535),
        dbname=_database_name(_text(settings, "name", "")),
        user=_text(settings, "user", ""),
        password=_without_zero("password", password),
        sslmode=_ssl_mode(_text(settings, "sslmode", "prefer")),
        connect_timeout=_number(settings, "connect_timeout", default=CONNECT_TIMEOUT, most=600),
        libpq={name: _text(settings, name, "") for name in LIBPQ_VARIABLES if settings.get(name)},
        options=_server_settings(settings.get("server_settings") or {}),
        pool_size=_number(settings, "pool_size", default=POOL_SIZE, most=100),
    )


def may_be_told(password_of: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Say whether the password stored with ``password_of`` may be sent to where ``settings`` lead.

    Only to the same server, for the same user, and with no less proof that it is this server.
    """
    try:
        before, after = make_connection(password_of), make_connection(settings)
    except DbadminError:
        return False
    return (
        (before.host, before.port, before.user) == (after.host, after.port, after.user)
        and SSL_MODES.index(after.sslmode) >= SSL_MODES.index(before.sslmode)
        and all(before.libpq.get(name) == after.libpq.get(name) for name in TRUST)
    )


def _text(settings: Mapping[str, Any], name: str, default: str) -> str:
    return _without_zero(name, str(settings.get(name) or default).strip())


def _without_zero(name: str, value: str) -> str:
    if "\0" in value:
        raise ValidationFailed(Text("The field {field} holds a character that is not allowed.", field=name))
    return value


def _number(settings: Mapping[str, Any], name: str, *, default: int, most: int) -> int:
    value = settings.get(name)
    if value in (None, ""):
        return default
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if not 1 <= number <= most:
        raise ValidationFailed(
            Text(
                "The field {field} has to be a number from 1 to {most}, not “{value}”.",
                field=name,
                most=most,
                value=value,
            )
        )
    return number


def _database_name(name: str) -> str:
    if not name:
        raise ValidationFailed(Text("The field {field} is empty: give the database's name.", field="name"))
    return name


def _ssl_mode(mode: str) -> str:
    if mode not in SSL_MODES:
        raise ValidationFailed(
            Text(
                "The field {field} has to be one of {allowed}, not “{value}”.",
                field="sslmode",
                allowed=", ".join(SSL_MODES),
                value=mode,
            )
        )
    return mode


def _server_settings(settings: Any) -> dict[str, str]:
    if not isinstance(settings, Mapping):
        raise ValidationFailed(Text("The field {field} has to be names with values.", field="server_settings"))
    for name in settings:
        if not str(name).replace(".", "").replace("_", "").isalnum():
            raise ValidationFailed(
                Text("The field {field}: “{value}” is not the name of a setting.", field="server_settings", value=name)
            )
    return {str(name): _without_zero("server_settings", str(value)) for name, value in settings.items()}


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")
