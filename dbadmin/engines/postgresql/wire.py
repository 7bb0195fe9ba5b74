"""The first messages of PostgreSQL's protocol by hand: libpq hides at which step a login failed, and its code."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from dbadmin.engines.postgresql.connection import PostgreSQLConnection

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
PROTOCOL_3_0 = 196608
LONGEST_ANSWER = 1 << 16

Address = tuple[int, Any]


def resolve(connection: PostgreSQLConnection) -> list[Address]:
    """Return family and address of everything the host's name stands for; OSError when it stands for nothing."""
    found = socket.getaddrinfo(connection.host, connection.port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


def socket_path(connection: PostgreSQLConnection) -> str:
    """Return the file of the Unix socket."""
    return f"{connection.host.rstrip('/')}/.s.PGSQL.{connection.port}"


def open_socket(connection: PostgreSQLConnection, addresses: Sequence[Address]) -> socket.socket:
    """Connect to the first address that answers; the last OSError when none does."""
    failure = OSError("no address")
    for family, address in addresses:
        opened = socket.socket(family, socket.SOCK_STREAM)
        opened.settimeout(connection.connect_timeout)
        try:
            opened.connect(address)
        except OSError as error:
            opened.close()
            failure = error
        else:
            return opened
    raise failure


def offers_tls(plain: socket.socket) -> bool:
    """Ask the server for TLS and return its answer."""
    plain.sendall(SSL_REQUEST)
    return plain.recv(1) == b"S"


def start_tls(plain: socket.socket, connection: PostgreSQLConnection) -> ssl.SSLSocket:
    """Do the handshake with the checks that the sslmode demands; ssl.SSLError or OSError when it fails."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = connection.sslmode == "verify-full"
    if connection.sslmode.startswith("verify"):
        context.load_verify_locations(connection.libpq["sslrootcert"])
    else:
        context.verify_mode = ssl.CERT_NONE
    if certificate := connection.libpq.get("sslcert"):
        context.load_cert_chain(certificate, connection.libpq.get("sslkey"))
    return context.wrap_socket(plain, server_hostname=connection.host)


def refusal(opened: socket.socket, connection: PostgreSQLConnection) -> tuple[str, str]:
    """Begin a login without giving a password and return SQLSTATE and words of a refusal.

    Both are empty when the server goes on, that is, asks for the password or lets everybody in.
    """
    if not connection.user:
        return "", ""  # libpq takes the system user's name, or one of its own files
    opened.sendall(_startup(connection))
    with contextlib.closing(opened.makefile("rb")) as stream:
        kind = stream.read(1)
        length = int.from_bytes(stream.read(4), "big")
        if kind != b"E" or not 4 < length < LONGEST_ANSWER:
            return "", ""
        fields = dict(_fields(stream.read(length - 4)))
    return fields.get("C", ""), fields.get("M", "")


def _startup(connection: PostgreSQLConnection) -> bytes:
    pairs = {"user": connection.user, "database": connection.dbname, "application_name": "dbadmin"}
    body = b"".join(f"{name}\0{value}\0".encode() for name, value in pairs.items() if value) + b"\0"
    return struct.pack("!ii", len(body) + 8, PROTOCOL_3_0) + body


def _fields(body: bytes) -> Iterator[tuple[str, str]]:
    for part in body.split(b"\0"):
        if part:
            yield chr(part[0]), part[1:].decode(errors="replace")
