"""Migrations: what the applications' own tools recorded, as last read."""

from __future__ import annotations

from collections import defaultdict

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from dbadmin.choices import EngineName, JobKind
from dbadmin.forms.filters import MigrationFilter
from dbadmin.models import AppliedMigration, Database, MigrationStatus
from dbadmin.models.database import DatabaseQuerySet
from dbadmin.views.access import requires
from dbadmin.views.starting import start_all, start_one


@requires("dbadmin.view_appliedmigration")
@require_safe
def migrations(request: HttpRequest) -> HttpResponse:
    """Show each tool's head and, for one chosen database, every migration."""
    chosen = MigrationFilter(request.GET)
    one = chosen.cleaned_data.get("database")
    statuses = MigrationStatus.objects.filter(database__removed_at=None).select_related("database__application")
    if one:
        statuses = statuses.filter(database=one)
    context = {
        "filter": chosen,
        "one": one,
        "statuses": statuses.order_by("database__application__name", "database__name", "tool"),
        "tools": _by_tool(one) if one else {},
        "unread": _unread(one),
    }
    return render(request, "dbadmin/migrations.html", context)


@requires("dbadmin.run_checks")
@require_POST
def read(request: HttpRequest) -> HttpResponse:
    """Read the history of one database, or of all that can have one, now."""
    databases = _sql_databases()
    if slug := request.POST.get("database", ""):
        return start_one(request, JobKind.HISTORY, get_object_or_404(databases, slug=slug), back_to="migrations")
    count = start_all(request, JobKind.HISTORY, databases)
    said = ngettext("Reading {count} history started.", "Reading {count} histories started.", count)
    messages.success(request, said.format(count=count))
    return redirect("migrations")


def _sql_databases() -> DatabaseQuerySet:
    return Database.objects.registered().exclude(engine=EngineName.FILES)


def _by_tool(database: Database) -> dict[str, list[AppliedMigration]]:
    """Newest first, as a reader looks for what happened last."""
    tools = defaultdict(list)
    for migration in AppliedMigration.objects.filter(database=database).order_by("tool", "-position"):
        tools[migration.tool].append(migration)
    return dict(tools)


def _unread(one: Database | None) -> list[Database]:
    """Databases of which no tool is known."""
    databases = _sql_databases().select_related("application").filter(migration_statuses=None)
    return list(databases.filter(pk=one.pk) if one else databases)
