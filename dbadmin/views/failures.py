"""What a page does with an expected failure: say it, where the reader can act on it."""

from __future__ import annotations

import sys

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template import loader
from django.views.defaults import server_error

from dbadmin import catalogue
from dbadmin.exceptions import DbadminError
from dbadmin.models import Job


def failed(request: HttpRequest, error: DbadminError, *, back_to: str) -> HttpResponse:
    """Go back with the failure's sentence, or to the job that is in the way when it names one."""
    messages.error(request, str(error))
    in_the_way = Job.objects.filter(pk=error.message.params.get("job", 0)).first()
    return redirect(in_the_way or back_to)


def internal(request: HttpRequest) -> HttpResponse:
    """Answer what nobody caught: 503 with the reason when it is the catalogue, else 500. Asks the catalogue nothing."""
    error = sys.exc_info()[1]
    trouble = catalogue.explained(error) if isinstance(error, Exception) else None
    if trouble is None:
        return server_error(request)
    page = loader.get_template("503.html").render({"error": trouble})
    return HttpResponse(page, status=503, headers={"Retry-After": "60"})
