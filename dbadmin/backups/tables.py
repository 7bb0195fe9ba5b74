"""Bring some tables of a backup back, beside the live ones, so that their rows can be looked at and copied."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from django.db import transaction
from django.utils import timezone

from dbadmin import audit
from dbadmin.archives.manifest import Manifest
from dbadmin.backups.replace import candidate_name, require_replaceable
from dbadmin.backups.restore import Restoring, close, fail
from dbadmin.backups.spool import spool
from dbadmin.choices import EngineName, RestoreMode, RestoreState
from dbadmin.engines.files import tables as files
from dbadmin.engines.postgresql import tables as postgresql
from dbadmin.engines.sqlite import tables as sqlite
from dbadmin.engines.sqlite.connection import SQLiteConnection
from dbadmin.exceptions import ValidationFailed
from dbadmin.models import Backup, Database, Job, Restore
from dbadmin.progress import Progress
from dbadmin.text import Text

BRINGING: dict[str, ModuleType] = {
    EngineName.POSTGRESQL: postgresql,
    EngineName.SQLITE: sqlite,
    EngineName.FILES: files,
}


def restore_tables(
    *, backup: Backup, database: Database, tables: tuple[str, ...], progress: Progress, job: Job | None = None
) -> Restore:
    """Bring ``tables`` into ``database``: a schema of their own in PostgreSQL, names with a suffix in SQLite.

    Files come into a folder of their own beside the live one.

    Their rows are as many as in the backup, or nothing was brought and the returned row says failed.
    """
    require_tables(backup, database, tables)
    current, engine = database.connection(), database.adapter
    row = Restore.objects.create(
        backup=backup,
        job=job,
        mode=RestoreMode.TABLES,
        tables=list(tables),
        target=current.address[:300],
        started_at=timezone.now(),
        way_back={"database": database.pk},
    )
    try:
        with spool(job) as folder:
            copy = copy_of(database, row, folder)
            restoring = Restoring(backup=backup, engine=engine, target=copy, job=job)
            manifest = restoring.unpack(folder, progress)
            with restoring.nothing_left():
                remember_creating(row)
                restored(restoring, folder, tables, manifest, progress)
                if database.engine == EngineName.FILES:
                    files.require_equal(folder, copy, tables)
                wanted = {table: manifest.facts.tables[table] for table in tables}
                BRINGING[database.engine].bring_tables(
                    current, copy, tables=wanted, suffix=suffix(row), progress=progress
                )
            engine.discard(copy)
        _finish(row, job)
    except BaseException as error:  # also when the worker is told to end
        fail(row, error, job)
        raise
    return row


def require_tables(backup: Backup, database: Database, tables: tuple[str, ...]) -> None:
    """Refuse tables, or files of a set, that the backup does not hold."""
    require_replaceable(backup, database)
    held = backup.measured().tables
    missing = [table for table in tables if table not in held]
    if missing or not tables:
        raise ValidationFailed(
            Text("The backup has no table “{table}”.", table=missing[0] if missing else ""),
            Text("It has: {tables}.", tables=", ".join(sorted(held)[:50])),
        )


def suffix(row: Restore) -> str:
    """Return what tells the brought tables from the live ones."""
    return f"__restored_{row.pk}"


def place(row: Restore, database: Database) -> str:
    """Return where they are: the schema, or what their names end with."""
    return str(BRINGING[database.engine].place(suffix(row)))


def settle(row: Restore, database: Database) -> None:
    """Say of a job that died whether the tables have been brought: all of them, or none."""
    engine, current = database.adapter, database.connection()
    if row.way_back.get("creating") and database.engine != EngineName.SQLITE:
        engine.discard(engine.new_target(current, candidate_name(engine, current, row)))
    is_there = BRINGING[database.engine].is_there(current, suffix(row))
    row.way_back = {}
    close(row, RestoreState.EXACT if is_there else RestoreState.FAILED)


def copy_of(database: Database, row: Restore, folder: Path) -> Any:
    """Return where the tables come first: on a server beside the live database, of SQLite in the working folder."""
    engine, current = database.adapter, database.connection()
    if database.engine == EngineName.SQLITE:
        return SQLiteConnection(folder / "tables.sqlite3")
    return engine.new_target(current, candidate_name(engine, current, row))


def remember_creating(row: Restore) -> None:
    """Note that from now on there may be a copy."""
    row.way_back = row.way_back | {"creating": True}
    row.save(update_fields=["way_back"])


def restored(
    restoring: Restoring, folder: Path, tables: tuple[str, ...], manifest: Manifest, progress: Progress
) -> None:
    """Make the copy."""
    restoring.engine.restore_some(
        restoring.target,
        spool=folder,
        tables=tables,
        origin=manifest.origin,
        client_version=manifest.client_version,
        progress=progress,
    )


def _finish(row: Restore, job: Job | None) -> None:
    row.way_back = {}
    with transaction.atomic():
        close(row, RestoreState.EXACT)
        audit.record(audit.from_job(job), "restore.tables", row, target=row.target, tables=row.tables)
