"""Our own catalogue, backed up like any other database, so that a lost dashboard can be brought back."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from dbadmin.backups.coming_back import removed, take_back
from dbadmin.choices import EngineName, Environment, ScheduleKind, ScheduleTarget
from dbadmin.engines.paths import sync
from dbadmin.exceptions import Refused
from dbadmin.models import Application, Database, Destination, Retention, Schedule, Storage
from dbadmin.models.database import copied_catalogue
from dbadmin.text import Text
from dbadmin.timetable import Timetable

SLUG = "dbadmin-catalogue"
DAILY = "30 3 * * *"
BACKUP_AGE_HOURS = 26


@transaction.atomic
def register() -> Database:
    """Make the row and its daily schedule once; who removes one of them is not given it again."""
    found = Database.objects.filter(is_catalogue=True).first()
    if found is not None:
        return found
    application, _made = Application.objects.get_or_create(slug="dbadmin", defaults={"name": "dbadmin"})
    engine = EngineName.SQLITE if connection.vendor == "sqlite" else EngineName.POSTGRESQL
    row = _adopted(engine) or Database(slug=SLUG, engine=engine)
    row.application, row.name = application, str(Text("Catalogue of dbadmin"))
    row.environment, row.backup_age_hours = Environment.PRODUCTION, BACKUP_AGE_HOURS
    row.is_catalogue = True
    row.save()
    _schedule(row)
    return row


def _adopted(engine: EngineName) -> Database | None:
    """Return the row that archives of a lost catalogue were adopted for; one of another kind makes room."""
    found = removed(SLUG)
    if found is not None and found.engine != engine:
        Database.objects.filter(pk=found.pk).update(slug=f"{SLUG}-former")
        return None
    if found is not None:
        take_back(found)
    return found


def refresh_copy() -> None:
    """Copy a SQLite catalogue as it is now to where it is read from; nothing to do for PostgreSQL.

    By the library that has it open: closing a file of another one would drop the locks of this process.
    """
    if connection.vendor != "sqlite":
        return
    target = copied_catalogue()
    target.parent.mkdir(mode=0o700, exist_ok=True)
    beside = target.with_name(f"{target.name}.{os.getpid()}.partial")
    beside.unlink(missing_ok=True)
    connection.ensure_connection()
    copy = sqlite3.connect(beside)
    try:
        source: Any = connection.connection
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
    finally:
        copy.close()
    _published(beside, target)


def put(source: Path, target: Path) -> None:
    """Make a database file that nobody has open the content of ``target``, perhaps on another disk."""
    beside = target.with_name(f"{target.name}.{os.getpid()}.partial")
    shutil.copyfile(source, beside)
    _published(beside, target)


def require_not_own(database: Database) -> None:
    """Refuse what would put something into the catalogue under the feet of this dashboard."""
    if database.is_catalogue:
        raise Refused(
            Text("dbadmin works with this catalogue right now; it cannot be replaced from here."),
            Text("On an empty installation: manage.py recover --storage …"),
        )


def _schedule(row: Database) -> None:
    if (storage := Storage.default()) is None or Schedule.objects.filter(name=row.name).exists():
        return
    schedule = Schedule.objects.create(
        name=row.name,
        kind=ScheduleKind.BACKUP,
        target=ScheduleTarget.DATABASES,
        expression=DAILY,
        time_zone=settings.TIME_ZONE,
        evaluated_at=timezone.now(),
        next_due_at=Timetable(DAILY, settings.TIME_ZONE).next(timezone.now()),
    )
    schedule.databases.add(row)
    retention = Retention.objects.order_by("pk").first()
    Destination.objects.create(schedule=schedule, storage=storage, retention=retention)


def _published(beside: Path, target: Path) -> None:
    beside.chmod(0o600)
    sync(beside)
    beside.replace(target)
    sync(target.parent)
