"""SQLite behind the engine protocol."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import apsw

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
from dbadmin.engines.paths import absolute, beside, remove_partials
from dbadmin.engines.private import require_public
from dbadmin.engines.sqlite import drill, script
from dbadmin.engines.sqlite import dump as dumping
from dbadmin.engines.sqlite import maintenance as looking_after
from dbadmin.engines.sqlite import replace as replacing
from dbadmin.engines.sqlite import restore as restoring
from dbadmin.engines.sqlite.compare import compare_dumps
from dbadmin.engines.sqlite.compression import decompress
from dbadmin.engines.sqlite.connection import SIDECARS, SQLiteConnection, read, sentences, sidecar
from dbadmin.engines.sqlite.health import snapshot
from dbadmin.engines.sqlite.measure import history, measure, watched
from dbadmin.engines.sqlite.probe import probe, require_database
from dbadmin.exceptions import ValidationFailed
from dbadmin.facts import COUNTS, Facts, Measuring
from dbadmin.progress import Progress
from dbadmin.text import Text

QUERY_SECONDS = 5.0
_READING = (
    apsw.SQLITE_SELECT,
    apsw.SQLITE_READ,
    apsw.SQLITE_FUNCTION,
    apsw.SQLITE_RECURSIVE,
    apsw.SQLITE_PRAGMA,
)


class SQLiteEngine:
    """One SQLite file on this machine. Settings: ``path``, absolute. Only ``replace`` and ``maintain`` write to it."""

    name: ClassVar[str] = "sqlite"
    label: ClassVar[Text] = Text("SQLite")
    scopes: ClassVar[tuple[str, ...]] = (FULL, SCHEMA, DATA)
    maintenance: ClassVar[Mapping[str, Text]] = looking_after.STEPS

    def connection(self, settings: Mapping[str, Any], password: str = "") -> SQLiteConnection:
        """Return the file that ``path`` names; ``Refused`` for one of our own."""
        path = absolute(settings)
        require_public(path)
        return SQLiteConnection(path)

    def probe(self, connection: SQLiteConnection) -> ServerInfo:
        """Try folder, file, opening and tables."""
        return probe(connection.path)

    def dump(
        self,
        connection: SQLiteConnection,
        *,
        scope: str,
        spool: Path,
        progress: Progress,
        measuring: Measuring = COUNTS,
    ) -> Dump:
        """Copy the database while it is in use, prove the copy and compress it."""
        require_public(connection.path)
        return dumping.dump(connection.path, scope=scope, spool=spool, progress=progress, measuring=measuring)

    def new_target(self, connection: SQLiteConnection, name: str) -> SQLiteConnection:
        """Return a file beside the original, or the file of an absolute path."""
        path = beside(connection.path, name)
        require_public(path)
        if name.endswith(SIDECARS):
            raise ValidationFailed(Text("“{name}” ends like a file that SQLite keeps beside a database.", name=name))
        return SQLiteConnection(path)

    def exists(self, target: SQLiteConnection) -> bool:
        """Say whether the name is taken."""
        return os.path.lexists(target.path)

    def restore(
        self,
        target: SQLiteConnection,
        *,
        spool: Path,
        scope: str,
        origin: Mapping[str, Any],
        client_version: str,
        options: RestoreOptions,
        progress: Progress,
    ) -> tuple[ReportLine, ...]:
        """Make a new file, with the mode and owner of the original where that is permitted."""
        require_public(target.path, spool=spool)
        return restoring.restore(target.path, spool=spool, scope=scope, origin=origin, progress=progress)

    def discard(self, target: SQLiteConnection) -> None:
        """Remove the file, also a half-made one, and what SQLite made beside it."""
        with sentences(target.path):
            remove_partials(target.path)
            for suffix in ("", *SIDECARS):
                sidecar(target.path, suffix).unlink(missing_ok=True)

    def export_sql(self, *, spool: Path, client_version: str, progress: Progress) -> Path | None:
        """Write plain SQL for whichever scope the spool holds."""
        with sentences(spool / "export.sql"):
            if (spool / dumping.MEMBERS[SCHEMA]).exists():
                return spool / dumping.MEMBERS[SCHEMA]
            target = spool / ("data.sql" if (spool / dumping.MEMBERS[DATA]).exists() else "database.sql")
            try:
                _export(spool, target, progress)
            except BaseException:
                target.unlink(missing_ok=True)
                raise
            return target

    def facts(self, connection: SQLiteConnection, *, progress: Progress, measuring: Measuring = COUNTS) -> Facts:
        """Measure the live file in one read transaction."""
        require_database(connection.path)

        def work(db: apsw.Connection) -> Facts:
            watched(db, progress.check)
            return measure(db, progress, measuring=measuring)

        return read(connection.path, work)

    def rows(self, connection: SQLiteConnection, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one SELECT; anything that writes, attaches or takes longer than five seconds is an error."""

        def work(db: apsw.Connection) -> list[tuple[Any, ...]]:
            watched(db, _deadline(connection.path))
            db.set_authorizer(_reading_only)
            return list(db.execute(sql, tuple(params)))

        return read(connection.path, work)

    def history(self, connection: SQLiteConnection) -> tuple[ToolHistory, ...]:
        """Read the tables of migration tools."""
        return read(connection.path, history)

    def snapshot(self, connection: SQLiteConnection) -> Snapshot:
        """Gather sizes, versions and the answer of quick_check."""
        return snapshot(connection.path)

    def scratch(
        self, *, origin: Mapping[str, Any], client_version: str, spool: Path, progress: Progress
    ) -> AbstractContextManager[SQLiteConnection]:
        """A temporary file in the spool."""
        return drill.scratch(spool)

    def reader(self, target: SQLiteConnection) -> SQLiteConnection:
        """The same: ``rows`` attaches nothing."""
        return target

    def sweep(self, spool: Path) -> None:
        """Everything is in the spool."""

    def restore_some(
        self,
        target: SQLiteConnection,
        *,
        spool: Path,
        tables: tuple[str, ...],
        origin: Mapping[str, Any],
        client_version: str,
        progress: Progress,
    ) -> tuple[ReportLine, ...]:
        """Restore all: a database file has no parts."""
        return restoring.restore(target.path, spool=spool, scope=FULL, origin={}, progress=progress)

    def content(self, *, spool: Path, progress: Progress) -> Mapping[str, str]:
        """One hash of the whole database file."""
        return drill.content(spool, progress)

    def content_of_copy(
        self,
        target: SQLiteConnection,
        *,
        archive: Path,
        origin: Mapping[str, Any],
        tables: tuple[str, ...],
        progress: Progress,
    ) -> Mapping[str, str]:
        """One hash of the restored file."""
        return drill.content_of_file(target.path, progress)

    def maintain(
        self, connection: SQLiteConnection, *, steps: Sequence[str], progress: Progress
    ) -> tuple[Examination, ...]:
        """Through SQLite's own locks."""
        return looking_after.maintain(connection.path, steps, progress)

    def examine(self, target: SQLiteConnection, *, progress: Progress) -> tuple[Examination, ...]:
        """Integrity and foreign keys."""
        return drill.examine(target.path, progress)

    def compare(self, *, left: Path, right: Path, content: bool, progress: Progress) -> Compared:
        """Unpack both and read them side by side."""
        return compare_dumps(left, right, content=content, progress=progress)

    def beside_name(self, current: SQLiteConnection, suffix: str) -> str:
        """At most 255 bytes."""
        return replacing.beside_name(current.path, suffix)

    def intend(self, current: SQLiteConnection, *, candidate: str, kept: str) -> Switch:
        """Needs the right to write."""
        require_public(current.path)
        return replacing.intend(current.path, candidate=candidate, kept=kept)

    def replace(self, current: SQLiteConnection, switch: Switch, *, progress: Progress) -> tuple[ReportLine, ...]:
        """Write the candidate into the live file through SQLite, with readers and a writer at work."""
        require_public(current.path)
        return replacing.replace(current.path, switch, progress=progress)

    def settle(self, current: SQLiteConnection, switch: Switch) -> bool:
        """See what SQLite has made of it."""
        return replacing.settle(current.path, switch)


def _export(spool: Path, target: Path, progress: Progress) -> None:
    if target.name == "data.sql":
        decompress(spool / dumping.MEMBERS[DATA], target, lambda done: progress.check())
        return
    copy = spool / dumping.COPY
    try:
        progress.phase(Text("Unpacking the database"))
        decompress(spool / dumping.MEMBERS[FULL], copy, lambda done: progress.check())
        with dumping.reading(copy) as db, target.open("x", encoding="utf-8") as file:
            file.writelines(script.whole(db, measure(db, progress).rows, progress))
    finally:
        copy.unlink(missing_ok=True)


def _deadline(path: Path) -> Callable[[], None]:
    end = time.monotonic() + QUERY_SECONDS

    def look() -> None:
        if time.monotonic() > end:
            raise ValidationFailed(
                Text("The statement took longer than {seconds} seconds.", seconds=int(QUERY_SECONDS)),
                Text("Ask for less, or add an index."),
            )

    return look


def _reading_only(action: int, *_names: str | None) -> int:
    return apsw.SQLITE_OK if action in _READING else apsw.SQLITE_DENY
