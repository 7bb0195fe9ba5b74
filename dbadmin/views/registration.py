"""Adding a database, changing it, taking it off the dashboard. None of these touches the database itself."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from dbadmin import audit
from dbadmin.backups.coming_back import require_same_kind, said, take_back
from dbadmin.choices import EngineName, Source
from dbadmin.engines import get_engine
from dbadmin.engines.postgresql.connection import may_be_told
from dbadmin.exceptions import DbadminError
from dbadmin.forms.connections import FIELDS, OTHER_WAYS, ConnectionForm
from dbadmin.forms.databases import DetailsForm, RemoveForm
from dbadmin.forms.meanwhile import Meanwhile
from dbadmin.models import Database, Job
from dbadmin.sources import Chosen
from dbadmin.views.access import requires

WAYS = {
    "fields": gettext_lazy("Fields"),
    "url": gettext_lazy("Paste a URL"),
    "env": gettext_lazy(".env file"),
    "environment": gettext_lazy("Environment variables"),
}
PREFIX = "connection"


@requires("dbadmin.add_database")
@require_http_methods(["GET", "HEAD", "POST"])
def add(request: HttpRequest) -> HttpResponse:
    """Register a database. ``?from=`` is the way its connection is described, ``?engine=`` the engine of the fields."""
    way = request.GET.get("from", "")
    way = way if way in WAYS else "fields"
    engine = request.GET.get("engine", "")
    engine = engine if engine in FIELDS else EngineName.POSTGRESQL.value
    connection = _connection_form(request, OTHER_WAYS.get(way, FIELDS[engine]))
    details = _posted_details(request, connection) if request.method == "POST" else DetailsForm()
    context = {
        "details": details,
        "connection": connection,
        "way": way,
        "ways": WAYS.items(),
        "engine": engine,
        "engines": EngineName.choices,
    }
    if request.method == "POST" and "test" in request.POST:
        return _tested(request, connection, context, page="dbadmin/database_add.html")
    if request.method == "POST" and details.is_valid() & connection.is_valid():
        return _saved(request, details, connection, action="database.add")
    if way == "environment" and request.method != "POST":
        connection.is_valid()  # so that the page shows the decision at once
    return render(request, "dbadmin/database_add.html", context)


@requires("dbadmin.change_database")
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, slug: str) -> HttpResponse:
    """Change a database; an empty password keeps the stored one, for the server that it was stored for only."""
    found = get_object_or_404(Database.objects.registered(), slug=slug)
    form = OTHER_WAYS["environment"] if found.source == Source.ENVIRONMENT else FIELDS[found.engine]
    details = DetailsForm(request.POST or None, instance=found)
    connection = _connection_form(request, form, initial=found.settings)
    if request.method == "POST" and connection.is_valid():
        _require_password(request, connection, found)
    meanwhile = Meanwhile(request.POST or None, details, connection)
    context = {"database": found, "details": details, "connection": connection, "meanwhile": meanwhile}
    if request.method == "POST" and "test" in request.POST:
        kept = None if "forget_password" in request.POST else found
        return _tested(request, connection, context, page="dbadmin/database_edit.html", stored=kept)
    if request.method == "POST" and details.is_valid() & connection.is_valid() and not meanwhile.changed:
        return _saved(request, details, connection, action="database.change")
    return render(request, "dbadmin/database_edit.html", context)


@requires("dbadmin.delete_database")
@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: HttpRequest, slug: str) -> HttpResponse:
    """Take a database off the dashboard. Its archives, and the database, stay where they are."""
    found = get_object_or_404(Database.objects.registered(), slug=slug)
    form = RemoveForm(request.POST or None, database=found)
    active = Job.objects.active().filter(database=found).first()
    if request.method == "POST" and not active and form.is_valid():
        with transaction.atomic():
            Database.objects.filter(pk=found.pk).update(removed_at=timezone.now())
            actor = audit.from_request(request)
            audit.record(actor, "database.remove", found, reason=form.cleaned_data["reason"])
        messages.success(request, _("{name} is off the dashboard. Its backups are kept.").format(name=found))
        return redirect("databases")
    return render(request, "dbadmin/database_remove.html", {"database": found, "form": form, "active": active})


def _posted_details(request: HttpRequest, connection: ConnectionForm) -> DetailsForm:
    """Describe a new database, or the removed one of that name, which comes back."""
    engine = connection.chosen().engine if connection.is_valid() else ""
    found = DetailsForm(request.POST).coming_back(engine)
    details = DetailsForm(request.POST, instance=found)
    if found is not None and engine:
        try:
            require_same_kind(found, engine)
        except DbadminError as error:
            details.add_error("slug", str(error))
    return details


def _connection_form(
    request: HttpRequest, form: type[ConnectionForm], initial: dict[str, Any] | None = None
) -> ConnectionForm:
    if request.method == "POST":
        return form(request.POST, request.FILES, prefix=PREFIX, initial=initial)
    if not form.base_fields:
        return form({}, prefix=PREFIX)
    return form(prefix=PREFIX, initial=initial)


def _tested(
    request: HttpRequest,
    connection: ConnectionForm,
    context: dict[str, Any],
    *,
    page: str,
    stored: Database | None = None,
) -> HttpResponse:
    """Reach for what the form describes, without saving anything."""
    context["tested"] = True
    if connection.is_valid():
        chosen = connection.chosen()
        context |= {"remarks": chosen.remarks, "candidates": connection.candidates} | _probe(chosen, stored)
    return render(request, "dbadmin/_probe.html" if "HX-Request" in request.headers else page, context)


def _require_password(request: HttpRequest, connection: ConnectionForm, stored: Database) -> None:
    """Nobody gets at a stored password by pointing dbadmin at his own server; nor is one kept that cannot be read."""
    chosen = connection.chosen()
    keeps = stored.encrypted_password and not chosen.password and "forget_password" not in request.POST
    if keeps and stored.is_locked:
        field = "password" if "password" in connection.fields else None
        connection.add_error(field, _("Enter it again, or choose to forget it: the stored one cannot be read."))
    elif keeps and stored.source == Source.FIELDS and not may_be_told(stored.settings, chosen.settings):
        connection.add_error(
            "password",
            _("Type the password again: host, port, user or the server's proof of identity has changed."),
        )


def _probe(chosen: Chosen, stored: Database | None) -> dict[str, Any]:
    engine = get_engine(chosen.engine)
    try:
        password = chosen.password or (stored.password if stored else "")
        return {"info": engine.probe(engine.connection(chosen.settings, password))}
    except DbadminError as error:
        return {"error": error}


def _saved(request: HttpRequest, details: DetailsForm, connection: ConnectionForm, *, action: str) -> HttpResponse:
    chosen = connection.chosen()
    with transaction.atomic():
        database: Database = details.save(commit=False)
        if is_back := database.removed_at is not None:
            take_back(database)
        database.application = details.application()
        database.source = connection.source
        database.engine = chosen.engine
        if connection.source == Source.FIELDS:
            database.settings = dict(chosen.settings)
            if chosen.password or "forget_password" in request.POST:
                database.password = chosen.password
        database.save()
        action = "database.return" if is_back else action
        audit.record(audit.from_request(request), action, database, changed=sorted(details.changed_data))
    for remark in chosen.remarks:
        messages.info(request, str(remark))
    messages.success(request, str(said(database)) if is_back else _("{name} is saved.").format(name=database))
    return redirect(database)
