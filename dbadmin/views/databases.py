"""Databases: the list, one database, and its connection test."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from dbadmin import audit
from dbadmin.backups.going import note_removals
from dbadmin.choices import EngineName, Environment, JobKind, Source
from dbadmin.exceptions import DbadminError
from dbadmin.forms.connections import as_lines
from dbadmin.idle import idle
from dbadmin.models import Application, Backup, Database, Finding, Job
from dbadmin.overview import schema_heads, worst, worst_verdicts
from dbadmin.reach import Reach, reach, with_newest
from dbadmin.strips import strips
from dbadmin.templatetags.dbadmin import age as since
from dbadmin.text import Text, quoted
from dbadmin.timeline import timeline
from dbadmin.upcoming import newest_runs, schedules_of, usual_schedules, when
from dbadmin.views.access import requires
from dbadmin.views.starting import start_one

SHOWN = 20
TABS = {
    "overview": gettext_lazy("Overview"),
    "backups": gettext_lazy("Backups"),
    "schedules": gettext_lazy("Schedules"),
    "health": gettext_lazy("Health"),
    "migrations": gettext_lazy("Migrations"),
    "settings": gettext_lazy("Settings"),
}


@requires("dbadmin.view_database")
@require_safe
def databases(request: HttpRequest) -> HttpResponse:
    """List the databases by application."""
    verdicts, heads = worst_verdicts(), schema_heads()
    found = list(with_newest(_narrowed(request).select_related("application")))
    reached = reach(found)
    rows = [
        {
            "database": each,
            "verdict": worst({verdicts.get(each.pk, "")}),
            "heads": heads.get(each.pk, []),
            "away": reached[each.pk].away,
        }
        for each in found
    ]
    total = Database.objects.registered().aggregate(total=Count("pk"), applications=Count("application", distinct=True))
    context = total | {
        "rows": rows,
        "all_applications": Application.objects.filter(databases__removed_at=None).distinct(),
        "engines": EngineName.choices,
        "environments": Environment.choices,
        "chosen": {name: request.GET.get(name, "") for name in ("q", "application", "engine", "environment")},
    }
    return render(request, "dbadmin/databases.html", context)


def _narrowed(request: HttpRequest) -> QuerySet[Database]:
    """Apply the filter above the list; a value that names nothing finds nothing."""
    columns = {"application": "application__slug", "engine": "engine", "environment": "environment"}
    wanted = {column: request.GET[name] for name, column in columns.items() if request.GET.get(name)}
    text = request.GET.get("q", "").strip()
    narrowed = Database.objects.registered().filter(**wanted)
    return narrowed.filter(Q(name__icontains=text) | Q(slug__icontains=text)) if text else narrowed


@requires("dbadmin.view_database")
@require_safe
def database(request: HttpRequest, slug: str) -> HttpResponse:
    """Show one database; removed ones too, since their backups stay. ``?tab=`` names the part."""
    found = get_object_or_404(with_newest(Database.objects.select_related("application")), slug=slug)
    tab = request.GET.get("tab", "")
    tab = tab if tab in TABS else "overview"
    reached = reach([found])[found.pk]
    context = {
        "database": found,
        "situation": _situation(found, reached),
        "reached": reached,
        "restorable": reached.backup or getattr(found, "newest_id", None),
        "address": _address(found),
        "verdict": worst(found.check_results.order_by().values_list("verdict", flat=True).distinct()),
        "statuses": list(found.migration_statuses.all()),
        "active": Job.objects.active().filter(database=found).first(),
        "tabs": TABS.items(),
        "tab": tab,
    }
    return render(request, f"dbadmin/database/{tab}.html", context | _content_of(tab, found))


def _situation(found: Database, reached: Reach) -> str:
    """Say in a sentence whether it could be brought back now, and what that takes."""
    name, age = found.name, since(reached.finished_at) or _("a minute")
    if found.removed_at:
        return _("{name} is off the dashboard").format(name=name)
    if reached.backup is None and reached.away:
        words = (
            _("{name} cannot be brought back until one of {storages} can be read again")
            if len(reached.away) > 1
            else _("{name} cannot be brought back until {storages} can be read again")
        )
        return words.format(name=name, storages=quoted(map(str, reached.away)))
    if reached.backup is None:
        return _("{name} has no verified backup to bring it back from").format(name=name)
    if getattr(found, "is_doubtful", False):
        return _("{name} may not come back as it was: its newest drill did not prove that").format(name=name)
    if reached.keys:
        words = (
            _("{name} can be brought back as it was {age} ago, with the key file of one of {names}")
            if len(reached.keys) > 1
            else _("{name} can be brought back as it was {age} ago, with the key file of {names}")
        )
        return words.format(name=name, age=age, names=quoted(reached.keys))
    return _("{name} can be brought back as it was {age} ago").format(name=name, age=age)


def _content_of(tab: str, found: Database) -> dict[str, Any]:
    """Read only what the tab shows."""
    if tab == "overview":
        return {"events": timeline(found), "days": strips(timezone.now()).get(found.pk, [])}
    if tab == "backups":
        newest = Backup.objects.listed().filter(database=found).order_by("-finished_at")[:SHOWN]
        return {"backups": note_removals(newest)}
    if tab == "schedules":
        return _schedules_of(found)
    if tab == "health":
        return {"results": found.check_results.all(), "findings": Finding.objects.open().filter(database=found)}
    if tab == "migrations":
        return {"migrations": found.applied_migrations.order_by("tool", "-position")[: 10 * SHOWN]}
    return {
        "settings": as_lines(found.settings),
        "is_environment": found.source == Source.ENVIRONMENT,
        "assertions": found.assertions.all(),
    }


def _schedules_of(found: Database) -> dict[str, Any]:
    """Read its schedules with the newest run of each, and the newest runs of all of them."""
    schedules = schedules_of(found)
    last, reasons = newest_runs(found, schedules), idle(schedules)
    runs = found.schedule_runs.select_related("schedule", "job").order_by("-due_at", "-id")
    return {
        "rows": [
            {"schedule": each, "when": when(each), "idle": reasons.get(each.pk), "last": last.get(each.pk)}
            for each in schedules
        ],
        "runs": runs[:SHOWN],
        "templates": usual_schedules(),
    }


def _address(found: Database) -> Text | str:
    """Where it is; or why that cannot be said."""
    try:
        return str(found.connection().address)
    except DbadminError as error:
        return str(error)


@requires("dbadmin.test_database")
@require_POST
def test(request: HttpRequest, slug: str) -> HttpResponse:
    """Reach for the database now, and show each stage with its time."""
    found = get_object_or_404(Database.objects.registered().select_related("application"), slug=slug)
    audit.record(audit.from_request(request), "database.test", found)
    template = "dbadmin/_probe.html" if "HX-Request" in request.headers else "dbadmin/database_test.html"
    return render(request, template, {"database": found} | probe(found))


@requires("dbadmin.maintain_database")
@require_POST
def maintain(request: HttpRequest, slug: str) -> HttpResponse:
    """Optimise, compact and check it now, as a job that can be watched."""
    return start_one(request, JobKind.MAINTENANCE, get_object_or_404(Database.objects.registered(), slug=slug))


def probe(found: Database) -> dict[str, Any]:
    """Return the stages for the template, or the sentence why there are none."""
    try:
        return {"info": found.adapter.probe(found.connection())}
    except DbadminError as error:
        return {"error": error}
