"""What a page does with an expected failure: say it, where the reader can act on it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from dbadmin.exceptions import DbadminError
from dbadmin.models import Job


def failed(request: HttpRequest, error: DbadminError, *, back_to: str) -> HttpResponse:
    """Go back with the failure's sentence, or to the job that is in the way when it names one."""
    messages.error(request, str(error))
    in_the_way = Job.objects.filter(pk=error.message.params.get("job", 0)).first()
    return redirect(in_the_way or back_to)
