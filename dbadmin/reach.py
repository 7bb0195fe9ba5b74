"""How far off the newest backup of a database is: in a storage that is away, or sealed for a key that is not here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef, QuerySet, Subquery

from dbadmin.choices import CopyState, DrillKind, DrillState, Scope, Verdict
from dbadmin.models import Backup, Copy, Database, Drill, Finding, Storage
from dbadmin.models.backup import BackupQuerySet
from dbadmin.models.keys import closed_backups


@dataclass(frozen=True, kw_only=True)
class Reach:
    """The newest backup that can be read now, and what is in the way; nothing at all where there is no backup.

    ``away``: the storages that have the newest backup, when none of them can be read; ``backup`` is an older one then,
    or None. ``keys``: what the keys are called of which one is wanted to read ``backup``, and is not here.
    """

    backup: int | None = None
    finished_at: datetime | None = None
    keys: tuple[str, ...] = ()
    away: tuple[Storage, ...] = ()


def with_newest(databases: QuerySet[Database]) -> QuerySet[Database]:
    """Add ``newest_id`` and ``newest_at`` of the newest full backup that can be restored, and ``restore_seconds``.

    ``is_doubtful`` is true while the newest drill, as the health check has it, did not prove what it restored.
    """
    newest = _newest(Backup.objects.read_whole())
    unproven = Finding.objects.open().filter(database=OuterRef("pk"), check_id="drill", verdict=Verdict.CRITICAL)
    drills = Drill.objects.filter(backup__database=OuterRef("pk"), state=DrillState.PROVEN, kind=DrillKind.FULL)
    return databases.annotate(
        newest_id=Subquery(newest.values("pk")[:1]),
        is_doubtful=Exists(unproven),
        newest_at=Subquery(newest.values("finished_at")[:1]),
        restore_seconds=Subquery(drills.order_by("-finished_at").values("restore_seconds")[:1]),
    )


def reach(databases: Iterable[Database]) -> dict[int, Reach]:
    """Return what is in the way to the newest backup of each database, as of ``with_newest``.

    It is judged by the catalogue, with at most six queries; no storage is asked.
    """
    newest = {each.pk: (getattr(each, "newest_id", None), getattr(each, "newest_at", None)) for each in databases}
    away = _away({backup: database for database, (backup, _at) in newest.items() if backup})
    at_hand = newest | _elsewhere(away)
    closed = closed_backups(backup for backup, _at in at_hand.values() if backup)
    return {
        database: Reach(
            backup=backup,
            finished_at=finished_at,
            keys=tuple(sorted(closed.get(backup, {}).values())) if backup else (),
            away=away.get(database, ()),
        )
        for database, (backup, finished_at) in at_hand.items()
    }


def _newest(backups: BackupQuerySet) -> BackupQuerySet:
    return backups.past().filter(database=OuterRef("pk"), scope=Scope.FULL).order_by("-finished_at")


def _away(backups: dict[int, int]) -> dict[int, tuple[Storage, ...]]:
    """Return the storages of those of some backups, given with their databases, that none of them can give back."""
    if not Storage.objects.filter(is_away=True).exists():
        return {}
    held: dict[int, list[Storage]] = defaultdict(list)
    read = Copy.objects.filter(backup__in=backups, state=CopyState.STORED, verified_at__isnull=False)
    needed = read.select_related("storage").only("backup_id", "storage__name", "storage__is_away")
    for copy in needed.order_by("storage__name"):
        held[backups[copy.backup_id]].append(copy.storage)
    return {database: tuple(found) for database, found in held.items() if all(each.is_away for each in found)}


def _elsewhere(databases: Collection[int]) -> dict[int, tuple[int | None, datetime | None]]:
    """Return the newest backup of each database in a storage that can be read, and when it was finished."""
    if not databases:
        return {}
    newest = _newest(Backup.objects.at_hand())
    rows = Database.objects.filter(pk__in=databases).annotate(at_hand=Subquery(newest.values("pk")[:1]))
    found = dict(rows.values_list("pk", "at_hand"))
    times = dict(Backup.objects.filter(pk__in=found.values()).values_list("pk", "finished_at"))
    return {pk: (backup, times.get(backup)) for pk, backup in found.items()}
