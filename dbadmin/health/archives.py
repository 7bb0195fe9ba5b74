"""What the last look into the storages has found of a database's archives."""

from __future__ import annotations

from django.db.models import Count, Q

from dbadmin.choices import BackupState, CopyState, JobKind, JobState
from dbadmin.health.registry import Archives
from dbadmin.models import Copy, Database, Job, Orphan, Storage


def archives(database: Database) -> Archives:
    """Return the numbers of what is wrong; four queries, and no storage is asked."""
    copies = Copy.objects.filter(backup__database=database, storage__removed_at=None)
    lost = Q(backup__state=BackupState.VANISHED)
    vanished = copies.filter(state=CopyState.VANISHED).aggregate(
        backups=Count("backup", filter=lost, distinct=True), copies=Count("pk", filter=~lost)
    )
    holding = copies.filter(state__in=(CopyState.STORED, CopyState.VANISHED)).values("storage")
    looks = Job.objects.filter(database=database, kind=JobKind.RECONCILE, state=JobState.SUCCEEDED)
    return Archives(
        looked_at=looks.order_by("-created_at").values_list("finished_at", flat=True).first(),
        vanished_backups=vanished["backups"],
        vanished_copies=vanished["copies"],
        orphans=Orphan.objects.filter(storage__removed_at=None, key__startswith=f"{database.slug}/").count(),
        away=tuple(storage.name for storage in Storage.objects.filter(pk__in=holding) if storage.problem),
    )
