"""Every state with its label and its colour, in one place. Colours are Tabler's names."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _


class ColouredChoices(models.TextChoices):
    """Choices whose members are ``(value, colour), label``; ``colour`` is read by the badge template only."""

    colour: str

    def __new__(cls, value: str, colour: str = "secondary") -> Any:
        member = str.__new__(cls, value)
        member._value_ = value
        member.colour = colour
        return member


class EngineName(models.TextChoices):
    """The kinds of database; the values are the names in the engine registry."""

    POSTGRESQL = "postgresql", "PostgreSQL"
    SQLITE = "sqlite", "SQLite"
    FILES = "files", _("Files")


class Environment(ColouredChoices):
    """What a database is used for. Production is guarded most."""

    PRODUCTION = "production", "red", _("Production")
    STAGING = "staging", "yellow", _("Staging")
    DEVELOPMENT = "development", "blue", _("Development")


class Source(models.TextChoices):
    """Where the connection of a database comes from."""

    FIELDS = "fields", _("Form fields")
    ENVIRONMENT = "environment", _("Environment variables")


class Scope(models.TextChoices):
    """What a backup holds."""

    FULL = "full", _("Full")
    SCHEMA = "schema", _("Schema only")
    DATA = "data", _("Data only")


class JobKind(models.TextChoices):
    """What a job does; each has one handler."""

    BACKUP = "backup", _("Backup")
    RESTORE = "restore", _("Restore")
    HEALTH = "health", _("Health check")
    HISTORY = "history", _("Read migration history")
    VERIFY = "verify", _("Verify")
    DRILL = "drill", _("Drill")
    UNDO = "undo", _("Undo a restore")
    IMPORT = "import", _("Import")
    COMPARE = "compare", _("Compare")
    COPY = "copy", _("Copy to storages")
    EXPIRE = "expire", _("Expire")
    RECONCILE = "reconcile", _("Reconcile with storages")
    MAINTENANCE = "maintenance", _("Maintenance")


class JobState(ColouredChoices):
    """A job's life. ``failed`` is an expected failure with a sentence, ``errored`` a bug, ``lost`` a dead worker."""

    QUEUED = "queued", "secondary", _("Queued")
    RUNNING = "running", "blue", _("Running")
    SUCCEEDED = "succeeded", "green", _("Succeeded")
    FAILED = "failed", "red", _("Failed")
    ERRORED = "errored", "red", _("Internal error")
    CANCELLED = "cancelled", "yellow", _("Cancelled")
    LOST = "lost", "red", _("Lost")


ACTIVE_STATES = (JobState.QUEUED, JobState.RUNNING)


class BackupState(ColouredChoices):
    """A backup row exists only once its manifest is stored; what can change afterwards is this."""

    AVAILABLE = "available", "green", _("Available")
    DAMAGED = "damaged", "red", _("Damaged")
    VANISHED = "vanished", "red", _("Vanished")
    DELETED = "deleted", "secondary", _("Deleted")


class CopyState(ColouredChoices):
    """One archive in one storage. ``expiring`` is decided and recorded; the files go next, also after a crash."""

    WAITING = "waiting", "secondary", _("Not there yet")
    STORED = "stored", "green", _("Stored")
    FAILED = "failed", "red", _("Failed, is tried again")
    DAMAGED = "damaged", "red", _("Damaged")
    VANISHED = "vanished", "red", _("Vanished")
    EXPIRING = "expiring", "yellow", _("Being deleted")
    DELETED = "deleted", "secondary", _("Deleted")


class ScheduleKind(models.TextChoices):
    """What a schedule asks for; the values are those of the jobs."""

    BACKUP = "backup", _("Backup")
    DRILL = "drill", _("Drill of the newest backup")
    VERIFY = "verify", _("Verify the newest backup")
    MAINTENANCE = "maintenance", _("Maintenance")
    EXPIRE = "expire", _("Apply retention")
    HEALTH = "health", _("Health check")


class ScheduleTarget(models.TextChoices):
    """Which databases a schedule is for."""

    DATABASES = "databases", _("Chosen databases")
    APPLICATION = "application", _("All of an application")
    LABEL = "label", _("All with a label")
    ALL = "all", _("All databases")


class CatchUp(models.TextChoices):
    """What is done about moments that passed while nothing ran."""

    SKIP = "skip", _("Nothing")
    ONCE = "once", _("One run for all of them")
    ALL = "all", _("A run for each")


class Overlap(models.TextChoices):
    """What is done when the previous run still works."""

    SKIP = "skip", _("Skip this run")
    QUEUE = "queue", _("Run afterwards")


class RunState(ColouredChoices):
    """What became of one moment of a schedule for one database. Nothing that was due is without a row."""

    WAITING = "waiting", "secondary", _("Waiting")
    ACTIVE = "active", "blue", _("Active")
    SUCCEEDED = "succeeded", "green", _("Succeeded")
    FAILED = "failed", "red", _("Failed")
    SKIPPED = "skipped", "yellow", _("Run skipped")
    MISSED = "missed", "red", _("Missed")


class RestoreState(ColouredChoices):
    """How a restore ended. There is no success with warnings."""

    RUNNING = "running", "blue", _("Running")
    EXACT = "exact", "green", _("Restored exactly")
    DIFFERENT = "different", "yellow", _("Restored with differences")
    FAILED = "failed", "red", _("Failed, target unchanged")
    UNDONE = "undone", "secondary", _("Undone")


class ImportState(ColouredChoices):
    """How far an import is. There is nothing to compare it with, so it is never called exact."""

    WAITING = "waiting", "secondary", _("Not started")
    RUNNING = "running", "blue", _("Running")
    IMPORTED = "imported", "green", _("Imported")
    FAILED = "failed", "red", _("Failed, nothing left")


class RestoreMode(models.TextChoices):
    """What a restore does to its target."""

    NEW = "new", _("Beside what exists")
    REPLACE = "replace", _("In place of what exists")
    TABLES = "tables", _("Named tables")


class FactsLevel(models.TextChoices):
    """How much of a database is measured with each backup."""

    COUNTS = "counts", _("Counts")
    HASHES = "hashes", _("Counts, and hashes of all rows")


class DrillKind(models.TextChoices):
    """How much of a backup a drill restores."""

    FULL = "full", _("Full")
    PARTIAL = "partial", _("Partial")


class DrillState(ColouredChoices):
    """How a drill ended. Only equal facts and sound checks prove a backup."""

    RUNNING = "running", "blue", _("Running")
    PROVEN = "proven", "green", _("Proven")
    INCOMPLETE = "incomplete", "purple", _("Not all compared")
    DIFFERENT = "different", "red", _("Differences found")
    FAILED = "failed", "red", _("Failed")


class ComparisonState(ColouredChoices):
    """How a comparison ended. Equal is only what was compared to the last row."""

    EQUAL = "equal", "green", _("Equal")
    DIFFERENT = "different", "yellow", _("Different")
    INCOMPLETE = "incomplete", "purple", _("Not all compared")


class AssertionKind(models.TextChoices):
    """What an assertion expects of the one value that its query returns."""

    FRESHNESS = "freshness", _("A time not older than some hours")
    COUNT = "count", _("A number within bounds")
    VALUE = "value", _("Exactly this value")


class Verdict(ColouredChoices):
    """The answer of a check. Unknown is never green."""

    OK = "ok", "green", _("OK")
    WARNING = "warning", "yellow", _("Warning")
    CRITICAL = "critical", "red", _("Critical")
    UNKNOWN = "unknown", "purple", _("Unknown")
    SKIPPED = "skipped", "secondary", _("Skipped")


class MigrationState(ColouredChoices):
    """The state of one migration as seen from outside the tool."""

    APPLIED = "applied", "green", _("Applied")
    PENDING = "pending", "blue", _("Pending")
    RUNNING = "running", "blue", _("Running")
    FAILED = "failed", "red", _("Failed")
    ROLLED_BACK = "rolled_back", "yellow", _("Rolled back")
    FILE_MISSING = "file_missing", "red", _("Applied, file missing")
    MODIFIED = "modified", "yellow", _("Applied, modified since")
