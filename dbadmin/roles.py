"""viewer sees, operator backs up and checks, admin restores, deletes and configures."""

from __future__ import annotations

from typing import Any

VIEWER = frozenset(
    {
        "view_application",
        "view_database",
        "view_storage",
        "view_job",
        "view_workerprocess",
        "view_backup",
        "view_restore",
        "view_checkresult",
        "view_finding",
        "view_drill",
        "view_assertion",
        "view_appliedmigration",
        "view_migrationstatus",
        "view_schedule",
        "view_retention",
    }
)
OPERATOR = VIEWER | {
    "test_database",
    "maintain_database",
    "run_backup",
    "run_drill",
    "run_checks",
    "cancel_job",
    "view_auditevent",
}
ADMIN = OPERATOR | {
    "add_application",
    "change_application",
    "add_database",
    "change_database",
    "delete_database",
    "download_backup",
    "run_restore",
    "delete_backup",
    "add_assertion",
    "change_assertion",
    "delete_assertion",
    "add_storage",
    "change_storage",
    "delete_storage",
    "adopt_archive",
    "view_encryptionkey",
    "add_encryptionkey",
    "change_encryptionkey",
    "add_schedule",
    "change_schedule",
    "delete_schedule",
    "add_retention",
    "change_retention",
    "delete_retention",
}
ROLES = {"viewer": VIEWER, "operator": OPERATOR, "admin": ADMIN}


def create_groups(**_: Any) -> None:
    """Make the three groups have exactly these permissions; permissions of other applications are left alone."""
    from django.apps import apps
    from django.contrib.auth.management import create_permissions
    from django.contrib.auth.models import Group, Permission

    create_permissions(apps.get_app_config("dbadmin"), verbosity=0)
    ours = Permission.objects.filter(content_type__app_label="dbadmin")
    for name, codenames in ROLES.items():
        group, _created = Group.objects.get_or_create(name=name)
        group.permissions.remove(*ours.exclude(codename__in=codenames))
        group.permissions.add(*ours.filter(codename__in=codenames))
