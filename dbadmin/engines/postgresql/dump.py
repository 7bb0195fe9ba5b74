"""A consistent dump: pg_dump in a snapshot that we export, and facts measured in the same snapshot meanwhile."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import psycopg

from dbadmin.engines.base import DATA, SCHEMA, Dump
from dbadmin.engines.postgresql.background import Background, background, wait_for
from dbadmin.engines.postgresql.clients import ClientSet, dump_client, parallel_jobs
from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.engines.postgresql.inventory import find_tables, qualified, without_rows
from dbadmin.engines.postgresql.measure import measure
from dbadmin.engines.postgresql.origin import TIME_ZONE, read_origin
from dbadmin.engines.postgresql.report import explain
from dbadmin.engines.postgresql.sessions import Session, connect, sentences
from dbadmin.engines.postgresql.watch import DumpWatch, end_sessions, log_messages
from dbadmin.exceptions import CommandFailed
from dbadmin.facts import COUNTS, Facts, Measuring
from dbadmin.process import Command
from dbadmin.progress import Progress
from dbadmin.text import Text, verbatim

DUMP_FOLDER = "dump"
GLOBALS_FILE = "globals.sql"
LOCK_WAIT_SECONDS = 600
# Nothing may end or redirect the measuring session: it holds the snapshot.
_SETTINGS = {
    "search_path": "",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": str(LOCK_WAIT_SECONDS * 1000),
    "row_security": "off",
    # The processors belong to pg_dump.
    "max_parallel_workers_per_gather": "0",
}
_NAME = r'(?:"(?:[^"]|"")+"|[^\s."\']+)'
_SETVAL = re.compile(rf"setval\((E?)'({_NAME})\.({_NAME})', (-?\d+), (true|false)\)")


def dump_database(
    connection: PostgreSQLConnection, *, scope: str, spool: Path, progress: Progress, measuring: Measuring = COUNTS
) -> Dump:
    """Write ``spool/dump`` (a pg_dump directory) and, where the role may, ``spool/globals.sql``."""
    progress.phase(Text("Reading the catalogue"))
    mark = f"dbadmin-dump-{secrets.token_hex(6)}"
    with contextlib.ExitStack() as stack, sentences(connection):
        session = stack.enter_context(connect(connection, progress=progress, autocommit=False))
        monitor = stack.enter_context(connect(connection, progress=progress))
        client = dump_client(session.info.server_version // 10000)
        snapshot = begin_measuring(session)
        measuring = COUNTS if scope == SCHEMA else measuring
        tables, origin = wait_for(session, lambda: (find_tables(session), read_origin(session)), progress)
        watch = DumpWatch([] if scope == SCHEMA else tables, progress, monitor=monitor, mark=mark)
        with background(session, lambda: measure(session, tables, measuring)) as counting, end_sessions(monitor, mark):
            warnings = [*write_globals(connection, client, spool, progress)]
            argv = _argv(client, scope=scope, spool=spool, snapshot=snapshot)
            _run(pinned(connection, argv, application_name=mark), connection, watch, counting, spool, progress)
            progress.phase(Text("Counting rows"))
            facts = counting.result(progress)
    warnings += [verbatim(str(line.message)) for line in watch.messages.warnings]
    warnings += facts.unmeasured
    if scope == SCHEMA:
        facts = without_rows(facts, (table.label for table in tables if table.kind == "m"))
    else:
        facts = replace(facts, sequences={**facts.sequences, **read_sequences_of_dump(client, spool)})
    return Dump(
        facts=facts,
        server_version=str(origin["server_version"]),
        client_version=client.version,
        origin=origin,
        warnings=tuple(warnings),
    )


def pinned(
    connection: PostgreSQLConnection,
    argv: tuple[str, ...],
    *,
    output: Mapping[str, str] | None = None,
    application_name: str = "dbadmin",
) -> Command:
    """Return a program that writes rows in one time zone, and as ``output`` (settings of the server) says."""
    settings = {name: value for name, value in (output or {}).items() if name != "TimeZone"}
    command = replace(connection, options={**connection.options, **settings}).command(
        argv, application_name=application_name
    )
    return replace(command, env={**command.env, "PGTZ": TIME_ZONE})


def begin_measuring(session: Session) -> str:
    """Begin a transaction that sees one moment, undisturbed by limits, and return the name of its snapshot."""
    session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    session.read_only = True
    row = session.execute("SELECT pg_export_snapshot()").fetchone()
    for name, value in _SETTINGS.items():
        session.execute("SELECT set_config(%s, %s, true)", (name, value))
    if session.info.server_version >= 170000:
        session.execute("SET LOCAL transaction_timeout = 0")
    if session.info.server_version >= 140000:
        # A count ends when we are killed. Servers on some systems cannot do that.
        with contextlib.suppress(psycopg.errors.InvalidParameterValue), session.transaction():
            session.execute("SET LOCAL client_connection_check_interval = '2s'")
    assert row is not None
    return str(row[0])


def write_globals(
    connection: PostgreSQLConnection, client: ClientSet, spool: Path, progress: Progress
) -> Iterator[Text]:
    """Write roles and tablespaces, without passwords where they may not be read; yield what could not be had."""
    target = spool / GLOBALS_FILE
    argv: tuple[str, ...] = (client.program("pg_dumpall"), "--globals-only", "--no-password", f"--file={target}")
    if "=" not in connection.dbname:
        argv += (f"--database={connection.dbname}",)
    for extra in ((), ("--no-role-passwords",)):
        target.touch(mode=0o600)
        try:
            connection.command((*argv, *extra)).run(progress=progress)
        except CommandFailed as failed:
            target.unlink(missing_ok=True)
            reason = failed.output[-1] if failed.output else str(failed.message)
        else:
            if extra:
                yield Text(
                    "Roles were backed up without their passwords, which {user} may not read.", user=connection.user
                )
            return
    yield Text("Roles and tablespaces are not in this backup: {reason}", reason=reason)


def read_sequences_of_dump(client: ClientSet, spool: Path) -> dict[str, int | None]:
    """Return the sequence values that the dump will set. Sequences heed no snapshot: counting may see later ones."""
    folder = spool / DUMP_FOLDER
    listing = Command(argv=(client.program("pg_restore"), "--list", str(folder))).read()
    wanted = [line for line in listing.splitlines() if " SEQUENCE SET " in line and not line.startswith(";")]
    if not wanted:
        return {}
    list_file = spool / ".sequences"
    list_file.write_text("\n".join(wanted) + "\n")
    try:
        script = Command(
            argv=(client.program("pg_restore"), "--data-only", f"--use-list={list_file}", "--file=-", str(folder))
        ).read()
    finally:
        list_file.unlink()
    return dict(_sequence_values(script))


def _sequence_values(script: str) -> Iterator[tuple[str, int | None]]:
    for escaped, schema, name, value, called in _SETVAL.findall(script.replace("''", "'")):
        names = [_plain(part.replace("\\\\", "\\") if escaped else part) for part in (schema, name)]
        yield qualified(*names), int(value) if called == "true" else None


def _plain(identifier: str) -> str:
    return identifier[1:-1].replace('""', '"') if identifier.startswith('"') else identifier


def _argv(client: ClientSet, *, scope: str, spool: Path, snapshot: str) -> tuple[str, ...]:
    argv = (
        client.program("pg_dump"),
        "--format=directory",
        f"--file={spool / DUMP_FOLDER}",
        f"--jobs={parallel_jobs()}",
        f"--snapshot={snapshot}",
        f"--compress={client.compression}",
        f"--lock-wait-timeout={LOCK_WAIT_SECONDS}s",
        "--no-password",
        "--no-sync",  # the spool is read at once and thrown away
        "--verbose",
    )
    return argv + {SCHEMA: ("--schema-only",), DATA: ("--data-only",)}.get(scope, ())


def _run(
    command: Command,
    connection: PostgreSQLConnection,
    watch: DumpWatch,
    counting: Background[Facts],
    spool: Path,
    progress: Progress,
) -> None:
    progress.phase(Text("Dumping"), total=watch.total or None)

    def poll() -> None:
        counting.check()
        watch.poll()

    try:
        command.run(progress=progress, on_line=watch.line, on_poll=poll)
    except CommandFailed as failed:
        log_messages(watch.messages, progress)
        counting.check()  # without its snapshot pg_dump only says that the snapshot is gone
        if explained := explain(failed, connection, watch.messages, spool):
            raise explained from failed
        raise
    watch.end()
    log_messages(watch.messages, progress)


def measure_live(connection: PostgreSQLConnection, *, progress: Progress, measuring: Measuring = COUNTS) -> Facts:
    """Measure a database as a dump of it would be measured."""
    with connect(connection, progress=progress, autocommit=False) as session, sentences(connection):
        begin_measuring(session)
        tables = wait_for(session, lambda: find_tables(session), progress)
        with background(session, lambda: measure(session, tables, measuring)) as counting:
            progress.phase(Text("Counting rows"))
            return counting.result(progress)
