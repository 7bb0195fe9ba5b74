"""Drills: the list, one drill, and starting one."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from dbadmin.backups.drill_places import SCRATCH
from dbadmin.choices import DrillKind, JobKind
from dbadmin.exceptions import Refused
from dbadmin.facts import Difference
from dbadmin.forms.drill import drill_form
from dbadmin.models import Backup, Drill
from dbadmin.text import Text
from dbadmin.views.access import requires
from dbadmin.views.failures import failed
from dbadmin.views.paging import Order, paginate
from dbadmin.views.starting import start_one

NEWEST = Order()
NO_SUCH_PLACE = Refused(
    Text("There is no such server to drill this backup on."), Text("Choose another place on the backup's page.")
)


@requires("dbadmin.view_drill")
@require_safe
def drills(request: HttpRequest) -> HttpResponse:
    """List all drills, of one database when it is named."""
    found = Drill.objects.select_related("backup__database__application").defer("checks", "backup__facts")
    if slug := request.GET.get("database"):
        found = found.filter(backup__database__slug=slug)
    page = paginate(found, order=NEWEST, params=request.GET)
    return render(request, "dbadmin/drills.html", {"page": page, "database": slug or ""})


@requires("dbadmin.view_drill")
@require_safe
def drill(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what a drill proved, or what differs."""
    found = get_object_or_404(Drill.objects.select_related("backup__database__application", "job"), pk=pk)
    checks = [
        {"name": Text.from_json(each["name"]), "verdict": each["verdict"], "message": Text.from_json(each["message"])}
        for each in found.checks
    ]
    target = found.backup.database.restore_minutes
    # Of a place that could not be removed yet; while the job works it is its own.
    left = found.job is not None and not found.job.is_active and SCRATCH in found.job.params
    context = {
        "drill": found,
        "checks": checks,
        "is_left": left,
        "differences": [Difference(**each) for each in found.differences],
        "took": (found.finished_at or timezone.now()) - found.started_at,
        "is_slow": bool(found.restore_seconds and found.restore_seconds > 60 * target),
    }
    return render(request, "dbadmin/drill.html", context)


@requires("dbadmin.run_drill")
@require_POST
def run(request: HttpRequest, pk: int) -> HttpResponse:
    """Drill a backup, all of it or some tables; on a chosen server if the reader may make databases there."""
    backup = get_object_or_404(Backup.objects.select_related("database__application"), pk=pk)
    kind = request.POST.get("kind", "")
    params = {"backup": backup.pk, "kind": kind if kind in DrillKind.values else DrillKind.FULL.value}
    if request.POST.get("on"):
        if not request.user.has_perm("dbadmin.run_restore"):
            raise PermissionDenied
        form = drill_form(backup, request.POST)
        if form is None or not form.is_valid():
            return failed(request, NO_SUCH_PLACE, back_to=backup.get_absolute_url())
        params["on"] = form.cleaned_data["on"]
    return start_one(request, JobKind.DRILL, backup.database, params=params, back_to=backup.get_absolute_url())
