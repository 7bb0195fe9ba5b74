"""What schedules ask for a database, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Exists, OuterRef, QuerySet

from dbadmin.choices import RunState, ScheduleKind, Scope
from dbadmin.health.registry import Plans, Unmended
from dbadmin.models import Database, Schedule, ScheduleRun
from dbadmin.models.keys import closed_newest, names
from dbadmin.text import Text
from dbadmin.timetable import is_known

BAD = (RunState.FAILED, RunState.MISSED)
# A frequent schedule fails often before anybody looks; the newest of each is what counts.
LOOKED_AT = 200


def plans(database: Database) -> Plans:
    """Return the enabled schedules that cover a database, and what is unmended of these and of paused ones.

    Two queries, and a few for drills.
    """
    covering = Schedule.objects.covering(database)
    rows = list(covering.values_list("pk", "name", "kind", "scope", "next_due_at", "enabled", "time_zone"))
    found = [
        (pk, name, kind, scope, due_at if is_known(zone) else None)
        for pk, name, kind, scope, due_at, is_enabled, zone in rows
        if is_enabled
    ]
    backups = [
        due_at for _pk, _name, kind, scope, due_at in found if (kind, scope) == (ScheduleKind.BACKUP, Scope.FULL)
    ]
    dues = [(due_at, name) for _pk, name, _kind, _scope, due_at in found if due_at is not None]
    return Plans(
        schedules=len(found),
        backups=len(backups),
        next_backup=min((due_at for due_at in backups if due_at is not None), default=None),
        unreadable=tuple(name for _pk, name, _kind, _scope, due_at in found if due_at is None),
        oldest_due=min(dues, default=None),
        drills=tuple(name for _pk, name, kind, *_rest in found if kind == ScheduleKind.DRILL),
        closed=_closed(database) if any(kind == ScheduleKind.DRILL for _pk, _name, kind, *_rest in found) else None,
        unmended=_unmended(database, [pk for pk, *_rest in rows]),
    )


def _closed(database: Database) -> Text | None:
    found = closed_newest(Database.objects.filter(pk=database.pk), most=1)
    return names(found[0][1]) if found else None


def _unmended(database: Database, schedules: list[int]) -> tuple[Unmended, ...]:
    """Return the newest run of each schedule that failed or was missed, where none succeeded after it."""
    succeeded = ScheduleRun.objects.filter(
        database=database, schedule=OuterRef("schedule"), due_at__gt=OuterRef("due_at"), state=RunState.SUCCEEDED
    )
    runs = ScheduleRun.objects.filter(~Exists(succeeded), database=database, schedule__in=schedules, state__in=BAD)
    newest: dict[str, Unmended] = {}
    for _database_id, run in told_of(runs.order_by("-due_at")[:LOOKED_AT]):
        newest.setdefault(run.schedule, run)
    return tuple(newest.values())


def told_of(runs: QuerySet[ScheduleRun]) -> Iterator[tuple[int, Unmended]]:
    """Yield the database of each run and what is told of the run. One query."""
    columns = ("database_id", "schedule__name", "schedule__kind", "state", "due_at", "reason", "schedule__enabled")
    for database_id, name, kind, state, due_at, reason, is_enabled in runs.values_list(*columns):
        yield (
            database_id,
            Unmended(schedule=name, kind=kind, state=state, due_at=due_at, reason=reason, is_paused=not is_enabled),
        )
