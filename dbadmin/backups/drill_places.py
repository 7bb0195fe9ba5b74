"""Where a drill takes place: on a throw-away server of its own, or in a throw-away database of a chosen server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.db import transaction

from dbadmin.archives.manifest import Manifest
from dbadmin.backups.naming import DRILL, drill_name
from dbadmin.choices import ACTIVE_STATES, EngineName, JobKind
from dbadmin.engines.postgresql.guest import is_same_server, lend
from dbadmin.exceptions import DbadminError, Refused
from dbadmin.models import Backup, Database, Drill, Job
from dbadmin.progress import Progress
from dbadmin.text import Text

SCRATCH = "scratch"  # the trace in a job's params


def require_place(backup: Backup, server: Database) -> None:
    """Refuse a server that a drill of ``backup`` cannot use, or that nobody could have meant. Asks both servers.

    The backup's own server is taken only when it was chosen by the name of the backup's own database.
    """
    if EngineName.POSTGRESQL not in (backup.database.engine, server.engine) or backup.database.engine != server.engine:
        raise Refused(
            Text("Only a backup of PostgreSQL can be drilled on a chosen server, and only on one of PostgreSQL."),
            Text("Let the drill use a throw-away place on this machine."),
        )
    if is_own(backup, server):
        return
    if is_same_server(backup.database.connection(), server.connection()):
        raise Refused(
            Text("“{name}” is on the server of the database itself: a drill there costs it load and disk.",
                 name=server.name),
            Text("Choose another server. If you want that one, choose “{own}” itself.", own=backup.database.slug),
        )  # fmt: skip


def is_own(backup: Backup, server: Database) -> bool:
    """Say whether somebody has chosen the server of the database itself, by its name."""
    return server.pk == backup.database_id


@contextlib.contextmanager
def lent_place(
    *, server: Database, row: Drill, archive: Path, manifest: Manifest, progress: Progress, job: Job | None
) -> Iterator[Any]:
    """Give a target on ``server`` for the dump that was unpacked to ``archive``; it is dropped after the block.

    ``Refused`` before anything was made when the dump does not fit there. When it cannot be dropped, such as of a
    server that went away, the job's log says so and ``remove_left_over`` does it later.
    """
    target = lend(
        server.connection(), drill_name(row), archive=archive, origin=manifest.origin,
        client_version=manifest.client_version,
    )  # fmt: skip
    if job is not None:
        with transaction.atomic():
            job.require_held()
            job.note(**{SCRATCH: {"database": server.pk, "name": target.dbname}})
    try:
        yield target
    finally:
        _remove(server, target, job, progress)


def remove_scratch(job: Job) -> None:
    """Drop what a drill had noted, if it is there; ``DbadminError`` while that cannot be done."""
    noted = job.params.get(SCRATCH)
    if not noted:
        return
    server = Database.objects.filter(pk=noted["database"]).first()
    if server is not None and str(noted["name"]).startswith(DRILL):
        server.adapter.discard(server.adapter.new_target(server.connection(), noted["name"]))
    job.forget(SCRATCH)


def remove_left_over() -> None:
    """Drop what drills that are over could not drop themselves."""
    drills = Job.objects.filter(kind=JobKind.DRILL, params__has_key=SCRATCH).exclude(state__in=ACTIVE_STATES)
    for job in drills:
        with contextlib.suppress(DbadminError):  # still away
            remove_scratch(job)


def _remove(server: Database, target: Any, job: Job | None, progress: Progress) -> None:
    """What makes a drill fail is what has to be told, also when its place cannot be removed now."""
    try:
        server.adapter.discard(target)
    except DbadminError as error:
        progress.log(
            Text("The throw-away database {name} is not removed yet, which is tried again: {reason}",
                 name=target.address, reason=error.message),
            level="error",
        )  # fmt: skip
        return
    if job is not None:
        job.forget(SCRATCH)
