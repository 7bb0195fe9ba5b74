"""Jobs: the list, one job while it runs, and its cancellation."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from dbadmin import audit
from dbadmin.choices import Scope
from dbadmin.exceptions import DbadminError
from dbadmin.forms.filters import JobFilter
from dbadmin.jobs import queue
from dbadmin.jobs.bell import could_not_run
from dbadmin.jobs.workers import complaints, nobody_takes
from dbadmin.models import Job, JobLogLine
from dbadmin.views.access import requires
from dbadmin.views.failures import failed
from dbadmin.views.paging import Order, paginate

SHOWN_LINES = 500
ALL_LINES = 20_000


@requires("dbadmin.view_job")
@require_safe
def jobs(request: HttpRequest) -> HttpResponse:
    """List all jobs, newest first."""
    chosen = JobFilter(request.GET)
    rows = Job.objects.select_related("database__application").defer("params", "traceback", "hint")
    page = paginate(chosen.apply(rows), order=Order(), params=request.GET)
    context = {"filter": chosen, "page": page, "gaps": complaints(timezone.now())}
    return render(request, "dbadmin/jobs.html", context)


@requires("dbadmin.view_job")
@require_safe
def job(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one job: what it does now, or how it ended, and its log."""
    found = _job(pk)
    shown = ALL_LINES if request.GET.get("lines") == "all" else SHOWN_LINES
    lines = list(found.log_lines.order_by("-id")[: shown + 1])[::-1]
    context = {
        "job": found,
        "could_not_run": could_not_run(found),
        "nobody_takes": nobody_takes(found, timezone.now()),
        "scope": Scope(found.params["scope"]).label if found.params.get("scope") in Scope.values else "",
        "has_earlier_lines": len(lines) > shown,
    }
    context |= _log(found, lines[-shown:], 0)
    return render(request, "dbadmin/job.html", context)


@requires("dbadmin.view_job")
@require_safe
def live(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of the job page that moves. The answer about a job that is over does not ask again."""
    found = _job(pk)
    context = {
        "job": found,
        "could_not_run": could_not_run(found),
        "nobody_takes": nobody_takes(found, timezone.now()),
        "is_update": True,
    }
    response = render(request, "dbadmin/_job_live.html", context)
    if not found.is_active:
        response.headers["HX-Trigger"] = "job-finished"
    return response


@requires("dbadmin.view_job")
@require_safe
def row(request: HttpRequest, pk: int) -> HttpResponse:
    """The row of the list, which asks again only while the job is active."""
    return render(request, "dbadmin/_job_row.html", {"job": _job(pk)})


@requires("dbadmin.view_job")
@require_safe
def log(request: HttpRequest, pk: int) -> HttpResponse:
    """The log lines after line ``after``, followed by what asks for the next ones while the job is active."""
    found = _job(pk)
    after = request.GET.get("after", "")
    newest = int(after) if after.isdecimal() else 0
    lines = list(found.log_lines.filter(pk__gt=newest)[:SHOWN_LINES])
    return render(request, "dbadmin/_job_log.html", {"job": found} | _log(found, lines, newest))


@requires("dbadmin.cancel_job")
@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask a job to stop."""
    found = _job(pk)
    try:
        found = queue.cancel(found, actor=audit.from_request(request))
    except DbadminError as error:
        return failed(request, error, back_to=found.get_absolute_url())
    if found.is_active:
        messages.info(request, _("The job was asked to stop; it cleans up what it began."))
    return redirect(found)


def _job(pk: int) -> Job:
    related: QuerySet[Job] = Job.objects.select_related(
        "database__application", "backup", "drill", "restore", "imported", "comparison", "retried_by"
    )
    return get_object_or_404(related, pk=pk)


def _log(found: Job, lines: list[JobLogLine], newest: int) -> dict[str, Any]:
    """The last lines of a job are written before its end is, so the first answer after the end has all of them."""
    return {
        "lines": lines,
        "newest_line": lines[-1].pk if lines else newest,
        "asks_again": found.is_active or len(lines) == SHOWN_LINES,
    }
