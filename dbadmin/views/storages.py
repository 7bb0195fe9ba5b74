"""Storages: where archives are kept, how full they are, and what has not arrived."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from dbadmin.backups.keys import only_retired
from dbadmin.backups.storage_use import DUE, Use, shares, uses
from dbadmin.models import Copy, Storage
from dbadmin.plots import Growth
from dbadmin.templatetags.storages import shown_settings
from dbadmin.views.access import requires

YEAR = timedelta(days=365)
LOOK_AHEAD = timedelta(days=180)
SHOWN = 50


@requires("dbadmin.view_storage")
@require_safe
def storages(request: HttpRequest) -> HttpResponse:
    """List the storages with what they hold and when they will be full."""
    registered = Storage.objects.registered().select_related("retention").prefetch_related("keys")
    found = uses(registered, since=_today() - YEAR)
    removed = Storage.objects.filter(removed_at__isnull=False)
    context = {
        "uses": found,
        "ill": sum(1 for use in found if use.is_ill),
        "elsewhere": any(use.storage.is_offsite for use in found),
        "removed": removed,
    }
    return render(request, "dbadmin/storages.html", context)


@requires("dbadmin.view_storage")
@require_safe
def storage(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one storage; removed ones too, since their archives stay."""
    found = get_object_or_404(Storage.objects.select_related("retention").prefetch_related("keys"), pk=pk)
    [use] = uses([found], since=_today() - YEAR)
    due = Copy.objects.filter(storage=found, state__in=DUE).select_related("backup__database__application")
    context: dict[str, Any] = {
        "storage": found,
        "use": use,
        "chart": _growth(use),
        "shares": shares(use),
        "due": due.defer("backup__facts", "backup__origin").order_by("retry_at", "pk")[:SHOWN],
        "orphans": found.orphans.all()[:SHOWN],
        "orphan_count": found.orphans.count(),
        "destinations": found.destinations.select_related("schedule", "retention"),
        "months": [sample for sample in reversed(use.samples) if sample.day.day == 1 or sample is use.samples[-1]],
        "settings": shown_settings(found),
        "only_retired": only_retired(found.keys.all()),
    }
    return render(request, "dbadmin/storage.html", context)


def _today() -> date:
    return timezone.localdate()


def _growth(use: Use) -> Growth:
    """What was used on each day, and where that leads in half a year."""
    past = [(sample.day, sample.used_bytes) for sample in use.samples]
    per_day = use.forecast.per_day
    if not past or per_day is None:
        return Growth(past=past, limit=_whole(use))
    last, used = past[-1]
    return Growth(
        past=past, ahead=[(last + LOOK_AHEAD, max(0, round(used + per_day * LOOK_AHEAD.days)))], limit=_whole(use)
    )


def _whole(use: Use) -> int | None:
    return None if use.room is None else use.used + use.room
