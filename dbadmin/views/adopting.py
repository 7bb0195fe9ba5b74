"""Archives and dumps found in a storage, and taking them into the catalogue."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from dbadmin import audit
from dbadmin.backups.adopt import UNREAD, Found, adopt, bring, scan
from dbadmin.backups.twins import require_alone
from dbadmin.exceptions import DbadminError
from dbadmin.jobs.keeping import ask_to_read
from dbadmin.models import Backup, Storage
from dbadmin.views.access import requires
from dbadmin.views.failures import failed

SHOWN = 200


@requires("dbadmin.adopt_archive")
@require_http_methods(["GET", "HEAD", "POST"])
def adoption(request: HttpRequest, pk: int) -> HttpResponse:
    """List what lies in a storage; when posted, adopt the chosen archives, or fetch the chosen dump."""
    storage = get_object_or_404(Storage.objects.registered(), pk=pk)
    if request.method == "POST":
        return _fetch(request, storage) if "fetch" in request.POST else _adopt(request, storage)
    return render(request, "dbadmin/adopt.html", {"storage": storage} | _found(storage))


def _found(storage: Storage) -> dict[str, Any]:
    try:
        found = scan(storage)
    except DbadminError as error:
        return {"error": error}
    unknown = [each for each in found if each.is_archive and not each.is_known]
    dumps = [each for each in found if not each.is_archive]
    return {
        "unknown": unknown[:SHOWN],
        "unknown_count": len(unknown),
        "known_count": len(found) - len(unknown) - len(dumps),
        "dumps": dumps[:SHOWN],
        "dump_count": len(dumps),
    }


def _adopt(request: HttpRequest, storage: Storage) -> HttpResponse:
    """The first ``SHOWN`` at a time: their manifests are read while somebody waits."""
    chosen = set(request.POST.getlist("key"))
    try:
        require_alone(storage.backend(), itself=storage.pk)
        waiting = [each for each in scan(storage) if _is_wanted(each, chosen, everything="all" in request.POST)]
    except DbadminError as error:
        return failed(request, error, back_to=request.path)
    adopted = [backup for each in waiting[:SHOWN] if (backup := _adopted(request, storage, each.key))]
    ask_to_read(adopted)
    if adopted:
        messages.success(
            request,
            ngettext("{count} archive was adopted.", "{count} archives were adopted.", len(adopted)).format(
                count=len(adopted)
            ),
        )
        messages.info(request, str(UNREAD))
    elif not waiting:
        messages.info(request, _("Nothing was chosen."))
    return redirect(request.path)


def _is_wanted(found: Found, chosen: set[str], *, everything: bool) -> bool:
    return found.is_archive and not found.is_known and (everything or found.key in chosen)


def _adopted(request: HttpRequest, storage: Storage, key: str) -> Backup | None:
    try:
        return adopt(storage, key, actor=audit.from_request(request))
    except DbadminError as error:
        messages.error(request, f"{key}: {error}")
        return None


def _fetch(request: HttpRequest, storage: Storage) -> HttpResponse:
    if not request.user.has_perm("dbadmin.run_restore"):
        messages.error(request, _("Importing needs the right to restore."))
        return redirect(request.path)
    try:
        row = bring(storage, request.POST["fetch"], actor=audit.from_request(request))
    except DbadminError as error:
        return failed(request, error, back_to=reverse("storage-adopt", args=[storage.pk]))
    return redirect(row)
