"""Schedules: the list, one schedule with its runs, and what its moments will be while it is edited."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from dbadmin.choices import ScheduleKind
from dbadmin.exceptions import DbadminError
from dbadmin.forms.runs import RunFilter
from dbadmin.forms.times import TimesForm
from dbadmin.idle import idle, running
from dbadmin.jobs.schedules import targets
from dbadmin.models import Database, Schedule
from dbadmin.models.keys import closed_newest, names
from dbadmin.timetable import Timetable
from dbadmin.upcoming import moments, of_what, unmended, usual_schedules, when
from dbadmin.views.access import requires
from dbadmin.views.paging import Order, paginate

SHOWN = 100


@dataclass(frozen=True, kw_only=True)
class Coming:
    """A moment to come; ``shift`` is by how many hours clocks were changed since the one before it, or since now."""

    at: datetime
    shift: float


@requires("dbadmin.view_schedule")
@require_safe
def schedules(request: HttpRequest) -> HttpResponse:
    """List the schedules with what is next and what came of the last moments."""
    found = Schedule.objects.select_related("application").prefetch_related("databases")
    page = paginate(found, order=Order(field="name", descending=False), params=request.GET)
    last, reasons, runs = moments(page.rows), idle(page.rows), running()
    rows = [
        {
            "schedule": row,
            "when": when(row),
            "of": of_what(row),
            "idle": reasons.get(row.pk),
            "moments": last.get(row.pk, []),
        }
        for row in page.rows
    ]
    context = {
        "page": page,
        "rows": rows,
        "enabled": Schedule.objects.filter(enabled=True).count(),
        "total": Schedule.objects.count(),
        "running": runs.count(),
        "next": runs.order_by("next_due_at").first(),
        "unmended": unmended(),
        "templates": usual_schedules(),
    }
    return render(request, "dbadmin/schedules.html", context)


@requires("dbadmin.view_schedule")
@require_safe
def schedule(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one schedule, its next moments and its runs."""
    rows = Schedule.objects.select_related("application").prefetch_related("databases")
    found = get_object_or_404(rows, pk=pk)
    chosen = RunFilter(request.GET)
    runs = chosen.apply(found.runs.select_related("database__application", "job"))
    context = {
        "schedule": found,
        "when": when(found),
        "of": of_what(found),
        "closed": _closed(found),
        "destinations": found.destinations.select_related("storage__retention", "retention"),
        "filter": chosen,
        "page": paginate(runs, order=Order(field="due_at"), params=request.GET),
    }
    return render(request, "dbadmin/schedule.html", context | _ahead_of(found))


@requires("dbadmin.change_schedule")
@require_safe
def preview(request: HttpRequest) -> HttpResponse:
    """Say what the times typed so far mean, or what is wrong with them."""
    return render(request, "dbadmin/_schedule_preview.html", previewed(TimesForm(request.GET)))


def previewed(times: TimesForm) -> dict[str, Any]:
    """Return the sentence and the next moments, or the errors."""
    if not times.is_valid():
        return {"wrong": [error for errors in times.errors.values() for error in errors]}
    table = times.timetable()
    return {"sentence": table.sentence, "coming": ahead(table, timezone.now()), "zone": table.zone}


def ahead(table: Timetable, now: datetime) -> list[Coming]:
    """Return the next five moments."""
    zone = ZoneInfo(table.zone)
    coming: list[Coming] = []
    before = now.astimezone(zone)
    for at in table.coming(now, 5):
        local = at.astimezone(zone)
        change = (local.utcoffset() or timedelta()) - (before.utcoffset() or timedelta())
        coming.append(Coming(at=at, shift=change.total_seconds() / 3600))
        before = local
    return coming


def _closed(schedule: Schedule) -> list[dict[str, Any]]:
    """Whose newest backup a schedule of drills could not read, so that it is known before it fails."""
    if schedule.kind != ScheduleKind.DRILL:
        return []
    covered = Database.objects.filter(pk__in=targets([schedule])[schedule.pk]).select_related("application")
    return [{"database": database, "keys": names(keys)} for database, keys in closed_newest(covered, most=SHOWN)]


def _ahead_of(schedule: Schedule) -> dict[str, Any]:
    if not schedule.enabled:
        return {}
    try:
        table = Timetable(schedule.expression, schedule.time_zone)
    except DbadminError as error:
        return {"wrong": [str(error)]}
    if nobody := idle([schedule]).get(schedule.pk):
        return {"nobody": nobody}
    return {"coming": ahead(table, timezone.now()), "zone": table.zone}
