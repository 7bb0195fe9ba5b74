"""What the last look into the storages has found of a database's archives."""

from __future__ import annotations

from django.db.models import Count, Q

from dbadmin.choices import BackupState, CopyState, JobKind, JobState
from dbadmin.health.registry import Archives
from dbadmin.models import Backup, Copy, Database, Job, Orphan, Storage

# The first failure may be a network's hiccup, and is tried again after a minute.
TRIED = 2


def archives(database: Database) -> Archives:
    """Return the numbers of what is wrong; six queries, and no storage is asked."""
    copies = Copy.objects.filter(backup__database=database, storage__removed_at=None)
    lost = Q(backup__state=BackupState.VANISHED)
    vanished = copies.filter(state=CopyState.VANISHED).aggregate(
        backups=Count("backup", filter=lost, distinct=True), copies=Count("pk", filter=~lost)
    )
    holding = copies.filter(state__in=(CopyState.STORED, CopyState.VANISHED)).values("storage")
    looks = Job.objects.filter(database=database, kind=JobKind.RECONCILE, state=JobState.SUCCEEDED)
    partial = Backup.objects.available().filter(database=database, missing_copies__gt=0)
    failing = copies.filter(backup__in=partial, retry_at__isnull=False, attempts__gte=TRIED).values("storage")
    return Archives(
        looked_at=looks.order_by("-created_at").values_list("finished_at", flat=True).first(),
        vanished_backups=vanished["backups"],
        vanished_copies=vanished["copies"],
        partial=partial.count(),
        without=tuple(Storage.objects.filter(pk__in=failing).order_by("name").values_list("name", flat=True)),
        orphans=Orphan.objects.filter(storage__removed_at=None, key__startswith=f"{database.slug}/").count(),
        away=tuple(storage.name for storage in Storage.objects.filter(pk__in=holding) if storage.problem),
    )
