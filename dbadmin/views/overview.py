"""The first page: could I get my data back right now?"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from dbadmin.views.access import requires


@requires("dbadmin.view_database")
def overview(request: HttpRequest) -> HttpResponse:
    """Show the answer in a sentence, and what is behind it."""
    return render(request, "dbadmin/overview.html")
