"""A consistent copy of a live SQLite database, proven before it counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from dbadmin.engines.base import DATA, FULL, SCHEMA, Dump
from dbadmin.engines.paths import attributes, require_space, sync
from dbadmin.engines.sqlite import script
from dbadmin.engines.sqlite.compression import Compression, compress_text
from dbadmin.engines.sqlite.connection import damaged, header, opened, read, sentences, sidecar, written_by
from dbadmin.engines.sqlite.measure import measure, watched
from dbadmin.engines.sqlite.probe import require_database
from dbadmin.exceptions import ValidationFailed
from dbadmin.facts import COUNTS, Facts, Measuring
from dbadmin.progress import Progress
from dbadmin.text import Text

COPY = "database.sqlite3"
MEMBERS = {FULL: "database.sqlite3.zst", SCHEMA: "schema.sql", DATA: "data.sql.zst"}
STEP_BYTES = 8 * 1024 * 1024
_SHOWN_PROBLEMS = 5

Proof = tuple[Facts, tuple[Text, ...]]


def dump(path: Path, *, scope: str, spool: Path, progress: Progress, measuring: Measuring = COUNTS) -> Dump:
    """Write the member of ``scope`` into ``spool``; after any exception nothing of it is left there."""
    require_database(path)
    origin = describe(path)
    member, copy = spool / MEMBERS[scope], spool / COPY
    try:
        with sentences(copy):
            facts, warnings = _WRITERS[scope](path, copy, member, measuring, progress)
    except BaseException:
        member.unlink(missing_ok=True)
        raise
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            sidecar(copy, suffix).unlink(missing_ok=True)
    client = apsw.sqlite_lib_version()
    return Dump(
        facts=facts, server_version=origin["written_by"], client_version=client, origin=origin, warnings=warnings
    )


def describe(path: Path) -> dict[str, Any]:
    """Return what a restore wants to know about the original file."""
    size = path.stat().st_size
    return {"path": str(path), "size_bytes": size, "written_by": written_by(header(path)), **attributes(path)}


def _write_full(path: Path, copy: Path, member: Path, measuring: Measuring, progress: Progress) -> Proof:
    """Check the copy while a second thread compresses it; the slower of the two is what it takes."""
    read(path, lambda source: copy_pages(source, copy, progress))
    compression = Compression(copy, member)

    def look() -> None:
        progress.check()
        progress.update(compression.done)

    progress.phase(Text("Checking and compressing the copy"), total=copy.stat().st_size)
    compression.start()
    try:
        proof = prove(copy, progress, look, original=path, measuring=measuring)
        compression.finish(look)
    finally:
        compression.abandon()
    sync(member)
    return proof


def _write_schema(path: Path, _copy: Path, member: Path, _measuring: Measuring, progress: Progress) -> Proof:
    def write(db: apsw.Connection) -> Proof:
        member.write_text("".join(script.schema(db)), encoding="utf-8")
        return measure(db, progress, rows=False), ()

    progress.phase(Text("Reading the schema"))
    return read(path, write)


def _write_data(path: Path, copy: Path, member: Path, measuring: Measuring, progress: Progress) -> Proof:
    read(path, lambda source: copy_pages(source, copy, progress))
    progress.phase(Text("Checking the copy"))
    facts, warnings = prove(copy, progress, progress.check, original=path, measuring=measuring)
    with reading(copy) as db:
        compress_text(script.data(db, facts.rows, progress), member)
    return facts, warnings


_WRITERS: dict[str, Callable[[Path, Path, Path, Measuring, Progress], Proof]] = {
    FULL: _write_full,
    SCHEMA: _write_schema,
    DATA: _write_data,
}


def copy_pages(source: apsw.Connection, copy: Path, progress: Progress) -> None:
    """Copy the snapshot that ``source`` holds, page by page; the copy has no journal of any kind.

    The read transaction keeps the snapshot, so that a busy writer never makes the copy begin again.
    """
    page_size, pages = source.pragma("page_size"), source.pragma("page_count")
    require_space(copy.parent, page_size * pages)
    copy.unlink(missing_ok=True)
    progress.phase(Text("Copying the database"), total=page_size * pages)
    target = apsw.Connection(str(copy))
    try:
        target.execute("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE").fetchall()
        with target.backup("main", source, "main") as backup:
            while not backup.done:
                backup.step(max(1, STEP_BYTES // page_size))
                progress.update((backup.page_count - backup.remaining) * page_size)
                progress.check()
    finally:
        target.close()


@contextmanager
def reading(copy: Path) -> Iterator[apsw.Connection]:
    """Open a file that nobody else uses, without a lock or a file beside it."""
    db = opened(copy, immutable=True)
    try:
        yield db
    finally:
        db.close()


def prove(
    copy: Path, progress: Progress, look: Callable[[], None], *, original: Path, measuring: Measuring = COUNTS
) -> Proof:
    """Check the copy and measure it; ``ValidationFailed`` says what is wrong with the original.

    ``look`` is called now and then.
    """
    with sentences(original), reading(copy) as db:
        watched(db, look)
        warnings = [*integrity(db, original), *foreign_keys(db)]
        facts = measure(db, progress, measuring=measuring)
    if not facts.tables and not facts.missing:
        raise ValidationFailed(
            Text("The database has no table."),
            Text("An empty database is not backed up, so that it never takes the place of a good backup."),
        )
    return facts, (*warnings, *facts.unmeasured)


def integrity(db: apsw.Connection, path: Path) -> list[Text]:
    """Run the full integrity check; ``ValidationFailed`` when it finds something, a warning when it cannot run."""
    try:
        problems = [str(row[0]) for row in db.execute("PRAGMA integrity_check")]
    except apsw.SQLError as error:  # a collation or function that only the application has
        return [Text("The integrity check could not run: {reason}.", reason=str(error))]
    if problems != ["ok"]:
        shown = "; ".join(problems[:_SHOWN_PROBLEMS])
        raise damaged(path, f"{shown} … ({len(problems)})" if len(problems) > _SHOWN_PROBLEMS else shown)
    return []


def foreign_keys(db: apsw.Connection) -> list[Text]:
    """Say for each pair of tables how many rows point to rows that do not exist."""
    counts: dict[tuple[str, str], int] = {}
    try:
        for table, _rowid, parent, _key in db.execute("PRAGMA foreign_key_check"):
            counts[table, parent] = counts.get((table, parent), 0) + 1
    except apsw.SQLError as error:  # a reference to a table or column that is not there
        return [Text("The foreign keys could not be checked: {reason}.", reason=str(error))]
    return [
        Text("{count} rows of “{table}” point to rows of “{parent}” that do not exist.", count=n, table=t, parent=p)
        for (t, p), n in counts.items()
    ]
