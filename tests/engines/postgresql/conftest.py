"""Databases on real servers, and a progress that remembers."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from dbadmin.engines.base import FULL, Dump, RestoreOptions
from dbadmin.engines.postgresql import PostgreSQLConnection, PostgreSQLEngine
from dbadmin.engines.postgresql.cluster import Cluster
from dbadmin.progress import Silent
from dbadmin.text import Text
from tests.servers import Servers, absent

NASTY = Path(__file__).with_name("nasty.sql").read_text()
_numbers = itertools.count(1)
MakeDatabase = Callable[..., PostgreSQLConnection]


class Recorder(Silent):
    """Remembers log lines, phases and how far it came."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.phases: list[str] = []
        self.done: list[int] = []
        self.pids: list[int] = []

    def log(self, line: Text, *, level: str = "info") -> None:
        self.lines.append(f"{level}: {line}")

    def phase(self, name: Text, *, total: int | None = None, unit: str = "bytes") -> None:
        self.phases.append(str(name))

    def update(self, done: int, *, current: str = "") -> None:
        self.done.append(done)

    def process(self, pid: int | None) -> None:
        if pid:
            self.pids.append(pid)


@pytest.fixture
def engine() -> PostgreSQLEngine:
    return PostgreSQLEngine()


@pytest.fixture
def progress() -> Recorder:
    return Recorder()


@pytest.fixture
def make_database(engine: PostgreSQLEngine) -> Iterator[MakeDatabase]:
    made = []

    def make(cluster: Cluster, script: str = "", name: str = "") -> PostgreSQLConnection:
        target = engine.new_target(cluster.connection(), name or f"Test 表 {next(_numbers)}")
        made.append(target)
        execute(cluster.connection(), f'CREATE DATABASE "{target.dbname}"')
        if script:
            execute(target, script)
        return target

    yield make
    for target in made:
        engine.discard(target)


@pytest.fixture
def tls_files(servers: Servers) -> tuple[Path, Path]:
    """A certificate for localhost that vouches for itself, and its key, readable for the server's user."""
    folder = servers.readable_folder("tls-files")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    servers.hand_over(folder / "key.pem")
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", tmp_path]).returncode:
        absent("Mounting a small file system needs root.")
    yield tmp_path
    subprocess.run(["umount", "-l", tmp_path], check=True)


def execute(connection: PostgreSQLConnection, script: str) -> list[tuple]:
    with psycopg.connect(**connection.parameters("test"), autocommit=True) as session:
        cursor = session.execute(script)
        return cursor.fetchall() if cursor.description else []


def dump(connection: PostgreSQLConnection, spool: Path, *, scope: str = FULL, progress: Silent | None = None) -> Dump:
    return PostgreSQLEngine().dump(connection, scope=scope, spool=spool, progress=progress or Silent())


def restore(
    target: PostgreSQLConnection,
    spool: Path,
    made: Dump,
    *,
    scope: str = FULL,
    keep_owners: bool = True,
    progress: Silent | None = None,
) -> None:
    PostgreSQLEngine().restore(
        target,
        spool=spool,
        scope=scope,
        origin=made.origin,
        client_version=made.client_version,
        options=RestoreOptions(keep_owners=keep_owners),
        progress=progress or Silent(),
    )
