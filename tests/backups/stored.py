"""Backups that lie in a storage, without the work of taking them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from dbadmin.backups.expire import _release
from dbadmin.models import Backup, Copy, Database, Storage
from tests.factories import make_backup, make_copy


def put(database: Database, storage: Storage, *, days: float, **overrides: Any) -> Backup:
    """A backup taken some days ago; its two objects are there, though nobody could restore what is in them."""
    at = timezone.now() - timedelta(days=days)
    defaults = {
        "key": f"{database.slug}/{at:%Y%m%dT%H%M%SZ}-full-{Backup.objects.count():08x}",
        "started_at": at,
        "finished_at": at + timedelta(seconds=4),
    }
    backup = make_backup(database=database, storage=storage, **defaults | overrides)
    lay(backup, storage)
    return backup


def put_copy(backup: Backup, storage: Storage, **overrides: Any) -> Copy:
    """A further copy of it."""
    lay(backup, storage)
    return make_copy(backup=backup, storage=storage, **overrides)


def lay(backup: Backup, storage: Storage) -> None:
    """Write the two objects."""
    backend = storage.backend()
    backend.write(f"{backup.key}/backup.tar", [b"tar"])
    backend.write(f"{backup.key}/manifest.json", [b"{}"])


def there(backup: Backup, storage: Storage) -> set[str]:
    """Return the names of its objects that are there."""
    return {found.key.rpartition("/")[2] for found in storage.backend().list(f"{backup.key}/")}


def states(backup: Backup) -> tuple[str, list[str]]:
    """Return the state of a backup and of its copies as they are now."""
    backup.refresh_from_db()
    return backup.state, [copy.state for copy in backup.copies.order_by("pk")]


def release(database: Database) -> int:
    """Write down what is to go, as a worker does that dies then; return how many copies."""
    return _release(database, timezone.now(), None, only=Copy.objects.values_list("pk", flat=True))
