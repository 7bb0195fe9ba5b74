"""Restores: the wizard that starts one beside what exists, and the report of any."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_safe

from dbadmin import audit
from dbadmin.backups.naming import proposed_name
from dbadmin.backups.preflight import look_ahead
from dbadmin.backups.replace import target_of
from dbadmin.backups.restore import new_target
from dbadmin.backups.undo import require_undoable
from dbadmin.choices import JobKind
from dbadmin.engines.base import in_words
from dbadmin.exceptions import DbadminError
from dbadmin.facts import Difference
from dbadmin.forms.restore import RestoreForm
from dbadmin.jobs.queue import enqueue
from dbadmin.models import Backup, Database, Restore
from dbadmin.views.access import requires
from dbadmin.views.byhand import connect_command
from dbadmin.views.failures import failed
from dbadmin.views.offering import offered_identities


@requires("dbadmin.run_restore")
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask where to; with a place in the address look ahead; when posted, start."""
    backup = get_object_or_404(Backup.objects.select_related("database__application", "storage"), pk=pk)
    if request.method == "POST":
        return _start(request, backup)
    is_chosen = "target" in request.GET
    form = RestoreForm(request.GET if is_chosen else None, backup=backup)
    context = {"backup": backup, "form": form, "proposed": proposed_name(backup)}
    if is_chosen and "change" not in request.GET and form.is_valid():
        backup.read_from = form.cleaned_data.get("storage")
        context["preflight"] = look_ahead(
            backup=backup,
            beside=form.cleaned_data["server"],
            target_name=form.cleaned_data["target"],
            keep_owners=form.keeps_owners,
        )
    return render(request, "dbadmin/restore_new.html", context)


@requires("dbadmin.view_restore")
@require_safe
def restore(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what came of a restore, object by object."""
    found = get_object_or_404(
        Restore.objects.select_related("backup__database__application", "safety_backup", "job"), pk=pk
    )
    report = in_words(found.lines)
    problems = [line for line in report if line["level"] != "info"]
    facts = found.backup.measured()
    context = {
        "restore": found,
        "took": (found.finished_at or timezone.now()) - found.started_at,
        "problems": problems,
        "remarks": [line for line in report if line["level"] == "info"],
        "differences": [Difference(**each) for each in found.differences],
        "facts": facts.only(found.tables) if found.tables else facts,
        "connect": connect_command(found),
        "undoable": _undoable(found),
    }
    return render(request, "dbadmin/restore.html", context)


def _undoable(row: Restore) -> Database | None:
    """Return the database that undoing would put back."""
    try:
        require_undoable(row)
    except DbadminError:
        return None
    return target_of(row)


def _start(request: HttpRequest, backup: Backup) -> HttpResponse:
    form = RestoreForm(request.POST, backup=backup)
    if not form.is_valid():
        return render(request, "dbadmin/restore_new.html", {"backup": backup, "form": form}, status=422)
    server, target = form.cleaned_data["server"], form.cleaned_data["target"]
    params = {"backup": backup.pk, "target_name": target, "server": server.slug, "keep_owners": form.keeps_owners}
    if chosen := form.cleaned_data.get("storage"):
        params["from_storage"] = chosen.pk
    try:
        new_target(backup, server, target, anywhere=False)  # say it here, not in a job that fails a moment later
        identities = offered_identities(request, JobKind.RESTORE, params)
        job, _is_new = enqueue(
            JobKind.RESTORE,
            backup.database,
            actor=audit.from_request(request),
            params=params,
            reason=request.POST.get("reason", ""),
            identities=identities,
        )
    except DbadminError as error:
        return failed(request, error, back_to=f"{request.path}?{_asked(form)}")
    return redirect(job)


def _asked(form: RestoreForm) -> str:
    """Return the query string that looks ahead again for what was posted."""
    asked = {"server": form.cleaned_data["server"].slug, "target": form.cleaned_data["target"]}
    if chosen := form.cleaned_data.get("storage"):
        asked["storage"] = str(chosen.pk)
    return urlencode(asked | ({"keep_owners": "on"} if form.cleaned_data.get("keep_owners") else {}))
