"""PostgreSQL 13 to 18, by its own client programs and psycopg."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

from dbadmin.engines.base import (
    DATA,
    FULL,
    SCHEMA,
    Dump,
    Examination,
    ReportLine,
    RestoreOptions,
    ServerInfo,
    Snapshot,
    Switch,
    ToolHistory,
)
from dbadmin.engines.comparing import Compared
from dbadmin.engines.history import read_history
from dbadmin.engines.postgresql import maintenance as looking_after
from dbadmin.engines.postgresql import replace as replacing
from dbadmin.engines.postgresql.clients import configure
from dbadmin.engines.postgresql.cluster import Cluster
from dbadmin.engines.postgresql.compare import compare_dumps
from dbadmin.engines.postgresql.connection import PostgreSQLConnection, make_connection
from dbadmin.engines.postgresql.content import content_of_copy, content_of_dump
from dbadmin.engines.postgresql.dump import dump_database, measure_live
from dbadmin.engines.postgresql.examine import examine_server
from dbadmin.engines.postgresql.inventory import find_named
from dbadmin.engines.postgresql.partial import restore_some
from dbadmin.engines.postgresql.probe import probe_server
from dbadmin.engines.postgresql.restore import restore_database, write_sql
from dbadmin.engines.postgresql.scratch import as_reader, scratch_server, sweep
from dbadmin.engines.postgresql.sessions import pool_statistics, session
from dbadmin.engines.postgresql.snapshot import take_snapshot
from dbadmin.engines.postgresql.target import database_exists, drop_database, named_beside
from dbadmin.facts import COUNTS, Facts, Measuring
from dbadmin.progress import Progress
from dbadmin.text import Text

MOST_ROWS = 10_000

__all__ = ["Cluster", "PostgreSQLConnection", "PostgreSQLEngine", "configure", "pool_statistics"]


class PostgreSQLEngine:
    """Dumps are pg_dump directories; see ``Engine`` for what each method promises."""

    name: ClassVar[str] = "postgresql"
    label: ClassVar[Text] = Text("PostgreSQL")
    scopes: ClassVar[tuple[str, ...]] = (FULL, SCHEMA, DATA)
    maintenance: ClassVar[Mapping[str, Text]] = looking_after.STEPS

    def connection(self, settings: Mapping[str, Any], password: str = "") -> PostgreSQLConnection:
        """See ``make_connection`` for the keys."""
        return make_connection(settings, password)

    def probe(self, connection: PostgreSQLConnection) -> ServerInfo:
        """Stages: name and TCP (or socket), TLS, login, database, privileges."""
        return probe_server(connection)

    def dump(
        self,
        connection: PostgreSQLConnection,
        *,
        scope: str,
        spool: Path,
        progress: Progress,
        measuring: Measuring = COUNTS,
    ) -> Dump:
        """Write ``dump`` and ``globals.sql`` into the spool."""
        return dump_database(connection, scope=scope, spool=spool, progress=progress, measuring=measuring)

    def new_target(self, connection: PostgreSQLConnection, name: str) -> PostgreSQLConnection:
        """Another database of the same server."""
        return named_beside(connection, name)

    def exists(self, target: PostgreSQLConnection) -> bool:
        """Ask the server."""
        return database_exists(target)

    def restore(
        self,
        target: PostgreSQLConnection,
        *,
        spool: Path,
        scope: str,
        origin: Mapping[str, Any],
        client_version: str,
        options: RestoreOptions,
        progress: Progress,
    ) -> tuple[ReportLine, ...]:
        """Create the database; statistics are gathered too."""
        return restore_database(
            target,
            spool=spool,
            scope=scope,
            origin=origin,
            client_version=client_version,
            options=options,
            progress=progress,
        )

    def discard(self, target: PostgreSQLConnection) -> None:
        """Drop the database, whoever is in it."""
        drop_database(target)

    def export_sql(self, *, spool: Path, client_version: str, progress: Progress) -> Path | None:
        """Needs the client of the version that dumped."""
        return write_sql(spool=spool, client_version=client_version, progress=progress)

    def facts(self, connection: PostgreSQLConnection, *, progress: Progress, measuring: Measuring = COUNTS) -> Facts:
        """Measure in one snapshot."""
        return measure_live(connection, progress=progress, measuring=measuring)

    def rows(self, connection: PostgreSQLConnection, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one SELECT, VALUES or TABLE; at most 10 000 rows are returned.

        A cursor takes one reading statement only, so that nobody leaves the read-only transaction with a COMMIT.
        """
        with session(connection) as lent, lent.cursor(name="dbadmin_rows") as cursor:
            cursor.execute(sql.strip().rstrip(";").encode(), params or None)
            return cursor.fetchmany(MOST_ROWS)

    def history(self, connection: PostgreSQLConnection) -> tuple[ToolHistory, ...]:
        """Look in every schema."""
        with session(connection) as lent:
            return read_history(
                lambda name: find_named(lent, name), lambda query: lent.execute(query.encode()).fetchall()
            )

    def snapshot(self, connection: PostgreSQLConnection) -> Snapshot:
        """See ``take_snapshot``."""
        return take_snapshot(connection)

    def compare(self, *, left: Path, right: Path, content: bool, progress: Progress) -> Compared:
        """Definitions of the tables of contents, rows as COPY wrote them."""
        return compare_dumps(left, right, content=content, progress=progress)

    def beside_name(self, current: PostgreSQLConnection, suffix: str) -> str:
        """At most 63 bytes."""
        return replacing.beside_name(current, suffix)

    def intend(self, current: PostgreSQLConnection, *, candidate: str, kept: str) -> Switch:
        """Needs an owner who may create databases, or a superuser."""
        return replacing.intend(current, candidate=candidate, kept=kept)

    def replace(self, current: PostgreSQLConnection, switch: Switch, *, progress: Progress) -> tuple[ReportLine, ...]:
        """End all sessions and rename both databases in one transaction; the kept one refuses connections."""
        return replacing.replace(current, switch, progress=progress)

    def settle(self, current: PostgreSQLConnection, switch: Switch) -> bool:
        """Allow connections again, whichever database is current."""
        return replacing.settle(current, switch)

    def scratch(
        self, *, origin: Mapping[str, Any], client_version: str, spool: Path, progress: Progress
    ) -> AbstractContextManager[PostgreSQLConnection]:
        """A server of its own, of local programs."""
        return scratch_server(origin=origin, client_version=client_version, spool=spool, progress=progress)

    def reader(self, target: PostgreSQLConnection) -> PostgreSQLConnection:
        """A role that is no superuser: those may read the files of the server's user."""
        return as_reader(target)

    def sweep(self, spool: Path) -> None:
        """End the server that a killed process had made for ``spool``."""
        sweep(spool)

    def restore_some(
        self,
        target: PostgreSQLConnection,
        *,
        spool: Path,
        tables: tuple[str, ...],
        origin: Mapping[str, Any],
        client_version: str,
        progress: Progress,
    ) -> tuple[ReportLine, ...]:
        """Every definition, and rows, indexes and keys of the tables."""
        return restore_some(
            target, spool=spool, tables=tables, origin=origin, client_version=client_version, progress=progress
        )

    def content(self, *, spool: Path, progress: Progress) -> Mapping[str, str]:
        """One hash of each table's rows."""
        return content_of_dump(spool, progress)

    def content_of_copy(
        self,
        target: PostgreSQLConnection,
        *,
        archive: Path,
        origin: Mapping[str, Any],
        tables: tuple[str, ...],
        progress: Progress,
    ) -> Mapping[str, str] | None:
        """Let the scratch server write the rows again; an original whose time zone is not known cannot be compared."""
        output = origin.get("output")
        if output is None:
            return None
        return content_of_copy(target, archive=archive, tables=tables, output=output, progress=progress)

    def maintain(
        self, connection: PostgreSQLConnection, *, steps: Sequence[str], progress: Progress
    ) -> tuple[Examination, ...]:
        """VACUUM and ANALYZE."""
        return looking_after.maintain(connection, steps, progress)

    def examine(self, target: PostgreSQLConnection, *, progress: Progress) -> tuple[Examination, ...]:
        """Run pg_amcheck."""
        return examine_server(target, progress)
