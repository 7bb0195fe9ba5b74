"""Statistics of backups, and how ready everything is for a disaster."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from dbadmin.backups.readiness import Readiness, assess
from dbadmin.backups.statistics import Day, Rate, Statistics, Total, calendar, gather, on_day
from dbadmin.backups.storage_use import LOOK_BACK, Use, uses
from dbadmin.choices import Scope
from dbadmin.forms.filters import MigrationFilter
from dbadmin.models import Database, Storage
from dbadmin.plots import Cell
from dbadmin.views.access import requires

SHOWN = 200
FRESH_SECONDS = 60


@requires("dbadmin.view_backup")
@require_safe
def statistics(request: HttpRequest) -> HttpResponse:
    """Show a year of backups: each day, each database over time, totals, success, growth and cost."""
    chosen = MigrationFilter(request.GET)  # one database, or all
    database: Database | None = chosen.cleaned_data.get("database")
    days = calendar(timezone.now(), database=database)
    counted = cache.get_or_set("backup-statistics", _count, FRESH_SECONDS)
    assert counted
    found, stored, counted_at = counted
    found = _only(found, database) if database else found
    context = {
        "filter": chosen,
        "one": database,
        "cells": _cells(days, database),
        "words": _words(days),
        "months": _months(days),
        "statistics": found,
        "scopes": [(Scope(scope).label, total) for scope, total in found.by_scope.items()],
        "uses": stored,
        "growth": _growth(stored),
        "costs": _costs(stored),
        "today": timezone.localdate(),
        "counted_at": counted_at,
    }
    return render(request, "dbadmin/statistics.html", context)


@requires("dbadmin.view_backup")
@require_safe
def day(request: HttpRequest) -> HttpResponse:
    """List what became of one day, ``?day=``; today where none is named."""
    chosen = MigrationFilter(request.GET)
    database: Database | None = chosen.cleaned_data.get("database")
    shown = _read(request.GET.get("day", "")) or timezone.localdate()
    context = on_day(shown, database=database, limit=SHOWN) | {
        "day": shown,
        "one": database,
        "before": _query(shown - timedelta(days=1), database),
        "after": _query(shown + timedelta(days=1), database) if shown < timezone.localdate() else "",
        "limit": SHOWN,
    }
    return render(request, "dbadmin/statistics_day.html", context)


@requires("dbadmin.view_backup")
@require_safe
def readiness(request: HttpRequest) -> HttpResponse:
    """Show for each database whether it would survive a disaster, and what to do next."""
    found = assess(timezone.now())
    context = {"rows": found, "situation": _situation(found), "ready": sum(each.is_ready for each in found)}
    return render(request, "dbadmin/readiness.html", context)


def _count() -> tuple[Statistics, list[Use], datetime]:
    """Add everything up: a tenth of a second where there are a hundred thousand backups."""
    now = timezone.now()
    return gather(now), uses(Storage.objects.registered(), since=timezone.localdate() - LOOK_BACK), now


def _only(found: Statistics, database: Database) -> Statistics:
    """Return what is said of one database alone; nothing where it is off the dashboard."""
    rows = [row for row in found.rows if row.database.pk == database.pk]
    if not rows:
        return Statistics(total=Total(), by_scope={}, rows=[], rate_30=Rate(), rate_90=Rate())
    return Statistics(total=rows[0].total, by_scope={}, rows=rows, rate_30=rows[0].rate_30, rate_90=rows[0].rate_90)


def _read(written: str) -> date | None:
    try:
        found = parse_date(written)
    except ValueError:  # such as the 31st of February
        return None
    # The first and the last year have days without one before or after.
    return found if found and 1 < found.year < 9999 else None


def _query(shown: date, database: Database | None) -> str:
    return "?" + urlencode({"day": shown.isoformat()} | ({"database": database.slug} if database else {}))


def _cells(days: list[Day], database: Database | None) -> list[Cell]:
    most = max((day.made for day in days), default=0)
    page = reverse("backup-day")
    return [
        Cell(
            day=day.day,
            shade=_shade(day, most),
            words=_day_words(day),
            url=page + _query(day.day, database) if day.made or day.failed or day.missed else "",
        )
        for day in days
    ]


def _shade(day: Day, most: int) -> str:
    if day.failed or day.missed:
        return "yellow" if day.made else "red"
    return f"green-{1 + 2 * day.made // most}" if day.made else "none"


def _day_words(day: Day) -> str:
    parts = [
        ngettext("{n} backup", "{n} backups", day.made).format(n=day.made),
        ngettext("{n} failed", "{n} failed", day.failed).format(n=day.failed) if day.failed else "",
        ngettext("{n} missed", "{n} missed", day.missed).format(n=day.missed) if day.missed else "",
    ]
    return f"{day.day.isoformat()}: {', '.join(part for part in parts if part)}"


def _words(days: list[Day]) -> str:
    said = _("In {days} days: backups on {made}, failures on {failed}, missed moments on {missed}.")
    return said.format(
        days=len(days),
        made=sum(bool(day.made) for day in days),
        failed=sum(bool(day.failed) for day in days),
        missed=sum(bool(day.missed) for day in days),
    )


def _months(days: list[Day]) -> list[dict[str, Any]]:
    """The calendar as a table: a row for each month, newest first."""
    found = []
    for _month, group in groupby(days, key=lambda day: (day.day.year, day.day.month)):
        month = list(group)
        found.append(
            {
                "month": month[0].day,
                "made": sum(day.made for day in month),
                "without": sum(not day.made for day in month),
                "failed": sum(day.failed for day in month),
                "missed": sum(day.missed for day in month),
                "bad": [day for day in month if day.failed or day.missed],
            }
        )
    return found[::-1]


def _growth(stored: list[Use]) -> int | None:
    """Bytes that a month adds to all storages; None while none of them is known."""
    known = [use.forecast.per_month for use in stored]
    return sum(each for each in known if each is not None) if any(each is not None for each in known) else None


def _costs(stored: list[Use]) -> list[tuple[str, Decimal]]:
    """What a month costs, by currency."""
    sums: dict[str, Decimal] = {}
    for use in stored:
        if use.cost is not None:
            sums[use.storage.currency] = sums.get(use.storage.currency, Decimal(0)) + use.cost
    return sorted(sums.items())


def _situation(found: list[Readiness]) -> str:
    if not found:
        return _("No database is registered yet")
    ready = sum(each.is_ready for each in found)
    if ready == len(found):
        return ngettext(
            "{total} database would survive a disaster", "All {total} databases would survive a disaster", ready
        ).format(total=ready)
    said = ngettext(
        "{missing} of {total} database is not ready for a disaster",
        "{missing} of {total} databases are not ready for a disaster",
        len(found),
    )
    return said.format(missing=len(found) - ready, total=len(found))
