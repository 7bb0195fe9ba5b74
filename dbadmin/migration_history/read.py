"""Read one database's migration history now, and remember it: the tools' own tables forget."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from dbadmin.engines.base import ToolHistory
from dbadmin.migration_history.by_heads import judge_heads
from dbadmin.migration_history.by_rows import judge_rows
from dbadmin.migration_history.project import Folder, Project, Unreadable, printable
from dbadmin.migration_history.readers import READERS
from dbadmin.migration_history.reading import APPLIED_STATES, Known, Reading, Row
from dbadmin.models import AppliedMigration, Database, MigrationStatus
from dbadmin.text import Text

Rows = dict[tuple[str, str], AppliedMigration]
_UPDATED = [
    "description",
    "state",
    "applied_at",
    "position",
    "checksum",
    "first_seen_at",
    "last_seen_at",
    "disappeared_at",
]


def read_history(database: Database, *, now: datetime) -> None:
    """Read the tools' tables and the project folder, and update the rows and the status of every tool found.

    Raises what the engine raises when the database cannot be read; nothing is changed then. Whatever is wrong in
    the project folder becomes the status's sentence. The number of queries does not depend on the history's length.
    """
    histories = {history.tool: history for history in database.adapter.history(database.connection())}
    projects, problems = _projects(database.project_folder)
    with transaction.atomic():
        # Two readings at once write one after the other.
        Database.objects.select_for_update(no_key=True).get(pk=database.pk)
        stored = {(row.tool, row.revision): row for row in AppliedMigration.objects.filter(database=database)}
        before = set(MigrationStatus.objects.filter(database=database).values_list("tool", flat=True))
        readings = [
            _judge(tool, histories.get(tool), projects.get(tool), stored, now=now)
            for tool in sorted(histories.keys() | before | (set() if histories else projects.keys()))
        ]
        _keep_rows(database, readings, stored, now)
        _keep_statuses(database, readings, histories, problems, now)


def _projects(path: str) -> tuple[dict[str, Project], list[Text]]:
    if not path:
        return {}, []
    try:
        folder = Folder.open(path)
    except Unreadable as error:
        return {}, [error.message]
    found = {tool: project for tool, read in READERS.items() if (project := read(folder)) is not None}
    return found, folder.problems


def _judge(tool: str, history: ToolHistory | None, project: Project | None, stored: Rows, *, now: datetime) -> Reading:
    known = {
        revision: Known(state=row.state, checksum=row.checksum, description=row.description)
        for (of, revision), row in stored.items()
        if of == tool
    }
    if tool == "alembic":
        return judge_heads(history, project, known)
    return judge_rows(tool, history, project, known, now=now)


def _keep_rows(database: Database, readings: list[Reading], stored: Rows, now: datetime) -> None:
    """Write what is new or changed, mark what is gone, and note for the rest that it is still so."""
    changed: list[AppliedMigration] = []
    seen: set[int] = set()
    for reading in readings:
        for position, row in enumerate(reading.rows):
            old = stored.get((reading.tool, row.revision))
            if old is not None and _same(old, row, position):
                seen.add(old.pk)
            else:
                changed.append(_model(database, reading.tool, row, position=position, old=old, now=now))
    AppliedMigration.objects.bulk_create(
        changed, update_conflicts=True, unique_fields=["database", "tool", "revision"], update_fields=_UPDATED
    )
    AppliedMigration.objects.filter(pk__in=seen).update(last_seen_at=now)
    AppliedMigration.objects.filter(pk__in=_gone(readings, stored)).update(disappeared_at=now)


def _same(old: AppliedMigration, row: Row, position: int) -> bool:
    return old.disappeared_at is None and (
        old.state,
        old.description,
        old.applied_at,
        old.checksum,
        old.position,
    ) == (row.state, row.description, row.applied_at, row.checksum, position)


def _model(
    database: Database, tool: str, row: Row, *, position: int, old: AppliedMigration | None, now: datetime
) -> AppliedMigration:
    # "First seen" is since when it has been applied, or has not been: for Alembic nobody else knows the former.
    stays = old is not None and (old.state in APPLIED_STATES) == (row.state in APPLIED_STATES)
    return AppliedMigration(
        database=database,
        tool=tool,
        revision=row.revision,
        description=row.description,
        state=row.state,
        applied_at=row.applied_at,
        position=position,
        checksum=printable(row.checksum, 64),
        first_seen_at=old.first_seen_at if old is not None and stays else now,
        last_seen_at=now,
    )


def _gone(readings: list[Reading], stored: Rows) -> set[int]:
    shown = {(reading.tool, row.revision) for reading in readings for row in reading.rows}
    shown |= {(reading.tool, revision) for reading in readings for revision in reading.unseen}
    return {row.pk for key, row in stored.items() if key not in shown and row.disappeared_at is None}


def _keep_statuses(
    database: Database,
    readings: list[Reading],
    histories: Mapping[str, ToolHistory],
    problems: list[Text],
    now: datetime,
) -> None:
    MigrationStatus.objects.bulk_create(
        [
            MigrationStatus(
                database=database,
                tool=reading.tool,
                head=_head(reading),
                applied=reading.applied,
                pending=reading.pending,
                problem=reading.problem_with(_table_problems(reading, histories) + problems),
                read_at=now,
            )
            for reading in readings
        ],
        update_conflicts=True,
        unique_fields=["database", "tool"],
        update_fields=["head", "applied", "pending", "problem", "read_at"],
    )


def _head(reading: Reading) -> str:
    head = ", ".join(reading.heads)
    return head if len(head) <= 200 else head[:199] + "…"


def _table_problems(reading: Reading, histories: Mapping[str, ToolHistory]) -> list[Text]:
    if reading.tool in histories:
        return []
    return [Text("{tool}: the database has no table of this tool.", tool=reading.tool)]
