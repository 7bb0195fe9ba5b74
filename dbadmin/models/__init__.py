"""The catalogue."""

from __future__ import annotations

from dbadmin.models.audit import AuditEvent
from dbadmin.models.backup import Backup, Restore
from dbadmin.models.comparison import Comparison
from dbadmin.models.database import Application, Database
from dbadmin.models.drill import Assertion, Drill
from dbadmin.models.health import CheckResult, Finding
from dbadmin.models.importing import Import
from dbadmin.models.job import Job, JobLogLine
from dbadmin.models.migration import AppliedMigration, MigrationStatus
from dbadmin.models.storage import Storage

__all__ = [
    "Application",
    "AppliedMigration",
    "Assertion",
    "AuditEvent",
    "Backup",
    "CheckResult",
    "Comparison",
    "Database",
    "Drill",
    "Finding",
    "Import",
    "Job",
    "JobLogLine",
    "MigrationStatus",
    "Restore",
    "Storage",
]
