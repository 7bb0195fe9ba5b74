"""The stored password is told to the server it was stored for, and never in clear text to somebody in its place."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from dbadmin.engines.postgresql import PostgreSQLConnection, PostgreSQLEngine
from dbadmin.engines.postgresql.connection import may_be_told

SECRET = "tr0ub4dor&3"
ASK_IN_CLEAR = b"R" + struct.pack("!ii", 8, 3)
NO_ENCRYPTION = (80877103, 80877104)


class Impostor:
    """Answers like a PostgreSQL server that wants the password in clear text, and remembers what it was told."""

    def __init__(self) -> None:
        self.heard = b""
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                caller, _address = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(caller,), daemon=True).start()

    def _answer(self, caller: socket.socket) -> None:
        with caller:
            caller.settimeout(5)
            try:
                while caller_says := caller.recv(4096):
                    self.heard += caller_says
                    code = struct.unpack("!i", caller_says[4:8])[0] if len(caller_says) == 8 else 0
                    caller.sendall(b"N" if code in NO_ENCRYPTION else ASK_IN_CLEAR)
            except OSError:
                return


@pytest.fixture
def impostor() -> Iterator[Impostor]:
    server = Impostor()
    yield server
    server.listening.close()


def test_a_password_is_not_sent_in_clear_text(impostor: Impostor) -> None:
    connection = PostgreSQLConnection(
        host="127.0.0.1", port=impostor.port, dbname="orders", user="app", password=SECRET, connect_timeout=3
    )
    failed = PostgreSQLEngine().probe(connection).failed
    assert failed is not None
    assert "in clear text; it was not sent" in str(failed.message)
    assert "verify-full" in str(failed.hint)
    assert b"app" in impostor.heard
    assert SECRET.encode() not in impostor.heard


def test_without_the_rule_the_impostor_would_hear_it(impostor: Impostor) -> None:
    connection = PostgreSQLConnection(host="127.0.0.1", port=impostor.port, dbname="orders", password=SECRET, user="a")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(**connection.parameters() | {"require_auth": None, "connect_timeout": 2})
    assert SECRET.encode() in impostor.heard


def test_a_proven_server_and_a_socket_may_ask() -> None:
    connection = PostgreSQLConnection(dbname="orders")
    assert connection.require_auth == "!password"
    assert "require_auth" not in replace(connection, sslmode="verify-full").parameters()
    assert replace(connection, host="/run/postgresql").require_auth == ""
    assert connection.command(("pg_dump",)).env["PGREQUIREAUTH"] == "!password"


BEFORE = {"host": "db", "port": 5432, "name": "orders", "user": "app", "sslmode": "require", "sslrootcert": "/ca.pem"}


@pytest.mark.parametrize(
    "changes",
    [{"host": "evil"}, {"host": ""}, {"port": 6543}, {"user": "x"}, {"sslmode": "prefer"}, {"sslrootcert": "/x.pem"}],
)
def test_it_is_not_for_another_server_or_a_less_proven_one(changes: dict[str, Any]) -> None:
    assert not may_be_told(BEFORE, BEFORE | changes)


@pytest.mark.parametrize("changes", [{}, {"port": ""}, {"name": "orders2"}, {"sslmode": "verify-full"}])
def test_it_is_for_the_same_server(changes: dict[str, Any]) -> None:
    assert may_be_told(BEFORE, BEFORE | changes)
