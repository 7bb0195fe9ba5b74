"""Imports: a file that is uploaded or found, what it is, where it goes, and what came of it."""

from __future__ import annotations

import shlex
from pathlib import Path

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_POST, require_safe

from dbadmin import audit
from dbadmin.backups import uploads
from dbadmin.backups.imports import look_ahead, new_target, receive
from dbadmin.choices import EngineName, ImportState, JobKind
from dbadmin.engines.base import in_words
from dbadmin.exceptions import DbadminError, Refused, StorageError
from dbadmin.forms.importing import ImportForm
from dbadmin.jobs.queue import enqueue
from dbadmin.models import Database, Import
from dbadmin.text import Text
from dbadmin.views.access import requires
from dbadmin.views.failures import failed
from dbadmin.views.receiving import SpooledUpload

SHOWN = 20


@requires("dbadmin.run_restore")
@require_safe
def imports(request: HttpRequest) -> HttpResponse:
    """Take an upload, or let a found file be chosen."""
    context = {
        "found": uploads.found_files(),
        "imports": Import.objects.select_related("server", "job")[:SHOWN],
        "limit": uploads.limit(),
    }
    return render(request, "dbadmin/imports.html", context)


@csrf_exempt  # the check reads the form, and the form must not be read before it is known where to
@requires("dbadmin.run_restore")
@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    """Receive a file into the spool and go to what it is."""
    folder: Path | None = None
    try:
        uploads.require_room(int(request.META.get("CONTENT_LENGTH") or 0))
        folder = uploads.new_folder()
        handler = SpooledUpload(request, folder / "content", limit=uploads.limit())
        request.upload_handlers = [handler]
        response = _received(request)
    except (DbadminError, OSError) as error:
        response = failed(request, _as_sentence(error), back_to=reverse("imports"))
    if folder is not None and not Import.objects.filter(path=str(folder / "content")).exists():
        uploads.discard(folder / "content")
    return response


@csrf_protect
def _received(request: HttpRequest) -> HttpResponse:
    handler = request.upload_handlers[0]
    file = request.FILES.get("file")
    assert isinstance(handler, SpooledUpload)
    if handler.is_too_large:
        raise uploads.too_large()
    if file is None:
        raise Refused(Text("No file was chosen."), Text("Choose one and upload it again."))
    row = receive(handler.path, file_name=file.name or "", uploaded=True)
    audit.record(audit.from_request(request), "import.upload", row, size=row.size)
    return redirect(row)


@requires("dbadmin.run_restore")
@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    """Take a file of the listed folders."""
    try:
        path = uploads.found_file(request.POST.get("path", ""))
        row = receive(path, file_name=path.name, uploaded=False)
    except DbadminError as error:
        return failed(request, error, back_to=reverse("imports"))
    audit.record(audit.from_request(request), "import.choose", row, path=str(path))
    return redirect(row)


@requires("dbadmin.run_restore")
@require_safe
def import_(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask where to, look ahead, or show what came of it."""
    row = get_object_or_404(Import.objects.select_related("server__application", "job"), pk=pk)
    if row.state == ImportState.WAITING:
        return _asking(request, row)
    context = {
        "import": row,
        "lines": in_words(row.lines),
        "facts": row.measured(),
        "tables": sorted(row.measured().tables.items())[:200],
        "took": (row.finished_at or timezone.now()) - (row.started_at or row.created_at),
        "connect": _connect_command(row),
        "registered": _registered(row),
    }
    return render(request, "dbadmin/import.html", context)


@requires("dbadmin.run_restore")
@require_POST
def start(request: HttpRequest, pk: int) -> HttpResponse:
    """Queue it."""
    row = get_object_or_404(Import, pk=pk, state=ImportState.WAITING)
    form = ImportForm(request.POST, row=row)
    if not form.is_valid():
        return render(request, "dbadmin/import_new.html", {"import": row, "form": form}, status=422)
    server, target = form.cleaned_data["server"], form.cleaned_data["target"]
    keep_owners = bool(form.cleaned_data.get("keep_owners"))
    asked = urlencode({"server": server.slug, "target": target} | ({"keep_owners": "on"} if keep_owners else {}))
    try:
        new_target(row, server, target, anywhere=False)
        job, _is_new = enqueue(
            JobKind.IMPORT,
            server,
            actor=audit.from_request(request),
            params={"import": row.pk, "target_name": target, "keep_owners": keep_owners},
            reason=request.POST.get("reason", ""),
        )
    except DbadminError as error:
        return failed(request, error, back_to=f"{row.get_absolute_url()}?{asked}")
    return redirect(job)


def _asking(request: HttpRequest, row: Import) -> HttpResponse:
    is_chosen = "target" in request.GET
    form = ImportForm(request.GET if is_chosen else None, row=row)
    context = {"import": row, "form": form}
    if is_chosen and "change" not in request.GET and form.is_valid():
        chosen = form.cleaned_data
        context["preflight"] = look_ahead(
            row, chosen["server"], chosen["target"], keep_owners=bool(chosen.get("keep_owners"))
        )
    return render(request, "dbadmin/import_new.html", context)


def _as_sentence(error: DbadminError | OSError) -> DbadminError:
    if isinstance(error, DbadminError):
        return error
    return StorageError(
        Text("The upload could not be written: {reason}.", reason=error.strerror or type(error).__name__),
        Text("Check that dbadmin's home folder has free space, and upload it again."),
    )


def _connect_command(row: Import) -> str:
    if row.engine == EngineName.SQLITE:
        return shlex.join(["sqlite3", row.target])
    host, _colon, rest = row.target.rpartition(":")
    port, _slash, name = rest.partition("/")
    user = row.server.settings.get("user") if row.server else ""
    return shlex.join(["psql", "-h", host.strip("[]"), "-p", port, *(["-U", user] if user else []), "-d", name])


def _registered(row: Import) -> Database | None:
    """Return the registered database that this became, if somebody has registered it."""
    for database in Database.objects.registered().filter(engine=row.engine):
        try:
            if database.connection().address == row.target:
                return database
        except DbadminError:
            continue
    return None
