"""Rows for tests: plain functions, every field overridable."""

from __future__ import annotations

import itertools
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from dbadmin.jobs.version import VERSION
from dbadmin.models import Application, Backup, Copy, Database, Job, Retention, Schedule, Storage, WorkerProcess

_numbers = itertools.count(1)


def make_application(**overrides: Any) -> Application:
    number = next(_numbers)
    return Application.objects.create(**{"name": f"Application {number}", "slug": f"app-{number}"} | overrides)


def make_database(**overrides: Any) -> Database:
    number = next(_numbers)
    defaults = {"name": f"Database {number}", "slug": f"db-{number}", "engine": "sqlite", "settings": {"path": "/none"}}
    if "application" not in overrides:
        overrides["application"] = make_application()
    return Database.objects.create(**defaults | overrides)


def make_storage(path: Path | None = None, **overrides: Any) -> Storage:
    number = next(_numbers)
    folder = str(path or Path(settings.HOME) / f"archives-{number}")
    return Storage.objects.create(**{"name": f"Storage {number}", "settings": {"path": folder}} | overrides)


def make_job(**overrides: Any) -> Job:
    if "database" not in overrides:
        overrides["database"] = make_database()
    return Job.objects.create(**{"kind": "backup"} | overrides)


def make_backup(**overrides: Any) -> Backup:
    number = next(_numbers)
    now = timezone.now()
    if "database" not in overrides:
        overrides["database"] = make_database()
    if "storage" not in overrides:
        overrides["storage"] = make_storage()
    defaults = {
        "key": f"db/{number}",
        "started_at": now - timedelta(seconds=4),
        "finished_at": now,
        "size": 1000,
        "sha256": "0" * 64,
    }
    backup = Backup.objects.create(**defaults | overrides)
    make_copy(backup=backup, storage=backup.storage)
    return backup


def make_worker(**overrides: Any) -> WorkerProcess:
    """A living worker that takes the jobs of databases without a site."""
    number, now = next(_numbers), timezone.now()
    defaults = {
        "name": f"{number}/1",
        "host": "tokyo 12345678",
        "version": VERSION,
        "queues": ["long", "short"],
        "process_id": number,
        "started_at": now,
        "heartbeat_at": now,
    }
    return WorkerProcess.objects.create(**defaults | overrides)


def make_copy(**overrides: Any) -> Copy:
    """A copy that is stored, as its backup says it is."""
    backup = overrides["backup"]
    defaults = {
        "storage": backup.storage,
        "state": "deleted" if backup.state == "deleted" else "damaged" if backup.state == "damaged" else "stored",
        "size": backup.size,
        "sha256": backup.sha256,
        "stored_at": backup.finished_at,
        "verified_at": backup.finished_at,
        "attempts": 1,
    }
    return Copy.objects.create(**defaults | overrides)


def make_retention(**overrides: Any) -> Retention:
    return Retention.objects.create(**{"name": f"Retention {next(_numbers)}", "daily": 7} | overrides)


def make_schedule(**overrides: Any) -> Schedule:
    """A schedule of all databases, daily at 03:00 UTC, that is not due yet."""
    defaults = {
        "name": f"Schedule {next(_numbers)}",
        "target": "all",
        "expression": "0 3 * * *",
        "next_due_at": timezone.now() + timedelta(hours=1),
    }
    return Schedule.objects.create(**defaults | overrides)
