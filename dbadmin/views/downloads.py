"""Downloads: an archive as it is stored, or as plain SQL."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET

from dbadmin import audit
from dbadmin.backups import download
from dbadmin.exceptions import DbadminError
from dbadmin.models import Backup
from dbadmin.progress import Silent
from dbadmin.views.access import requires
from dbadmin.views.failures import failed


@requires("dbadmin.download_backup")
@require_GET
def archive(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Hand out the tar, as it is stored when nothing here opens it."""
    backup = _backup(pk)
    try:
        file = download.archive(backup)
    except DbadminError as error:
        return failed(request, error, back_to=backup.get_absolute_url())
    audit.record(audit.from_request(request), "backup.download", backup, file=file.name)
    return _attachment(file, "application/x-tar")


@requires("dbadmin.download_backup")
@require_GET
def sql(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Hand out plain SQL, made at this moment."""
    backup = _backup(pk)
    try:
        file = download.stream(download.plain_sql(backup, Silent()))
    except DbadminError as error:
        return failed(request, error, back_to=backup.get_absolute_url())
    audit.record(audit.from_request(request), "backup.download", backup, file=file.name)
    return _attachment(file, "application/sql")


def _backup(pk: int) -> Backup:
    return get_object_or_404(Backup.objects.select_related("database__application", "storage"), pk=pk)


def _attachment(file: download.Download, content_type: str) -> StreamingHttpResponse:
    response = StreamingHttpResponse(file.chunks, content_type=content_type)
    response.headers["Content-Length"] = str(file.size)
    response.headers["Content-Disposition"] = content_disposition_header(True, file.name) or "attachment"
    response.headers["Cache-Control"] = "no-store"
    return response
