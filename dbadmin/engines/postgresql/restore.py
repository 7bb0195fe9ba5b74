"""Restoring into a new database: all of it, or nothing and the reasons."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from psycopg.conninfo import make_conninfo

from dbadmin.engines.base import DATA, NotAllRestored, ReportLine, RestoreOptions
from dbadmin.engines.postgresql.background import wait_for
from dbadmin.engines.postgresql.clients import ClientSet, parallel_jobs, restore_client, version_major
from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.engines.postgresql.dump import DUMP_FOLDER
from dbadmin.engines.postgresql.report import Messages, explain
from dbadmin.engines.postgresql.sessions import connect, sentences
from dbadmin.engines.postgresql.target import (
    beside,
    create_database,
    drop_database,
    finish_database,
)
from dbadmin.engines.postgresql.watch import RestoreWatch, end_sessions, log_messages
from dbadmin.exceptions import CommandFailed, DbadminError, Refused, ValidationFailed
from dbadmin.process import Command, Completed
from dbadmin.progress import Progress
from dbadmin.text import Text

SQL_FILE = "dump.sql"
# Nobody uses the new database yet, and the statements after the load are waited for: no commit has to be.
BULK_LOAD = {"synchronous_commit": "off", "maintenance_work_mem": "256MB"}
_ITEM = re.compile(r"^(\d+); \d+ \d+ (.*)$")
_LATER = ("INDEX ", "CONSTRAINT ", "FK CONSTRAINT ", "MATERIALIZED VIEW DATA ")


def restore_database(
    target: PostgreSQLConnection,
    *,
    spool: Path,
    scope: str,
    origin: Mapping[str, Any],
    client_version: str,
    options: RestoreOptions,
    progress: Progress,
) -> tuple[ReportLine, ...]:
    """Create ``target`` of ``spool/dump``. An error of any statement fails the whole and removes the database."""
    _check_scope(scope)
    with beside(target) as session:
        client = fitting_client(session.info.server_version // 10000, origin, client_version)
    listing = _listing(client, spool)
    progress.phase(Text("Creating the database"))
    lines = create_database(target, origin, keep_owners=options.keep_owners)
    try:
        _drop_public(target, origin)
        lines += _fill(target, client, listing, spool=spool, options=options, progress=progress)
        if options.statistics:
            analyze(target, progress)
        lines += finish_database(target, origin, keep_owners=options.keep_owners)
    except BaseException:
        remove_unfinished(target, progress)
        raise
    return tuple(lines)


def write_sql(*, spool: Path, client_version: str, progress: Progress) -> Path:
    """Turn ``spool/dump`` into a plain SQL file beside it."""
    progress.phase(Text("Writing SQL"))
    client = restore_client(version_major(client_version), client_version)
    path = spool / SQL_FILE
    argv = (client.program("pg_restore"), f"--file={path}", str(spool / DUMP_FOLDER))
    try:
        Command(argv=argv).run(progress=progress)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def remove_unfinished(target: PostgreSQLConnection, progress: Progress) -> None:
    """Drop what was begun. When even that fails, what made the restore fail is still what has to be told."""
    try:
        drop_database(target)
    except DbadminError as error:
        progress.log(
            Text(
                "The unfinished database {name} could not be removed, drop it: {reason}",
                name=target.address,
                reason=error.message,
            ),
            level="error",
        )


def _check_scope(scope: str) -> None:
    if scope == DATA:
        raise Refused(
            Text("A backup of data alone needs a database that has the tables already."),
            Text("Download it and load it with pg_restore, or restore a full backup."),
        )


def fitting_client(server: int, origin: Mapping[str, Any], client_version: str) -> ClientSet:
    """Return the client that restores the dump into a server of that version; ``Refused`` when it is too old."""
    dumped = version_major(str(origin.get("server_version", "")))
    if dumped > server:
        raise Refused(
            Text(
                "A backup of a PostgreSQL {dumped} cannot be restored into a server of version {server}.",
                dumped=dumped,
                server=server,
            ),
            Text("Choose a server of version {dumped} or newer.", dumped=dumped),
        )
    return restore_client(server, client_version)


def _listing(client: ClientSet, spool: Path) -> str:
    folder = spool / DUMP_FOLDER
    try:
        return Command(argv=(client.program("pg_restore"), "--list", str(folder))).read()
    except CommandFailed as failed:
        raise ValidationFailed(
            Text(
                "The dump cannot be read: {reason}", reason=failed.output[-1] if failed.output else str(failed.message)
            ),
            Text("The archive may be damaged; verify it or choose another backup."),
        ) from failed


def _fill(
    target: PostgreSQLConnection,
    client: ClientSet,
    listing: str,
    *,
    spool: Path,
    options: RestoreOptions,
    progress: Progress,
) -> list[ReportLine]:
    mark = f"dbadmin-restore-{secrets.token_hex(6)}"
    watch = RestoreWatch(*_weights(listing, spool / DUMP_FOLDER), progress)
    progress.phase(Text("Restoring"), total=watch.total)
    unhurried = replace(target, options={**BULK_LOAD, **target.options})
    command = unhurried.command(_argv(target, client, spool, options), application_name=mark)
    with connect(target, progress=progress) as monitor, sentences(target), end_sessions(monitor, mark):
        try:
            ended = command.run(progress=progress, on_line=watch.line, on_poll=watch.poll, allowed=(0, 1))
        except CommandFailed as failed:
            log_messages(watch.messages, progress)
            if explained := explain(failed, target, watch.messages, spool):
                raise explained from failed
            raise
        log_messages(watch.messages, progress)
        if watch.messages.errors or ended.exit_code:
            raise restore_errors(ended, target, watch.messages, spool)
    return watch.messages.lines


def restore_errors(ended: Completed, target: PostgreSQLConnection, messages: Messages, spool: Path) -> DbadminError:
    """Return what stopped everything, such as a full disk, else how many objects could not be restored."""
    failed = CommandFailed(_summary(messages), exit_code=ended.exit_code, output=ended.tail)
    return explain(failed, target, messages, spool) or NotAllRestored(
        _summary(messages),
        Text("The new database was removed again. The job's log names every object that could not be restored."),
        lines=messages.lines,
    )


def _summary(messages: Messages) -> Text:
    first = messages.errors[0] if messages.errors else None
    return Text(
        "Objects that could not be restored: {count}. The first is {object}: {reason}",
        count=len(messages.errors) + messages.left_out,
        object=first.object if first else "–",
        reason=str(first.message).partition("\n")[0] if first else "–",
    )


def _argv(target: PostgreSQLConnection, client: ClientSet, spool: Path, options: RestoreOptions) -> tuple[str, ...]:
    argv: tuple[str, ...] = (
        client.program("pg_restore"),
        "--format=directory",
        f"--jobs={max(2, parallel_jobs())}",
        f"--dbname={make_conninfo(dbname=target.dbname)}",
        "--no-password",
        "--verbose",
    )
    if not options.keep_owners:
        argv += ("--no-owner", "--no-privileges")
    return (*argv, str(spool / DUMP_FOLDER))


def _weights(listing: str, folder: Path) -> tuple[dict[int, int], frozenset[int]]:
    """Return the bytes of each data item's file, and the items that come after the data."""
    sizes = {int(file.name.partition(".")[0]): file.stat().st_size for file in folder.glob("[0-9]*.dat*")}
    items = [(int(found[1]), found[2]) for line in listing.splitlines() if (found := _ITEM.match(line))]
    data = {number: sizes.get(number, 0) for number, what in items if what.startswith("TABLE DATA ")}
    return data, frozenset(number for number, what in items if what.startswith(_LATER))


def _drop_public(target: PostgreSQLConnection, origin: Mapping[str, Any]) -> None:
    """A new database has the schema public, also when the original had it dropped."""
    if "public" not in origin.get("schemas", ("public",)):
        with connect(target) as session, sentences(target):
            session.execute("DROP SCHEMA public")


def analyze(target: PostgreSQLConnection, progress: Progress) -> None:
    """Gather statistics: without statistics the first queries on a restored database choose bad plans."""
    progress.phase(Text("Analysing"))
    with connect(target) as session, sentences(target):
        session.execute("SET statement_timeout = 0")
        wait_for(session, lambda: session.execute("ANALYZE"), progress)
