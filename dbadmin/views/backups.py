"""Backups: the list, one backup, and what can be done with it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from dbadmin.archives.manifest import Member
from dbadmin.backups.going import note_removals
from dbadmin.backups.missing import ask_for
from dbadmin.backups.reading import manifest_of
from dbadmin.choices import BackupState, EngineName, JobKind, Scope
from dbadmin.exceptions import DbadminError
from dbadmin.forms.drill import drill_form
from dbadmin.forms.filters import BackupFilter
from dbadmin.models import Application, Backup, Database, Storage
from dbadmin.views.access import requires
from dbadmin.views.byhand import steps_without_dbadmin
from dbadmin.views.failures import failed
from dbadmin.views.paging import Order, paginate
from dbadmin.views.pins import kept
from dbadmin.views.starting import start_all, start_one

SORTS = {
    "": Order(field="finished_at"),
    "oldest": Order(field="finished_at", descending=False),
    "largest": Order(field="size"),
    "smallest": Order(field="size", descending=False),
}
SHOWN_NAMES = 200
ELSEWHERE = ("dbadmin.run_drill", "dbadmin.run_restore")


@requires("dbadmin.view_backup")
@require_safe
def backups(request: HttpRequest) -> HttpResponse:
    """List all backups of all databases."""
    chosen = BackupFilter(request.GET)
    order = SORTS[chosen.cleaned_data.get("sort", "")]
    page = paginate(chosen.apply(Backup.objects.listed()), order=order, params=request.GET)
    note_removals(page.rows)
    return render(request, "dbadmin/backups.html", {"filter": chosen, "page": page})


@requires("dbadmin.view_backup")
@require_safe
def backup(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what a backup holds, where it comes from and how to bring it back."""
    found = get_object_or_404(_with_everything(), pk=pk)
    note_removals([found])
    members, unreadable = _members(found)
    context = {
        "backup": found,
        "facts": found.measured(),
        "members": members[:SHOWN_NAMES],
        "more_members": max(0, len(members) - SHOWN_NAMES),
        "unreadable": unreadable,
        "restores": found.restores.select_related("job")[:SHOWN_NAMES],
        "drills": found.drills.defer("checks", "differences")[:SHOWN_NAMES],
        "steps": steps_without_dbadmin(found, members),
        "is_stored": found.state != BackupState.DELETED,
        "has_sql": found.database.engine != EngineName.FILES,
        "copies": found.copies.select_related("storage"),
        "place": drill_form(found) if request.user.has_perms(ELSEWHERE) else None,
        "other_storages": Storage.objects.registered().exclude(copies__backup=found),
    }
    tables = _tables(found, request.GET.get("tables", ""))
    return render(request, "dbadmin/backup.html", context | kept(found) | tables)


@requires("dbadmin.run_backup")
@require_POST
def run(request: HttpRequest, slug: str) -> HttpResponse:
    """Back up one database now, or go to the backup that is already under way."""
    database = get_object_or_404(Database.objects.registered(), slug=slug)
    return start_one(request, JobKind.BACKUP, database, params={"scope": _scope(request)})


@requires("dbadmin.run_backup")
@require_POST
def run_all(request: HttpRequest) -> HttpResponse:
    """Back up every registered database, or those of one application, and say which could not be."""
    databases = Database.objects.registered()
    if slug := request.POST.get("application"):
        databases = databases.filter(application=get_object_or_404(Application, slug=slug))
    started = start_all(request, JobKind.BACKUP, databases, params={"scope": Scope.FULL.value})
    said = ngettext("{count} backup started.", "{count} backups started.", started)
    messages.success(request, said.format(count=started))
    return redirect(f"{reverse('jobs')}?kind=backup")


@requires("dbadmin.run_backup")
@require_POST
def verify(request: HttpRequest, pk: int) -> HttpResponse:
    """Read every copy again, or the one that is named, and compare every hash."""
    found = get_object_or_404(_with_everything(), pk=pk)
    params = {"backup": found.pk}
    if asked := request.POST.get("copy", ""):
        copies = found.copies.filter(pk=asked) if asked.isdecimal() else found.copies.none()
        params["copy"] = get_object_or_404(copies).pk
    return start_one(request, JobKind.VERIFY, found.database, params=params, back_to=found.get_absolute_url())


@requires("dbadmin.run_backup")
@require_POST
def copy(request: HttpRequest, pk: int) -> HttpResponse:
    """Make the missing copies now, or one in a storage that has none."""
    found = get_object_or_404(_with_everything(), pk=pk)
    asked = request.POST.get("storage", "")
    storages = Storage.objects.registered().filter(pk=asked) if asked.isdecimal() else Storage.objects.none()
    try:
        ask_for(found, get_object_or_404(storages) if asked else None)
    except DbadminError as error:
        return failed(request, error, back_to=found.get_absolute_url())
    params = {"backup": found.pk}
    return start_one(request, JobKind.COPY, found.database, params=params, back_to=found.get_absolute_url())


def _with_everything() -> Any:
    return Backup.objects.select_related("database__application", "storage", "job")


def _scope(request: HttpRequest) -> str:
    asked = request.POST.get("scope", "")
    return asked if asked in Scope.values else Scope.FULL.value


def _tables(found: Backup, text: str) -> dict[str, Any]:
    tables = sorted(found.measured().tables.items())
    matching = [(name, rows) for name, rows in tables if text.casefold() in name.casefold()]
    return {
        "tables": matching[:SHOWN_NAMES],
        "tables_text": text,
        "table_count": len(tables),
        "more_tables": max(0, len(matching) - SHOWN_NAMES),
    }


def _members(found: Backup) -> tuple[tuple[Member, ...], DbadminError | None]:
    """Read the list from the storage; the page has to open when the storage does not answer."""
    try:
        return manifest_of(found).members, None
    except DbadminError as error:
        return (), error
