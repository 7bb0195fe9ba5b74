"""How long a backup stays: why, and pinning it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from dbadmin import audit
from dbadmin.backups import pins
from dbadmin.choices import BackupState
from dbadmin.exceptions import DbadminError
from dbadmin.judged import of_backup
from dbadmin.models import Backup
from dbadmin.views.access import requires
from dbadmin.views.failures import failed


def kept(backup: Backup) -> dict[str, Any]:
    """Return why each copy of a backup stays or goes, for its page; or why that cannot be said."""
    if backup.state == BackupState.DELETED:
        return {}
    try:
        return {"kept": of_backup(backup, timezone.now())}
    except DbadminError as error:
        return {"kept_error": error}


@requires("dbadmin.run_backup")
@require_POST
def pin(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep it whatever the retentions say; again: change the note."""
    found = get_object_or_404(Backup, pk=pk)
    note = request.POST.get("note", "").strip()
    try:
        pins.pin(found, actor=audit.from_request(request), note=note)
    except DbadminError as error:
        return failed(request, error, back_to=found.get_absolute_url())
    messages.success(request, _("This backup stays until somebody unpins it."))
    return redirect(found)


@requires("dbadmin.run_backup")
@require_POST
def unpin(request: HttpRequest, pk: int) -> HttpResponse:
    """Let the retentions decide again."""
    found = get_object_or_404(Backup, pk=pk)
    pins.unpin(found, actor=audit.from_request(request), reason=request.POST.get("reason", ""))
    messages.success(request, _("From now on the retentions decide again how long this backup stays."))
    return redirect(found)
