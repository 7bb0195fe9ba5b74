"""Putting a backup in the place of what exists, going back, and bringing single tables beside."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from dbadmin.backups.preflight_replace import look_ahead_of_replacing
from dbadmin.backups.preflight_rows import differences_of_files, look_ahead_of_rows
from dbadmin.backups.replace import KEEP_HOURS, target_of
from dbadmin.backups.rows import in_place
from dbadmin.backups.tables import require_tables
from dbadmin.backups.undo import require_undoable
from dbadmin.choices import EngineName, JobKind, RestoreMode
from dbadmin.exceptions import DbadminError
from dbadmin.forms.replace import ConfirmForm, ReplaceForm, TablesForm
from dbadmin.models import Backup, Database, Restore
from dbadmin.views.access import requires
from dbadmin.views.failures import failed
from dbadmin.views.starting import start_one


@requires("dbadmin.run_restore")
@require_http_methods(["GET", "HEAD", "POST"])
def replace(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask what is replaced; with a database in the address look ahead; when posted with its name, start."""
    backup = get_object_or_404(Backup.objects.select_related("database__application", "storage"), pk=pk)
    if request.method == "POST":
        return _start(request, backup)
    is_chosen = "database" in request.GET
    form = ReplaceForm(request.GET if is_chosen else None, backup=backup)
    context = {"backup": backup, "form": form}
    if is_chosen and "change" not in request.GET and form.is_valid():
        database = form.cleaned_data["database"]
        context["database"] = database
        context["preflight"] = look_ahead_of_replacing(
            backup=backup, database=database, keep_owners=form.params["keep_owners"]
        )
    return render(request, "dbadmin/restore_replace.html", context)


@requires("dbadmin.run_restore")
@require_POST
def undo(request: HttpRequest, pk: int) -> HttpResponse:
    """Go back to what a restore replaced, when the name is typed."""
    row = get_object_or_404(Restore.objects.select_related("backup__database"), pk=pk)
    try:
        require_undoable(row)
    except DbadminError as error:
        return failed(request, error, back_to=row.get_absolute_url())
    database = target_of(row)
    if not ConfirmForm(request.POST, database=database).is_valid():
        messages.error(request, _("Type the name “{name}” to confirm. Nothing was started.").format(name=database.name))
        return redirect(row)
    return start_one(request, JobKind.UNDO, database, params={"restore": row.pk}, back_to=row.get_absolute_url())


@requires("dbadmin.run_restore")
@require_http_methods(["GET", "HEAD", "POST"])
def tables(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask which tables shall come beside the live ones; when posted, start."""
    backup = get_object_or_404(Backup.objects.select_related("database__application", "storage"), pk=pk)
    form = TablesForm(request.POST if request.method == "POST" else None, backup=backup)
    if request.method != "POST" or not form.is_valid():
        status = 422 if request.method == "POST" else 200
        return render(request, "dbadmin/restore_tables.html", {"backup": backup, "form": form}, status=status)
    chosen = form.cleaned_data["tables"]
    if "in_place" in request.POST:
        return redirect(f"{reverse('restore-rows', args=[backup.pk])}?{urlencode({'tables': chosen}, doseq=True)}")
    try:
        require_tables(backup, backup.database, tuple(chosen))
    except DbadminError as error:
        return failed(request, error, back_to=request.path)
    params = {"backup": backup.pk, "mode": RestoreMode.TABLES.value, "tables": chosen}
    return start_one(request, JobKind.RESTORE, backup.database, params=params, back_to=request.path)


@requires("dbadmin.run_restore")
@require_http_methods(["GET", "HEAD", "POST"])
def rows(request: HttpRequest, pk: int) -> HttpResponse:
    """Look ahead of replacing the chosen tables' rows, or files; when posted with the database's name, start."""
    backup = get_object_or_404(Backup.objects.select_related("database__application", "storage"), pk=pk)
    form = TablesForm(request.POST if request.method == "POST" else request.GET, backup=backup)
    choosing = reverse("restore-tables", args=[backup.pk])
    if not form.is_valid():
        messages.error(request, _("Choose at least one. Nothing was started."))
        return redirect(choosing)
    database, names = backup.database, tuple(form.cleaned_data["tables"])
    again = f"{request.path}?{urlencode({'tables': names}, doseq=True)}"
    if request.method != "POST":
        context = {"backup": backup, "database": database, "names": names, "change": choosing, "again": again}
        context |= _looked(backup, database, names)
        return render(request, "dbadmin/restore_rows.html", context)
    if not ConfirmForm(request.POST, database=database).is_valid():
        messages.error(request, _("Type the name “{name}” to confirm. Nothing was started.").format(name=database.name))
        return redirect(again)
    try:
        require_tables(backup, database, names)
        params = in_place(database, names, keep_hours=KEEP_HOURS)
    except DbadminError as error:
        return failed(request, error, back_to=again)
    params |= {"backup": backup.pk, "without_safety": "without_safety" in request.POST}
    return start_one(request, JobKind.RESTORE, database, params=params, back_to=again)


def _looked(backup: Backup, database: Database, names: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {"preflight": look_ahead_of_rows(backup=backup, database=database, names=names)}
    if database.engine == EngineName.FILES and found["preflight"].may_start:
        try:
            found["files"] = differences_of_files(backup, database, names)
        except DbadminError as error:
            found["unseen"] = error
    return found


def _start(request: HttpRequest, backup: Backup) -> HttpResponse:
    form = ReplaceForm(request.POST, backup=backup)
    if not form.is_valid():
        return render(request, "dbadmin/restore_replace.html", {"backup": backup, "form": form}, status=422)
    database = form.cleaned_data["database"]
    again = f"{request.path}?{urlencode(_asked(form))}"
    if not ConfirmForm(request.POST, database=database).is_valid():
        messages.error(request, _("Type the name “{name}” to confirm. Nothing was started.").format(name=database.name))
        return redirect(again)
    params = form.params | {
        "backup": backup.pk,
        "mode": RestoreMode.REPLACE.value,
        "without_safety": "without_safety" in request.POST,
    }
    return start_one(request, JobKind.RESTORE, database, params=params, back_to=again)


def _asked(form: ReplaceForm) -> dict[str, str]:
    asked = {"database": form.cleaned_data["database"].slug, "keep_hours": str(form.params["keep_hours"])}
    return asked | ({"keep_owners": "on"} if form.params["keep_owners"] else {})
