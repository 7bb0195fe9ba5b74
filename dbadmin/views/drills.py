"""Drills: the list, one drill, and starting one."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from dbadmin.choices import DrillKind, JobKind
from dbadmin.facts import Difference
from dbadmin.models import Backup, Drill
from dbadmin.text import Text
from dbadmin.views.access import requires
from dbadmin.views.paging import Order, paginate
from dbadmin.views.starting import start_one

NEWEST = Order()


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
    context = {
        "drill": found,
        "checks": checks,
        "differences": [Difference(**each) for each in found.differences],
        "took": (found.finished_at or timezone.now()) - found.started_at,
        "is_slow": bool(found.restore_seconds and found.restore_seconds > 60 * target),
    }
    return render(request, "dbadmin/drill.html", context)


@requires("dbadmin.run_drill")
@require_POST
def run(request: HttpRequest, pk: int) -> HttpResponse:
    """Drill a backup, all of it or some tables."""
    backup = get_object_or_404(Backup.objects.select_related("database__application"), pk=pk)
    kind = request.POST.get("kind", "")
    params = {"backup": backup.pk, "kind": kind if kind in DrillKind.values else DrillKind.FULL.value}
    return start_one(request, JobKind.DRILL, backup.database, params=params, back_to=backup.get_absolute_url())
