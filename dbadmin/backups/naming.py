"""Names of what is made of a backup."""

from __future__ import annotations

import secrets
from pathlib import PurePath

from django.utils import timezone

from dbadmin.choices import RestoreState
from dbadmin.models import Backup, Database, Drill, Restore

DRILL = "dbadmin_drill_"


def original_name(database: Database) -> PurePath:
    """Return what the database, file or folder is called where it lives; its short name when that is not stored."""
    settings = database.settings
    stored = settings.get("name") or PurePath(settings.get("path") or settings.get("folder") or "").name
    return PurePath(str(stored or database.slug.replace("-", "_")).replace("/", "_"))


def proposed_name(backup: Backup) -> str:
    """Return a name that says what it is and that no restore of this database has taken yet."""
    original = original_name(backup.database)
    stem = f"{original.stem}_restored_{timezone.localdate():%Y%m%d}"
    earlier = Restore.objects.filter(backup__database=backup.database, target__contains=stem)
    count = earlier.exclude(state=RestoreState.FAILED).count()
    return f"{stem}_{count + 1}{original.suffix}" if count else f"{stem}{original.suffix}"


def drill_name(row: Drill) -> str:
    """Return what the database of a drill is called; no other dbadmin at the same server takes the same name."""
    return f"{DRILL}{row.pk}_{secrets.token_hex(4)}"
