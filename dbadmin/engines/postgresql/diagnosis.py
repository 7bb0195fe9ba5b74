"""Which step of reaching a database fails: name, TCP or socket, TLS, login, database."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import psycopg

from dbadmin.engines.postgresql import wire
from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.exceptions import ConnectionFailed
from dbadmin.probing import Stage
from dbadmin.text import Text

MAINTENANCE = ("postgres", "template1")
# Classes and codes of SQLSTATE that pass by themselves: connection trouble, too many of something, starting up.
PASSING = ("08", "53", "57P")
LOGIN_REFUSED = "28"
NO_DATABASE = "3D000"


class StageFailed(Exception):
    """A stage's sentence, its hint, and whether trying again later may help."""

    def __init__(self, message: Text, hint: Text, *, passing: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.passing = passing


@dataclass
class Stages:
    """The stages that were tried, in order; after one that failed no other is tried."""

    done: list[Stage] = field(default_factory=list)
    passing: bool = False

    @contextlib.contextmanager
    def stage(self, name: Text) -> Iterator[list[Text]]:
        """Time the block and record its end; StageFailed passes on. A remark may be put into what it yields."""
        started = time.monotonic()
        remarks: list[Text] = []
        try:
            yield remarks
        except StageFailed as failed:
            self.passing = failed.passing
            self._add(name, started, failed)
            raise
        self._add(name, started, None, *remarks)

    def _add(self, name: Text, started: float, failed: StageFailed | None, remark: Text | None = None) -> None:
        self.done.append(
            Stage(
                name=name,
                ok=failed is None,
                milliseconds=(time.monotonic() - started) * 1000,
                message=failed.message if failed else remark or Text(""),
                hint=failed.hint if failed else Text(""),
            )
        )


@dataclass(frozen=True)
class Diagnosis:
    """The stage that failed. ``passing``: trying again may help."""

    stage: Stage
    passing: bool

    def failure(self) -> ConnectionFailed:
        """Return the stage's sentence as an exception."""
        return ConnectionFailed(self.stage.message, self.stage.hint, stage=self.stage.name.msgid)


def diagnose(connection: PostgreSQLConnection, error: psycopg.OperationalError) -> Diagnosis:
    """Find out why ``psycopg.connect`` failed. What works by now counts as having failed in passing."""
    stages = Stages()
    try:
        reach(connection, stages).close()
    except StageFailed:
        return Diagnosis(stages.done[-1], stages.passing)
    message = Text("{address} could not be reached: {reason}", address=connection.address, reason=server_words(error))
    failed = replace(stages.done[-1], ok=False, message=message, hint=Text("It answers now; try again."))
    return Diagnosis(failed, passing=True)


def reach(connection: PostgreSQLConnection, stages: Stages) -> psycopg.Connection[tuple[object, ...]]:
    """Go through all stages and return a session; StageFailed when one fails."""
    opened = _open_by_socket(connection, stages) if connection.by_socket else _open_by_name(connection, stages)
    with contextlib.closing(opened):
        if not connection.by_socket:
            with stages.stage(Text("TLS")) as remarks:
                opened = _secure(opened, connection)
                if not isinstance(opened, ssl.SSLSocket):
                    remarks.append(Text("The session is not encrypted (sslmode {mode}).", mode=connection.sslmode))
        with contextlib.closing(opened):
            return _log_in(opened, connection, stages)


def server_words(error: BaseException) -> str:
    """Return the words of the server within what libpq says, which begins with where it tried."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return first.partition("failed: ")[2] or first


def _open_by_name(connection: PostgreSQLConnection, stages: Stages) -> socket.socket:
    with stages.stage(Text("name")):
        addresses = _resolved(connection)
    with stages.stage(Text("TCP")):
        try:
            return wire.open_socket(connection, addresses)
        except OSError as error:
            raise StageFailed(
                Text(
                    "Nothing answers at {host}, port {port}: {reason}.",
                    host=connection.host,
                    port=connection.port,
                    reason=_reason(error),
                ),
                Text("Check that the server runs and listens on this address and port, and the firewalls between."),
                passing=True,
            ) from error


def _resolved(connection: PostgreSQLConnection) -> list[wire.Address]:
    try:
        return wire.resolve(connection)
    except (OSError, UnicodeError) as error:
        raise StageFailed(
            Text("The name {host} is not known: {reason}.", host=connection.host, reason=_reason(error)),
            Text("Check the host's spelling and this machine's name service."),
            passing=True,
        ) from error


def _open_by_socket(connection: PostgreSQLConnection, stages: Stages) -> socket.socket:
    path = wire.socket_path(connection)
    with stages.stage(Text("socket")):
        try:
            return wire.open_socket(connection, [(socket.AF_UNIX, path)])
        except OSError as error:
            raise StageFailed(
                Text("Nothing answers at the socket {path}: {reason}.", path=path, reason=_reason(error)),
                Text("Check that the server runs, and its unix_socket_directories and port."),
                passing=True,
            ) from error


def _secure(plain: socket.socket, connection: PostgreSQLConnection) -> socket.socket:
    """Return the socket with TLS where it is wanted and offered."""
    wanted = connection.sslmode not in ("disable", "allow")
    demanded = wanted and connection.sslmode != "prefer"
    try:
        if not wanted or not wire.offers_tls(plain):
            if demanded:
                raise StageFailed(
                    Text("The server does not offer TLS, but sslmode is {mode}.", mode=connection.sslmode),
                    Text("Turn ssl on in the server's configuration, or choose another sslmode."),
                )
            return plain
        return _handshake(plain, connection)
    except OSError as error:
        raise StageFailed(
            Text("No secure connection could be made: {reason}.", reason=_reason(error)),
            Text("Check the server's certificate, its name in it, and sslrootcert."),
        ) from error


def _handshake(plain: socket.socket, connection: PostgreSQLConnection) -> ssl.SSLSocket:
    if connection.sslmode.startswith("verify") and "sslrootcert" not in connection.libpq:
        raise StageFailed(
            Text(
                "sslmode {mode} needs the certificate that the server's one is checked with.", mode=connection.sslmode
            ),
            Text("Name its file in sslrootcert."),
        )
    return wire.start_tls(plain, connection)


def _log_in(
    opened: socket.socket, connection: PostgreSQLConnection, stages: Stages
) -> psycopg.Connection[tuple[object, ...]]:
    with stages.stage(Text("login")):
        code = _refused_at_once(opened, connection)
        try:
            session = None if code == NO_DATABASE else _connect(connection)
        except psycopg.OperationalError as error:
            session = None
            _check_login_elsewhere(connection, error)
    with stages.stage(Text("database")):
        return session or _connect_or_say_why(connection)


def _refused_at_once(opened: socket.socket, connection: PostgreSQLConnection) -> str:
    try:
        code, words = wire.refusal(opened, connection)
    except OSError:
        return ""
    if code.startswith(PASSING):
        raise StageFailed(
            Text("The server takes no connections now: {reason}.", reason=words),
            Text("Wait until it has started, or end sessions that are not needed."),
            passing=True,
        )
    if code.startswith(LOGIN_REFUSED):
        raise StageFailed(
            Text("The server does not let {user} in: {reason}.", user=connection.user or "–", reason=words),
            Text("Check the user's name, and that pg_hba.conf admits this user from this machine."),
        )
    return code


def _connect(connection: PostgreSQLConnection) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(**connection.parameters(), autocommit=True)


def _check_login_elsewhere(connection: PostgreSQLConnection, error: psycopg.OperationalError) -> None:
    """Raise unless the same user can log in to another database, so that it is this database that cannot be used."""
    other = _first(lambda name: _connect(replace(connection, dbname=name)))
    if other is not None:
        other.close()
        return
    if "server requested a cleartext password" in str(error):
        raise StageFailed(
            Text("The server asks for the password in clear text; it was not sent."),
            Text(
                "Let the server use scram-sha-256. Where it needs the clear text, as LDAP and PAM do, choose sslmode "
                "verify-full with sslrootcert, so that nobody else can ask for it."
            ),
        ) from error
    raise StageFailed(
        Text(
            "The server refused the login of {user}: {reason}", user=connection.user or "–", reason=server_words(error)
        ),
        Text("Check user and password."),
    ) from error


def _connect_or_say_why(connection: PostgreSQLConnection) -> psycopg.Connection[tuple[object, ...]]:
    try:
        return _connect(connection)
    except psycopg.OperationalError as error:
        if _is_there(connection) is False:
            raise StageFailed(
                Text("The server has no database {name}.", name=connection.dbname),
                Text("Check the spelling; upper and lower case differ."),
            ) from error
        raise StageFailed(
            Text("The database {name} cannot be used: {reason}", name=connection.dbname, reason=server_words(error)),
            Text(
                "Check that {user} has the privilege CONNECT, and the database's connection limit.",
                user=connection.user or "–",
            ),
        ) from error


def _is_there(connection: PostgreSQLConnection) -> bool | None:
    """Ask another database whether this one exists; None when there is nobody to ask."""
    other = _first(lambda name: _connect(replace(connection, dbname=name)))
    if other is None:
        return None
    with other:
        return bool(other.execute("SELECT 1 FROM pg_database WHERE datname = %s", (connection.dbname,)).fetchone())


def _first(
    connect: Callable[[str], psycopg.Connection[tuple[object, ...]]],
) -> psycopg.Connection[tuple[object, ...]] | None:
    for name in MAINTENANCE:
        with contextlib.suppress(psycopg.OperationalError):
            return connect(name)
    return None


def _reason(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")
