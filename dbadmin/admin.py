"""Django admin: users and groups are edited here; the catalogue is for looking only.

What the product records is changed by the pages that check and audit it, never by a form over a row.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db import models
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from dbadmin.administration import Recorded
from dbadmin.models import (
    Application,
    AppliedMigration,
    Assertion,
    AuditEvent,
    Backup,
    CheckResult,
    Comparison,
    Database,
    Drill,
    Finding,
    Import,
    Job,
    MigrationStatus,
    Restore,
    Storage,
)

admin.site.enable_nav_sidebar = False
admin.site.site_title = "dbadmin"
admin.site.site_header = "dbadmin"
admin.site.index_title = _("Administration")
admin.site.unregister((User, Group))


@admin.register(User)
class RecordedUserAdmin(Recorded, UserAdmin[User]):
    """Users."""


@admin.register(Group)
class RecordedGroupAdmin(Recorded, GroupAdmin):
    """Groups."""


class LookOnly(admin.ModelAdmin[models.Model]):
    """Rows that nobody adds, changes or deletes by hand."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rows come from what the product did."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The pages of the dashboard change what may be changed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing that is a record goes away here."""
        return False


@admin.register(Application)
class ApplicationAdmin(LookOnly):
    """Applications."""

    list_display = ("name", "slug", "description")


@admin.register(Database)
class DatabaseAdmin(LookOnly):
    """Databases, without their encrypted passwords."""

    list_display = ("name", "application", "engine", "environment", "removed_at")
    list_filter = ("engine", "environment")
    list_select_related = ("application",)
    exclude = ("encrypted_password",)


@admin.register(Storage)
class StorageAdmin(LookOnly):
    """Storages."""

    list_display = ("name", "kind", "is_default")


@admin.register(Job)
class JobAdmin(LookOnly):
    """Jobs, with the traceback of those that met a bug for superusers only."""

    list_display = ("id", "kind", "database", "state", "actor", "created_at", "finished_at")
    list_filter = ("state", "kind")
    list_select_related = ("database",)

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Tracebacks may quote what only superusers should read."""
        return () if request.user.is_superuser else ("traceback",)


@admin.register(Backup)
class BackupAdmin(LookOnly):
    """Backups."""

    list_display = ("key", "database", "scope", "state", "finished_at", "size")
    list_filter = ("state", "scope")
    list_select_related = ("database",)


@admin.register(Restore)
class RestoreAdmin(LookOnly):
    """Restores."""

    list_display = ("backup", "target", "state", "started_at", "finished_at")
    list_filter = ("state",)
    list_select_related = ("backup",)


@admin.register(Drill)
class DrillAdmin(LookOnly):
    """Drills."""

    list_display = ("backup", "kind", "state", "started_at", "finished_at", "restore_seconds")
    list_filter = ("state", "kind")
    list_select_related = ("backup",)


@admin.register(Assertion)
class AssertionAdmin(LookOnly):
    """What restored copies have to answer."""

    list_display = ("database", "name", "kind")
    list_filter = ("kind",)
    list_select_related = ("database",)


@admin.register(Comparison)
class ComparisonAdmin(LookOnly):
    """Comparisons, without the keys and values of rows, which are for those who may restore."""

    list_display = ("left", "right", "state", "content", "started_at", "finished_at")
    list_filter = ("state",)
    list_select_related = ("left", "right")
    exclude = ("result",)


@admin.register(Import)
class ImportAdmin(LookOnly):
    """Imports."""

    list_display = ("file_name", "engine", "target", "state", "created_at", "finished_at")
    list_filter = ("state",)


@admin.register(Finding)
class FindingAdmin(LookOnly):
    """Findings."""

    list_display = ("database", "check_id", "verdict", "opened_at", "resolved_at")
    list_filter = ("verdict",)
    list_select_related = ("database",)


@admin.register(CheckResult)
class CheckResultAdmin(LookOnly):
    """The newest answers of the checks."""

    list_display = ("database", "check_id", "verdict", "checked_at")
    list_filter = ("verdict",)
    list_select_related = ("database",)


@admin.register(MigrationStatus)
class MigrationStatusAdmin(LookOnly):
    """What migration tools say."""

    list_display = ("database", "tool", "head", "applied", "pending", "read_at")
    list_select_related = ("database",)


@admin.register(AppliedMigration)
class AppliedMigrationAdmin(LookOnly):
    """Migrations."""

    list_display = ("database", "tool", "revision", "state", "applied_at", "disappeared_at")
    list_filter = ("state", "tool")
    list_select_related = ("database",)


@admin.register(AuditEvent)
class AuditEventAdmin(LookOnly):
    """The trail."""

    list_display = ("at", "actor", "address", "action", "object_label", "reason")
    list_filter = ("action",)
