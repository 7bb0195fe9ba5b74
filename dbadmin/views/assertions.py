"""Assertions of a database: adding and removing them."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from dbadmin import audit
from dbadmin.forms.assertions import AssertionForm
from dbadmin.models import Assertion, Database
from dbadmin.views.access import requires


@requires("dbadmin.add_assertion")
@require_http_methods(["GET", "HEAD", "POST"])
def add(request: HttpRequest, slug: str) -> HttpResponse:
    """Ask one more question of every restored copy."""
    database = get_object_or_404(Database.objects.registered().select_related("application"), slug=slug)
    form = AssertionForm(request.POST or None, instance=Assertion(database=database))
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            assertion = form.save()
            audit.record(audit.from_request(request), "assertion.add", assertion, database=slug)
        messages.success(request, _("{name} is asked at every drill from now on.").format(name=assertion))
        return redirect(f"{database.get_absolute_url()}?tab=settings")
    return render(request, "dbadmin/assertion_add.html", {"database": database, "form": form})


@requires("dbadmin.delete_assertion")
@require_POST
def remove(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Ask it no more."""
    assertion = get_object_or_404(Assertion.objects.select_related("database"), pk=pk, database__slug=slug)
    with transaction.atomic():
        audit.record(audit.from_request(request), "assertion.remove", assertion, database=slug)
        assertion.delete()
    return redirect(f"{assertion.database.get_absolute_url()}?tab=settings")
