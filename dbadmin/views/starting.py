"""Starting jobs from a page: one, which the reader then watches, or one of each database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from dbadmin import audit
from dbadmin.choices import JobKind
from dbadmin.exceptions import DbadminError
from dbadmin.jobs.queue import enqueue
from dbadmin.models import Database
from dbadmin.views.failures import failed
from dbadmin.views.offering import offered_identities


def start_one(
    request: HttpRequest,
    kind: JobKind,
    database: Database,
    *,
    params: Mapping[str, Any] | None = None,
    back_to: str = "",
) -> HttpResponse:
    """Go to the new job, or to the one of this kind that is already under way; back with a sentence when refused.

    A key file that came with the form is offered to the job; a backup that needs one is refused without it.
    """
    reason = request.POST.get("reason", "")
    try:
        identities = offered_identities(request, kind, params or {})
        job, is_new = enqueue(
            kind, database, actor=audit.from_request(request), params=params, reason=reason, identities=identities
        )
    except DbadminError as error:
        return failed(request, error, back_to=back_to or database.get_absolute_url())
    if not is_new:
        messages.info(request, _("This is already under way for {name}.").format(name=database))
    return redirect(job)


def start_all(
    request: HttpRequest, kind: JobKind, databases: Iterable[Database], *, params: Mapping[str, Any] | None = None
) -> int:
    """Return how many were started; which could not be, and why, becomes a message each."""
    started = 0
    for database in databases:
        try:
            _job, is_new = enqueue(kind, database, actor=audit.from_request(request), params=params)
        except DbadminError as error:
            messages.error(request, f"{database}: {error}")
        else:
            started += is_new
    return started
