"""A server that lives only as long as a drill: made by initdb of local programs, never reachable from outside."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from psycopg import sql

from dbadmin.engines.paths import require_space
from dbadmin.engines.postgresql.clients import NEWEST, OLDEST, ClientSet, find_clients, version_major
from dbadmin.engines.postgresql.cluster import Cluster
from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.engines.postgresql.sessions import close_pool, connect, sentences
from dbadmin.exceptions import ToolMissing
from dbadmin.process import end_processes_in
from dbadmin.progress import Progress
from dbadmin.text import Text

DATABASE = "drill"
READER = "dbadmin_drill_reader"
PROGRAMS = ("initdb", "pg_ctl", "postgres")
# Nothing here has to survive anything: what is lost is made again of the archive.
SETTINGS = (
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("autovacuum", "off"),
    ("checkpoint_timeout", "1h"),
    ("max_wal_size", "2GB"),
    ("shared_buffers", "128MB"),
    ("maintenance_work_mem", "128MB"),
)
BASE_BYTES = 150_000_000


@contextlib.contextmanager
def scratch_server(
    *, origin: Mapping[str, Any], client_version: str, spool: Path, progress: Progress
) -> Iterator[PostgreSQLConnection]:
    """Give the connection of a database that does not exist yet, on a server with the roles that the dump names.

    Everything is gone after the block. ``sweep`` does the same for a process that was killed in it.
    """
    programs = _programs(origin, client_version)
    folder = folder_of(spool)
    progress.phase(Text("Making a throw-away server of PostgreSQL {version}", version=programs.version))
    folder.mkdir(mode=0o700)
    try:
        require_space(folder, int(int(origin.get("size_bytes") or 0) * 1.3) + BASE_BYTES)
        cluster = Cluster(
            folder=folder / "server", bin_folder=_reachable_programs(programs, folder), durable=False, settings=SETTINGS
        )
        _open_for_server(folder)
        cluster.start()
        progress.check()
        target = replace(cluster.connection(DATABASE), maintenance=cluster.superuser)
        _prepare(cluster.connection(), origin)
        try:
            yield target
        finally:
            for connection in (target, as_reader(target)):
                close_pool(connection)
    finally:
        sweep(spool)


def as_reader(target: PostgreSQLConnection) -> PostgreSQLConnection:
    """Return the connection of the role that may read every row of the scratch server, and no file.

    On a server that is not ours no role is made: it is the role that restored.
    """
    return target if target.guest else replace(target, user=READER)


def sweep(spool: Path) -> None:
    """End the server that was started for ``spool``, without asking it, and remove all of it."""
    folder = folder_of(spool)
    if folder.exists():
        end_processes_in(folder)
        shutil.rmtree(Cluster(folder=folder / "server", bin_folder=folder).socket_folder, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def folder_of(spool: Path) -> Path:
    """In the spool; when we are root, and the server's user may not go there, beside other temporary files.

    The same spool has the same folder always, so that it is found after a crash. Its name holds what the spool's
    name has of chance.
    """
    if os.geteuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in (spool, *spool.parents) if parent.exists()):
        return spool / "scratch"
    digest = hashlib.sha256(os.fsencode(spool.absolute())).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"dbadmin-drill-{digest}"


def _open_for_server(folder: Path) -> None:
    if os.geteuid() == 0:
        folder.chmod(0o711)


def _programs(origin: Mapping[str, Any], client_version: str) -> ClientSet:
    """Return programs of the dumped server's version, else of the nearest newer one."""
    dumped = version_major(str(origin.get("server_version", ""))) or version_major(client_version)
    client = version_major(client_version)
    known = find_clients()
    # What clients from 17 on wrote cannot be read by older servers.
    oldest = max(dumped, client if client > 16 else 0)
    fitting = [found for found in known if found.major >= oldest and _has_server(found.folder)]
    if not fitting:
        raise ToolMissing(
            Text("A drill needs server programs of PostgreSQL {major} or newer; there are none here.", major=oldest),
            Text("Run: manage.py clients install {major}", major=min(NEWEST, max(OLDEST, 16, oldest))),
        )
    return min(fitting, key=lambda found: (found.major, not _is_open(found.folder)))


def _has_server(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in PROGRAMS)


def _is_open(folder: Path) -> bool:
    """Say whether every user may go there."""
    real = folder.resolve()
    return all(parent.stat().st_mode & 0o001 for parent in (real, *real.parents))


def _reachable_programs(programs: ClientSet, folder: Path) -> Path:
    """Return the programs' folder, of a copy when the user that the server runs as could not reach them."""
    if os.geteuid() != 0 or _is_open(programs.folder):
        return programs.folder
    shutil.copytree(programs.folder.resolve().parent, folder / "programs", symlinks=True)
    return folder / "programs" / "bin"


def _prepare(connection: PostgreSQLConnection, origin: Mapping[str, Any]) -> None:
    """Make roles that cannot log in, and tablespaces inside the data folder, so that every statement finds its own."""
    wanted = {*origin.get("roles", ()), *(role for role, *_ in origin.get("privileges", ()) if role)}
    with connect(connection) as session, sentences(connection):
        there = {name for (name,) in session.execute("SELECT rolname FROM pg_roles")}
        for role in sorted(wanted - there):
            session.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
        session.execute(sql.SQL("CREATE ROLE {} LOGIN BYPASSRLS").format(sql.Identifier(READER)))
        if session.info.server_version >= 140000:
            session.execute(sql.SQL("GRANT pg_read_all_data TO {}").format(sql.Identifier(READER)))
        if session.info.server_version >= 150000:
            session.execute("SET allow_in_place_tablespaces = on")
            for space in origin.get("tablespaces", ()):
                session.execute(sql.SQL("CREATE TABLESPACE {} LOCATION ''").format(sql.Identifier(space)))
