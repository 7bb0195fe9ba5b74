"""Workers: who works, on which machine, and what nobody would do."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from dbadmin.jobs.bell import bells
from dbadmin.jobs.bells.base import Unreachable
from dbadmin.jobs.version import VERSION
from dbadmin.jobs.workers import Fleet, gather
from dbadmin.views.access import requires


@requires("dbadmin.view_workerprocess")
@require_safe
def workers(request: HttpRequest) -> HttpResponse:
    """List the workers of all machines."""
    fleet = gather(timezone.now())
    context = {"fleet": fleet, "gaps": fleet.gaps, "summary": summary(fleet), "version": VERSION, "trouble": _trouble()}
    return render(request, "dbadmin/workers.html", context)


def summary(fleet: Fleet) -> str:
    """Say in a sentence who works and what waits."""
    machines = len(fleet.machines)
    if not machines:
        return _("No worker runs.") + " " + _waiting(fleet.waiting)
    runs = ngettext("{n} worker runs", "{n} workers run", len(fleet.alive)).format(n=len(fleet.alive))
    where = ngettext("on {n} machine.", "on {n} machines.", machines).format(n=machines)
    return f"{runs} {where} {_waiting(fleet.waiting)}"


def _waiting(jobs: int) -> str:
    if not jobs:
        return _("No job waits.")
    return ngettext("{n} job waits.", "{n} jobs wait.", jobs).format(n=jobs)


def _trouble() -> Unreachable | None:
    try:
        bells().require()
    except Unreachable as error:
        return error
    return None
