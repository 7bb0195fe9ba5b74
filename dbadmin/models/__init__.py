"""The catalogue."""

from __future__ import annotations

from dbadmin.models.audit import AuditEvent
from dbadmin.models.backup import Backup, Copy, Removal, Restore
from dbadmin.models.comparison import Comparison
from dbadmin.models.database import Application, Database
from dbadmin.models.drill import Assertion, Drill
from dbadmin.models.health import CheckResult, Finding
from dbadmin.models.importing import Import
from dbadmin.models.job import Job, JobLogLine
from dbadmin.models.migration import AppliedMigration, MigrationStatus
from dbadmin.models.retention import Retention
from dbadmin.models.schedule import Destination, Schedule, ScheduleRun
from dbadmin.models.storage import EncryptionKey, Orphan, Storage, StorageSample
from dbadmin.models.worker import KeyProof, WorkerProcess

__all__ = [
    "Application",
    "AppliedMigration",
    "Assertion",
    "AuditEvent",
    "Backup",
    "CheckResult",
    "Comparison",
    "Copy",
    "Database",
    "Destination",
    "Drill",
    "EncryptionKey",
    "Finding",
    "Import",
    "Job",
    "JobLogLine",
    "KeyProof",
    "MigrationStatus",
    "Orphan",
    "Removal",
    "Restore",
    "Retention",
    "Schedule",
    "ScheduleRun",
    "Storage",
    "StorageSample",
    "WorkerProcess",
]
