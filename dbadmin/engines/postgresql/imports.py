"""A dump that somebody brings, restored into a new database: all of it, or nothing."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from psycopg.conninfo import make_conninfo

from dbadmin.engines import recognise
from dbadmin.engines.base import ReportLine
from dbadmin.engines.postgresql.clients import (
    LAST_COMMON,
    ClientSet,
    find_clients,
    parallel_jobs,
    restore_client,
    version_major,
)
from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.engines.postgresql.report import explain
from dbadmin.engines.postgresql.restore import analyze, remove_unfinished, restore_errors
from dbadmin.engines.postgresql.run_script import run_script
from dbadmin.engines.postgresql.sessions import connect, sentences
from dbadmin.engines.postgresql.target import beside, create_database
from dbadmin.engines.postgresql.watch import RestoreWatch, end_sessions, log_messages
from dbadmin.engines.recognise import DIRECTORY, SQL, Recognised
from dbadmin.exceptions import CommandFailed, CorruptArchive, Refused, ToolMissing
from dbadmin.process import Command
from dbadmin.progress import Progress
from dbadmin.text import Text


def import_dump(
    target: PostgreSQLConnection,
    path: Path,
    found: Recognised,
    *,
    spool: Path,
    keep_owners: bool,
    progress: Progress,
) -> tuple[ReportLine, ...]:
    """Create ``target`` of the dump at ``path`` and return what the server and tools said.

    The first error fails the whole and removes the database. ``spool``: an empty folder for what has to be unpacked.
    """
    require_server(target, found)
    if found.form == SQL:
        return _with_database(target, lambda: _run(target, path, keep_owners, progress), progress)
    client = fitting_client(target, found.client_version)
    dump = _unpacked(path, found, spool, progress)
    tables(client, dump)  # what cannot be read fails before there is a database
    return _with_database(
        target, lambda: _restore(target, dump, found.form, client, keep_owners=keep_owners, progress=progress), progress
    )


def fitting_client(target: PostgreSQLConnection, client_version: str) -> ClientSet:
    """Return the pg_restore for a dump and a server; ``Refused`` or ``ToolMissing`` say why there is none."""
    with beside(target) as session:
        server = session.info.server_version // 10000
    try:
        return restore_client(server, client_version)
    except ToolMissing:
        newest = LAST_COMMON if server <= LAST_COMMON else server
        known = [one for one in find_clients() if version_major(client_version) <= one.major <= newest]
        if not known:
            raise
        return min(known, key=lambda one: one.major)


def tables(client: ClientSet, dump: Path) -> int:
    """Return how many tables have rows in a dump; ``CorruptArchive`` when it cannot be read."""
    try:
        listing = Command(argv=(client.program("pg_restore"), "--list", str(dump))).read()
    except CommandFailed as failed:
        raise CorruptArchive(
            Text("The dump cannot be read: {reason}", reason=failed.output[-1] if failed.output else failed.message),
            Text("It was damaged or cut off. Copy it again from where it comes from."),
        ) from failed
    return sum(" TABLE DATA " in line for line in listing.splitlines() if not line.startswith(";"))


def _with_database(
    target: PostgreSQLConnection, fill: Callable[[], list[ReportLine]], progress: Progress
) -> tuple[ReportLine, ...]:
    progress.phase(Text("Creating the database"))
    lines = create_database(target, {}, keep_owners=False)
    try:
        lines += fill()
        analyze(target, progress)
    except BaseException:
        remove_unfinished(target, progress)
        raise
    return tuple(lines)


def _run(target: PostgreSQLConnection, path: Path, keep_owners: bool, progress: Progress) -> list[ReportLine]:
    with recognise.opened(path) as source:
        return run_script(target, source, keep_owners=keep_owners, progress=progress)


def _unpacked(path: Path, found: Recognised, spool: Path, progress: Progress) -> Path:
    """pg_restore wants a file it can move about in, or a folder."""
    if not found.packed and not found.in_tar:
        return path

    def look(done: int) -> None:
        progress.check()
        progress.update(done)

    progress.phase(Text("Unpacking the file"), total=path.stat().st_size)
    return (recognise.unpack_folder if found.in_tar else recognise.unpack)(path, spool, look)


def _restore(
    target: PostgreSQLConnection, dump: Path, form: str, client: ClientSet, *, keep_owners: bool, progress: Progress
) -> list[ReportLine]:
    mark = f"dbadmin-import-{secrets.token_hex(6)}"
    watch = RestoreWatch({}, frozenset(), progress)
    progress.phase(Text("Restoring"))
    command = target.command(_argv(target, dump, form, client, keep_owners=keep_owners), application_name=mark)
    with connect(target, progress=progress) as monitor, sentences(target), end_sessions(monitor, mark):
        try:
            ended = command.run(progress=progress, on_line=watch.line, on_poll=watch.poll, allowed=(0, 1))
        except CommandFailed as failed:
            log_messages(watch.messages, progress)
            raise explain(failed, target, watch.messages, dump.parent) or failed from failed
        log_messages(watch.messages, progress)
        if watch.messages.errors or ended.exit_code:
            raise restore_errors(ended, target, watch.messages, dump.parent)
    return watch.messages.lines


def _argv(
    target: PostgreSQLConnection, dump: Path, form: str, client: ClientSet, *, keep_owners: bool
) -> tuple[str, ...]:
    argv: tuple[str, ...] = (
        client.program("pg_restore"),
        f"--format={form}",
        f"--dbname={make_conninfo(dbname=target.dbname)}",
        "--no-password",
        "--verbose",
    )
    if form == DIRECTORY or form == recognise.CUSTOM:
        argv += (f"--jobs={max(2, parallel_jobs())}",)
    if not keep_owners:
        argv += ("--no-owner", "--no-privileges")
    return (*argv, str(dump))


def require_server(target: PostgreSQLConnection, found: Recognised) -> None:
    """Refuse a dump of a newer server than the one it would go to."""
    with beside(target) as session:
        server = session.info.server_version // 10000
    dumped = version_major(found.server_version)
    if dumped > server:
        raise Refused(
            Text(
                "A dump of PostgreSQL {dumped} cannot be imported into a server of version {server}.",
                dumped=dumped,
                server=server,
            ),
            Text("Choose a server of version {dumped} or newer.", dumped=dumped),
        )
