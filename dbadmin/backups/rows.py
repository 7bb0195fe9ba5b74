"""Make the rows of some live tables those of a backup, in one transaction; everything else stays as it is."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from django.db import transaction
from django.utils import timezone

from dbadmin import audit
from dbadmin.backups.replace import candidate_name
from dbadmin.backups.restore import Restoring, close, fail
from dbadmin.backups.safety import link_safety_backup, save_before
from dbadmin.backups.spool import spool
from dbadmin.backups.tables import copy_of, remember_creating, require_tables, restored
from dbadmin.choices import EngineName, RestoreMode, RestoreState
from dbadmin.engines.postgresql import rows as postgresql
from dbadmin.engines.rows import Dependants
from dbadmin.engines.sqlite import rows as sqlite
from dbadmin.exceptions import DbadminError
from dbadmin.models import Backup, Database, Job, Restore
from dbadmin.progress import Progress

REPLACING: dict[str, ModuleType] = {EngineName.POSTGRESQL: postgresql, EngineName.SQLITE: sqlite}


def replace_rows(
    *,
    backup: Backup,
    database: Database,
    tables: tuple[str, ...],
    without_safety: bool = False,
    progress: Progress,
    job: Job | None = None,
) -> Restore:
    """Replace the rows of ``tables`` in ``database`` by the backup's, and the sequences that belong to them.

    A safety backup comes first; ``without_safety`` goes on when it cannot be taken. The returned row is exact, or says
    failed and every row is what it was; while that cannot be seen it says running, and ``settle`` decides.
    """
    require_tables(backup, database, tables)
    look_at_dependants(database, tables)
    current, engine = database.connection(), database.adapter
    row = Restore.objects.create(
        backup=backup,
        job=job,
        mode=RestoreMode.TABLES,
        tables=list(tables),
        target=current.address[:300],
        started_at=timezone.now(),
        way_back={"database": database.pk, "in_place": True},
    )
    try:
        save_before(row, database, without_safety=without_safety, progress=progress, job=job)
        with spool(job) as folder:
            copy = copy_of(database, row, folder)
            restoring = Restoring(backup=backup, engine=engine, target=copy, job=job)
            manifest = restoring.unpack(folder, progress)
            with restoring.nothing_left():
                remember_creating(row)
                restored(restoring, folder, tables, manifest, progress)
                _replaced(row, database, copy, expected=manifest.facts, progress=progress, job=job)
            engine.discard(copy)
        settle(row, database, job)
    except BaseException as error:  # also when the worker is told to end
        if row.state == RestoreState.RUNNING:
            with contextlib.suppress(DbadminError):
                settle(row, database, job, error)
        if row.state != RestoreState.EXACT:
            raise
    return row


def in_place(database: Database, tables: tuple[str, ...], *, keep_hours: int) -> dict[str, Any]:
    """Return the parameters of the job that replaces rows, or files of a set; refuse what cannot be done."""
    if database.engine == EngineName.FILES:
        return {"mode": RestoreMode.REPLACE.value, "files": tables, "keep_hours": keep_hours}
    look_at_dependants(database, tables)
    return {"mode": RestoreMode.TABLES.value, "tables": tables, "in_place": True}


def look_at_dependants(database: Database, tables: tuple[str, ...]) -> Dependants:
    """Return what is touched beside the tables; ``Refused`` or ``ValidationFailed`` when it cannot be done."""
    found: Dependants = REPLACING[database.engine].dependants(database.connection(), tables)
    return found


def settle(row: Restore, database: Database, job: Job | None, error: BaseException | None = None) -> None:
    """Say whether the rows have been replaced: all of them, or none. Raises ``DbadminError`` while that is not seen."""
    engine, current, replacing = database.adapter, database.connection(), REPLACING[database.engine]
    link_safety_backup(row, job)
    if row.way_back.get("creating") and database.engine == EngineName.POSTGRESQL:
        engine.discard(engine.new_target(current, candidate_name(engine, current, row)))
    marks = row.way_back.get("marks")
    if marks and (row.way_back.get("done") or replacing.is_done(current, marks)):
        _note(row, done=True)  # before the mark is removed
        replacing.forget(current, marks)
        row.way_back = {"database": database.pk, "in_place": True}
        with transaction.atomic():
            close(row, RestoreState.EXACT)
            said = "restore.rows_replaced" if row.tables else "restore.replaced"
            audit.record(audit.from_job(job), said, row, target=row.target, tables=row.tables)
        return
    row.way_back = {"database": database.pk, "in_place": True}
    if error is not None:
        fail(row, error, job)
    else:
        close(row, RestoreState.FAILED)


def _replaced(
    row: Restore, database: Database, copy: Any, *, expected: Any, progress: Progress, job: Job | None
) -> None:
    def intend(marks: Mapping[str, Any]) -> None:
        """Unless somebody has cancelled it; from here on a crash is settled."""
        with transaction.atomic():
            if job is not None:
                job.require_held()
            _note(row, marks=dict(marks))

    REPLACING[database.engine].replace_rows(
        database.connection(),
        copy,
        tables={table: expected.tables[table] for table in row.tables},
        sequences=expected.sequences,
        mark=f"dbadmin__restored_{row.pk}",
        intend=intend,
        progress=progress,
    )


def _note(row: Restore, **noted: Any) -> None:
    row.way_back = row.way_back | noted
    row.save(update_fields=["way_back"])
