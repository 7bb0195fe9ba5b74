"""What the last look into the storages has found of a database's archives."""

from __future__ import annotations

from django.db.models import Count, Q, QuerySet

from dbadmin.choices import BackupState, CopyState, JobKind, JobState, Scope
from dbadmin.health.registry import Archives
from dbadmin.models import Backup, Copy, Database, Job, Orphan, Storage

# The first failure may be a network's hiccup, and is tried again after a minute.
TRIED = 2


def archives(database: Database) -> Archives:
    """Return the numbers of what is wrong: at most ten queries. No storage is asked."""
    copies = Copy.objects.filter(backup__database=database, storage__removed_at=None)
    gone, lost = Q(state=CopyState.VANISHED), Q(backup__state=BackupState.VANISHED)
    missing = copies.filter(state__in=(CopyState.VANISHED, CopyState.EXPIRING)).aggregate(
        backups=Count("backup", filter=gone & lost, distinct=True),
        copies=Count("pk", filter=gone & ~lost),
        undeleted=Count("pk", filter=Q(state=CopyState.EXPIRING)),
    )
    holding = copies.filter(state__in=(CopyState.STORED, CopyState.VANISHED)).values("storage")
    looks = Job.objects.filter(database=database, kind=JobKind.RECONCILE, state=JobState.SUCCEEDED)
    partial = Backup.objects.available().filter(database=database, missing_copies__gt=0)
    troubled = [each for each in Storage.objects.filter(pk__in=holding) if each.is_away or each.problem]
    failing = copies.filter(backup__in=partial, retry_at__isnull=False, attempts__gte=TRIED).values("storage")
    away = tuple(storage.name for storage in troubled if storage.is_away)
    failed = list(_failed_expiries(database)) if missing["undeleted"] else []
    return Archives(
        looked_at=looks.order_by("-created_at").values_list("finished_at", flat=True).first(),
        vanished_backups=missing["backups"],
        vanished_copies=missing["copies"],
        partial=partial.count(),
        without=tuple(Storage.objects.filter(pk__in=failing).order_by("name").values_list("name", flat=True)),
        orphans=Orphan.objects.filter(storage__removed_at=None, key__startswith=f"{database.slug}/").count(),
        away=away,
        is_cut_off=bool(away) and _is_cut_off(database),
        ill=tuple(storage.name for storage in troubled if not storage.is_away),
        undeleted=missing["undeleted"] if failed else 0,
        undeleted_since=failed[0].created_at if failed else None,
        undeleted_because=failed[-1].message if failed else None,
    )


def _is_cut_off(database: Database) -> bool:
    """A copy at hand that nobody has read yet counts: it is too early for an alarm."""
    full = Copy.objects.filter(backup__database=database, backup__scope=Scope.FULL, state=CopyState.STORED)
    stored = full.filter(backup__state=BackupState.AVAILABLE)
    return stored.exists() and not stored.filter(storage__is_away=False).exists()


def _failed_expiries(database: Database) -> QuerySet[Job]:
    """The runs of retention that failed since the last one that did not, oldest first."""
    runs = Job.objects.filter(database=database, kind=JobKind.EXPIRE)
    done = runs.filter(state=JobState.SUCCEEDED).order_by("-pk").values_list("pk", flat=True).first()
    return runs.filter(state=JobState.FAILED, pk__gt=done or 0).order_by("pk").only("created_at", "message")
