"""The way back from a restore that replaced something: take it, settle it after a crash, and forget it in time."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from dbadmin import audit
from dbadmin.backups import replace, restore, rows, tables, take
from dbadmin.backups.replace import place_of, target_of
from dbadmin.choices import ACTIVE_STATES, RestoreMode, RestoreState
from dbadmin.engines.base import Switch
from dbadmin.exceptions import DbadminError, Refused
from dbadmin.models import Job, Restore
from dbadmin.models.job import WRITERS
from dbadmin.progress import Progress
from dbadmin.text import Text

KEEP_UNDONE = timedelta(hours=24)


def undo_restore(*, row: Restore, progress: Progress, job: Job | None = None) -> Restore:
    """Put back what a restore replaced; what is current now is kept for a day at least.

    ``Refused`` when there is no way back, or a later restore has replaced the same database. After an exception the
    row is either undone or still exact; while that cannot be seen, ``settle`` decides later.
    """
    require_undoable(row)
    database = target_of(row)
    engine, current = database.adapter, place_of(row, database)
    noted = Switch.from_json(row.way_back["switch"])
    undone = engine.beside_name(current, f"__undone_{row.pk}")
    switch = engine.intend(current, candidate=noted.kept, kept=undone)
    with transaction.atomic():
        if job is not None:
            job.require_held()
        _remember(row, switch)
    try:
        engine.replace(current, switch, progress=progress)
    except BaseException:  # also when the worker is told to end
        with contextlib.suppress(DbadminError):
            settle_undo(row, job)
        if row.state != RestoreState.UNDONE:
            raise
        return row
    settle_undo(row, job)
    return row


def require_undoable(row: Restore) -> None:
    """Refuse when there is nothing to go back to."""
    if row.mode != RestoreMode.REPLACE or row.state != RestoreState.EXACT or "switch" not in row.way_back:
        raise Refused(
            Text("This restore cannot be undone: what it replaced is not kept any more."),
            Text("Restore its safety backup instead."),
        )
    later = Restore.objects.filter(mode=RestoreMode.REPLACE, target=row.target, pk__gt=row.pk)
    if newer := later.filter(state__in=(RestoreState.EXACT, RestoreState.RUNNING)).first():
        raise Refused(
            Text("Restore {id} has replaced the same database since.", id=newer.pk), Text("Undo that one first.")
        )


def settle_undo(row: Restore, job: Job | None) -> None:
    """Say on which side of undoing the database is; raises ``DbadminError`` when that cannot be seen now."""
    database = target_of(row)
    engine, current = database.adapter, place_of(row, database)
    if not engine.settle(current, Switch.from_json(row.way_back["undo"])):
        row.way_back = {name: value for name, value in row.way_back.items() if name != "undo"}
        row.save(update_fields=["way_back"])
        return
    row.state = RestoreState.UNDONE
    row.way_back_until = max(timezone.now() + KEEP_UNDONE, row.way_back_until or timezone.now())
    with transaction.atomic():
        row.save(update_fields=["state", "way_back_until"])
        audit.record(audit.from_job(job), "restore.undone", row, target=row.target)


def clean_up(job: Job) -> None:
    """Settle what a restore or undo that died has begun, and remove what it left half done."""
    take.discard_unfinished(job)
    row = Restore.objects.select_related("backup__database").filter(job=job, state=RestoreState.RUNNING).first()
    if row is not None and row.mode != RestoreMode.NEW:
        _settle(row, job)
    else:
        restore.discard_unfinished(job)
    for undoing in _undoing():
        if undoing.pk == job.params.get("restore"):
            settle_undo(undoing, job)


def settle_unfinished() -> None:
    """Try again what could not be settled when its job ended, such as on a server that was away."""
    modes = (RestoreMode.REPLACE, RestoreMode.TABLES)
    running = Restore.objects.filter(mode__in=modes, state=RestoreState.RUNNING, job__isnull=False)
    for row in running.exclude(job__state__in=ACTIVE_STATES).select_related("job", "backup__database"):
        with contextlib.suppress(DbadminError):  # still away
            _settle(row, row.job)
    for row in _undoing():
        if not _is_busy(row):
            with contextlib.suppress(DbadminError):
                settle_undo(row, None)


def _settle(row: Restore, job: Job | None) -> None:
    if row.way_back.get("in_place"):
        rows.settle(row, target_of(row), job)
    elif row.mode == RestoreMode.TABLES:
        tables.settle(row, target_of(row))
    else:
        replace.settle(row, job)


def forget_ways_back(now: datetime) -> list[Restore]:
    """Remove what replaced databases were, where the time that somebody chose is over.

    Never while a job works on the database, and only when the database that is current answers.
    """
    over = Restore.objects.filter(way_back_until__lt=now, state__in=(RestoreState.EXACT, RestoreState.UNDONE))
    due = over.exclude(way_back={}).select_related("backup__database")
    return [row for row in due if not _is_busy(row) and _forgotten(row)]


def _forgotten(row: Restore) -> bool:
    database = target_of(row)
    engine, current = database.adapter, database.connection()
    kept = Switch.from_json(row.way_back["undo" if row.state == RestoreState.UNDONE else "switch"]).kept
    try:
        engine.probe(current).require()
        engine.discard(engine.new_target(current, kept))
    except DbadminError:  # it is kept until the next time
        return False
    row.way_back = {}
    with transaction.atomic():
        row.save(update_fields=["way_back"])
        audit.record(audit.SYSTEM, "restore.way_back_removed", row, kept=kept)
    return True


def _remember(row: Restore, switch: Switch) -> None:
    row.way_back = row.way_back | {"undo": switch.to_json()}
    row.save(update_fields=["way_back"])


def _undoing() -> list[Restore]:
    rows = Restore.objects.filter(mode=RestoreMode.REPLACE, state=RestoreState.EXACT, way_back__has_key="undo")
    return list(rows.select_related("backup__database"))


def _is_busy(row: Restore) -> bool:
    return Job.objects.active().filter(database=target_of(row), kind__in=WRITERS).exists()
