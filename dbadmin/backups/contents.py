"""Put a backup in the place of what exists where nothing can be made beside it: inside, in one transaction."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from dbadmin.backups import rows
from dbadmin.backups.restore import Restoring
from dbadmin.backups.safety import note, save_before
from dbadmin.backups.spool import spool
from dbadmin.choices import EngineName, RestoreMode, RestoreState
from dbadmin.engines.postgresql import in_place
from dbadmin.exceptions import DbadminError
from dbadmin.models import Backup, Database, Job, Restore
from dbadmin.progress import Progress
from dbadmin.text import Text


def must_be_in_place(database: Database) -> bool:
    """Say whether ``database`` can only be replaced inside: its role owns it and may not create another."""
    return database.engine == EngineName.POSTGRESQL and in_place.is_needed(database.connection())


def replace_content(
    *,
    backup: Backup,
    database: Database,
    keep_owners: bool,
    without_safety: bool,
    progress: Progress,
    job: Job | None,
) -> Restore:
    """Make ``database`` exactly what ``backup`` holds, in one transaction; whoever reads or writes waits for its end.

    Nothing is kept beside; the way back is the safety backup. The returned row is exact, or says failed and the
    database is what it was; while that cannot be seen it says running, and ``rows.settle`` decides.
    """
    current = database.connection()
    row = Restore.objects.create(
        backup=backup,
        job=job,
        mode=RestoreMode.REPLACE,
        target=current.address[:300],
        started_at=timezone.now(),
        way_back={"database": database.pk, "in_place": True},
    )
    try:
        note(row, Text("{user} may not create databases: all is replaced inside this one, in one transaction.",
                       user=current.user), progress)  # fmt: skip
        save_before(row, database, without_safety=without_safety, progress=progress, job=job)
        restoring = Restoring(backup=backup, engine=database.adapter, target=current, job=job)
        _replaced(row, restoring, keep_owners=keep_owners, progress=progress)
        rows.settle(row, database, job)
    except BaseException as error:  # also when the worker is told to end
        if row.state == RestoreState.RUNNING:
            with contextlib.suppress(DbadminError):
                rows.settle(row, database, job, error)
        if row.state != RestoreState.EXACT:
            raise
    return row


def _replaced(row: Restore, restoring: Restoring, *, keep_owners: bool, progress: Progress) -> None:
    def intend(marks: Mapping[str, Any]) -> None:
        """Unless somebody has cancelled it; from here on a crash is settled."""
        with transaction.atomic():
            if restoring.job is not None:
                restoring.job.require_held()
            row.way_back = row.way_back | {"marks": dict(marks)}
            row.save(update_fields=["way_back"])

    with spool(restoring.job) as folder:
        manifest = restoring.unpack(folder, progress)
        in_place.require_room(folder, manifest.origin)
        lines = in_place.replace_content(
            restoring.target,
            spool=folder,
            client_version=manifest.client_version,
            expected=manifest.facts,
            keep_owners=keep_owners,
            intend=intend,
            progress=progress,
        )
    for line in manifest.facts.unmeasured:
        note(row, line, progress)
    row.lines = [*row.lines, *(line.to_json() for line in lines)]
