"""Deleting one backup by hand."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from dbadmin import audit
from dbadmin.backups import expire, pins
from dbadmin.backups.copies import HELD
from dbadmin.choices import Environment, JobKind
from dbadmin.exceptions import DbadminError
from dbadmin.forms.deletion import DeleteBackupForm
from dbadmin.jobs.queue import enqueue
from dbadmin.models import Backup
from dbadmin.progress import Silent
from dbadmin.views.access import requires
from dbadmin.views.failures import failed


@requires("dbadmin.delete_backup")
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Say what would go and what is left, and delete once the reason is given and the name is typed."""
    found = get_object_or_404(Backup.objects.listed(), pk=pk)
    is_last = pins.is_only_good_one(found)
    needs_name = is_last or found.database.environment == Environment.PRODUCTION
    form = DeleteBackupForm(
        request.POST if request.method == "POST" else None, database=found.database, needs_name=needs_name
    )
    if request.method == "POST" and form.is_valid():
        return _deleted(request, found, form)
    others = Backup.objects.at_hand().filter(database=found.database, scope=found.scope).exclude(pk=found.pk)
    context = {
        "backup": found,
        "form": form,
        "is_last": is_last,
        "copies": found.copies.filter(state__in=HELD, storage__removed_at=None).select_related("storage"),
        "next_newest": others.order_by("-finished_at").only("finished_at", "proven_at").first(),
    }
    return render(request, "dbadmin/backup_delete.html", context)


def _deleted(request: HttpRequest, found: Backup, form: DeleteBackupForm) -> HttpResponse:
    actor = audit.from_request(request)
    try:
        pins.delete_backup(
            found, actor=actor, reason=form.cleaned_data["reason"], confirmed=form.cleaned_data.get("name", "")
        )
        if found.database.removed_at:  # no job works for it any more
            expire.finish(database=found.database, progress=Silent())
        else:
            enqueue(JobKind.EXPIRE, found.database, actor=audit.SYSTEM)
    except DbadminError as error:
        return failed(request, error, back_to=found.get_absolute_url())
    messages.success(request, _("The backup is deleted; its files go shortly."))
    return redirect(found)
