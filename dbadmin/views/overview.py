"""The first page: could I get my data back right now?"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from dbadmin.jobs.workers import complaints
from dbadmin.overview import Overview, active_jobs, gather
from dbadmin.templatetags.dbadmin import age
from dbadmin.views.access import requires


@requires("dbadmin.view_database")
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """Say in a sentence whether everything could be brought back, then what is behind the sentence."""
    found = gather()
    context = {"overview": found, "situation": situation(found), "gaps": complaints(timezone.now())}
    return render(request, "dbadmin/overview.html", context)


@requires("dbadmin.view_job")
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """The jobs that wait or run; says so when one of those that the page knew (``?jobs=1,2``) is over."""
    active = active_jobs()
    response = render(request, "dbadmin/_active_jobs.html", {"active": active})
    known = {part for part in request.GET.get("jobs", "").split(",") if part}
    if known - {str(job.pk) for job in active}:
        response.headers["HX-Trigger"] = "job-finished"
    return response


def situation(found: Overview) -> str:
    """Answer the question of the first page in a sentence."""
    total, without = len(found.rows), len(found.without_backup)
    if not total:
        return _("No database is registered yet.")
    if without == total:
        return ngettext(
            "The database could not be brought back: there is no verified backup.",
            "None of the {total} databases could be brought back: there is no verified backup.",
            total,
        ).format(total=total)
    unreachable = len(found.unreachable)
    if without and unreachable:
        return _(
            "{lost} of {total} databases cannot be brought back now: {without} without a verified backup, "
            "{unreachable} only in storages that cannot be read."
        ).format(lost=without + unreachable, total=total, without=without, unreachable=unreachable)
    if without:
        return ngettext(
            "{without} of {total} databases could not be brought back: it has no verified backup.",
            "{without} of {total} databases could not be brought back: they have no verified backup.",
            without,
        ).format(without=without, total=total)
    if unreachable == total:
        return ngettext(
            "Your database cannot be brought back until its storage can be read again.",
            "None of the {total} databases can be brought back until their storages can be read again.",
            total,
        ).format(total=total)
    if unreachable:
        return ngettext(
            "{unreachable} of {total} databases cannot be brought back until its storage can be read again.",
            "{unreachable} of {total} databases cannot be brought back until their storages can be read again.",
            unreachable,
        ).format(unreachable=unreachable, total=total)
    if doubtful := len(found.doubtful):
        return ngettext(
            "{doubtful} of {total} databases may not come back as it was: its newest drill did not prove that.",
            "{doubtful} of {total} databases may not come back as they were: their newest drills did not prove that.",
            doubtful,
        ).format(doubtful=doubtful, total=total)
    return _restorable(found).format(
        total=total, closed=len(found.closed), loss=age(found.oldest or timezone.now()) or _("a minute")
    )


def _restorable(found: Overview) -> str:
    """Return the sentence, to be filled in, when every database can be brought back, be it with a key file only."""
    total, closed = len(found.rows), len(found.closed)
    if closed == total:
        return ngettext(
            "Your database can be brought back, but only with a key file. At most {loss} of changes would be lost.",
            "All {total} databases can be brought back, but only with a key file. "
            "At most {loss} of changes would be lost.",
            total,
        )
    if closed:
        return ngettext(
            "All {total} databases can be brought back, {closed} of them only with a key file. "
            "At most {loss} of changes would be lost.",
            "All {total} databases can be brought back, {closed} of them only with a key file. "
            "At most {loss} of changes would be lost.",
            closed,
        )
    return ngettext(
        "Your database can be brought back. At most {loss} of changes would be lost.",
        "All {total} databases can be brought back. At most {loss} of changes would be lost.",
        total,
    )
