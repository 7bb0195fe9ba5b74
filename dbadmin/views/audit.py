"""Audit: who did what, when, from where and why."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_safe

from dbadmin import audit as trail
from dbadmin.forms.filters import AuditFilter
from dbadmin.models import AuditEvent
from dbadmin.views.access import requires
from dbadmin.views.paging import Order, paginate

COLUMNS = ("at", "actor", "address", "action", "object_type", "object_id", "object_label", "reason", "details")
CSV_BATCH = 2000


@requires("dbadmin.view_auditevent")
@require_safe
def audit(request: HttpRequest) -> HttpResponse:
    """List the events, newest first."""
    chosen = AuditFilter(request.GET)
    page = paginate(chosen.apply(AuditEvent.objects.all()), order=Order(), params=request.GET)
    return render(request, "dbadmin/audit.html", {"filter": chosen, "page": page})


@requires("dbadmin.view_auditevent")
@require_GET
def audit_csv(request: HttpRequest) -> StreamingHttpResponse:
    """Hand out the filtered events as CSV, streamed."""
    events = AuditFilter(request.GET).apply(AuditEvent.objects.order_by("-id"))
    trail.record(trail.from_request(request), "audit.download", query=request.GET.urlencode()[:500])
    response = StreamingHttpResponse(_lines(events), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = 'attachment; filename="audit.csv"'
    return response


class _Echo:
    """What csv wants to write to; gives the line back."""

    def write(self, line: str) -> str:
        return line


def _lines(events: QuerySet[AuditEvent]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield "\ufeff"  # so that spreadsheets read UTF-8
    yield writer.writerow(COLUMNS)
    for event in events.iterator(CSV_BATCH):
        yield writer.writerow(_harmless(getattr(event, column)) for column in COLUMNS)


def _harmless(value: Any) -> str:
    """Spreadsheets run cells that begin like a formula; an apostrophe makes them text."""
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
