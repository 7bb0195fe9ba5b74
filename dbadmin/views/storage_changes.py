"""Adding a storage, changing it, testing it, taking it off the dashboard. None of these deletes an archive."""

from __future__ import annotations

from copy import copy
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from dbadmin import audit
from dbadmin.backups import storage_changes
from dbadmin.backups.judging import Judged
from dbadmin.exceptions import DbadminError
from dbadmin.forms.meanwhile import Meanwhile
from dbadmin.forms.storages import DetailsForm, RemoveForm, SettingsForm
from dbadmin.judged import let_go_by, stored_in
from dbadmin.models import Storage
from dbadmin.storages.checks import is_here
from dbadmin.storages.kinds import KINDS, LOCAL, find_kind
from dbadmin.views.access import requires
from dbadmin.views.failures import failed


@requires("dbadmin.add_storage")
@require_http_methods(["GET", "HEAD", "POST"])
def add(request: HttpRequest) -> HttpResponse:
    """Register a storage of the kind that ``?kind=`` names."""
    kind = KINDS.get(request.GET.get("kind", ""), LOCAL)
    new = Storage(kind=kind.name, is_offsite=kind.offsite)
    details = DetailsForm(request.POST or None, instance=new)
    described = SettingsForm(request.POST or None, kind=kind)
    context = {"details": details, "described": described, "kind": kind, "kinds": KINDS.values()}
    return _answer(request, "dbadmin/storage_add.html", context)


@requires("dbadmin.change_storage")
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a storage. Archives stay where they are, so the address changes only to where they can be seen."""
    found = get_object_or_404(Storage.objects.registered(), pk=pk)
    try:
        described = SettingsForm(request.POST or None, kind=find_kind(found.kind), stored=found)
    except DbadminError as error:  # there is no such kind any more
        return failed(request, error, back_to=found.get_absolute_url())
    details = DetailsForm(request.POST or None, instance=copy(found))
    meanwhile = Meanwhile(request.POST or None, details, described)
    context = {"storage": found, "details": details, "described": described, "meanwhile": meanwhile}
    return _answer(request, "dbadmin/storage_edit.html", context)


@requires("dbadmin.run_backup")
@require_POST
def test(request: HttpRequest, pk: int) -> HttpResponse:
    """Try everything that backups need of a storage, show each stage, and keep the verdict."""
    found = get_object_or_404(Storage, pk=pk)
    audit.record(audit.from_request(request), "storage.test", found)
    template = "dbadmin/_probe.html" if "HX-Request" in request.headers else "dbadmin/storage_test.html"
    try:
        tested: dict[str, Any] = {"info": storage_changes.check(found)}
    except DbadminError as error:
        tested = {"error": error}
    return render(request, template, {"storage": found} | tested)


@requires("dbadmin.change_storage")
@require_POST
def default(request: HttpRequest, pk: int) -> HttpResponse:
    """Let backups that name no storage go here."""
    found = get_object_or_404(Storage, pk=pk)
    try:
        storage_changes.make_default(found, actor=audit.from_request(request))
    except DbadminError as error:
        return failed(request, error, back_to=found.get_absolute_url())
    messages.success(request, _("Backups that name no storage go to {name} now.").format(name=found))
    return redirect(found)


@requires("dbadmin.delete_storage")
@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a storage off the dashboard, unless something still writes to it."""
    found = get_object_or_404(Storage.objects.registered(), pk=pk)
    form = RemoveForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            storage_changes.remove(found, actor=audit.from_request(request), reason=form.cleaned_data["reason"])
        except DbadminError as error:
            messages.error(request, str(error))
        else:
            messages.success(request, _("{name} is off the dashboard. Its archives are kept.").format(name=found))
            return redirect("storages")
    context = {
        "storage": found,
        "form": form,
        "destinations": found.destinations.select_related("schedule"),
        "archives": storage_changes.only_here(found),
    }
    return render(request, "dbadmin/storage_remove.html", context)


@requires("dbadmin.add_storage")
@require_POST
def put_back(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a removed storage again, unless another is at its place by now."""
    found = get_object_or_404(Storage, pk=pk)
    try:
        storage_changes.put_back(found, actor=audit.from_request(request))
    except DbadminError as error:
        return failed(request, error, back_to=found.get_absolute_url())
    messages.success(request, _("{name} is on the dashboard again.").format(name=found))
    return redirect(found)


def _answer(request: HttpRequest, page: str, context: dict[str, Any]) -> HttpResponse:
    details, described = context["details"], context["described"]
    if request.method == "POST" and "test" in request.POST:
        context["tested"] = True
        if described.is_valid():
            context |= _tried(described)
        return render(request, "dbadmin/_storage_tried.html" if "HX-Request" in request.headers else page, context)
    if request.method == "POST" and described.is_valid() & details.is_valid():
        context |= {"released": _released(request, details, described), "seen": _chosen_retention(details)}
        if context["released"] or ("meanwhile" in context and context["meanwhile"].changed):
            return render(request, page, context)
        try:
            return _saved(request, details, described)
        except DbadminError as error:
            context["refused"] = error
    return render(request, page, context)


def _released(request: HttpRequest, details: DetailsForm, described: SettingsForm) -> list[Judged]:
    """Return the copies that go by a newly chosen retention, until somebody has looked at them."""
    stored, chosen = described.stored, _chosen_retention(details)
    if stored is None or "retention" not in details.changed_data or request.POST.get("seen") == chosen:
        return []
    same = Storage.objects.filter(pk=stored.pk)
    return let_go_by(lambda: same.update(retention=chosen or None), stored_in(stored), now=timezone.now())


def _chosen_retention(details: DetailsForm) -> str:
    retention = details.cleaned_data.get("retention")
    return str(retention.pk) if retention else ""


def _tried(described: SettingsForm) -> dict[str, Any]:
    """Try what the form describes, without saving anything."""
    kind, settings, secrets = described.kind.name, described.settings, described.secrets
    try:
        return {"info": storage_changes.try_out(kind, settings, secrets, stored=described.stored)}
    except DbadminError as error:
        return {"error": error}


def _saved(request: HttpRequest, details: DetailsForm, described: SettingsForm) -> HttpResponse:
    """Store both forms; ``DbadminError`` where archives would be lost sight of, or another storage is already."""
    stored = described.stored
    if stored is not None:
        storage_changes.require_in_sight(stored, described.settings, described.secrets)
    place = stored or Storage(kind=described.kind.name)
    storage_changes.require_own_place(place, described.settings, described.secrets)
    with transaction.atomic():
        storage: Storage = details.save(commit=False)
        storage.settings, storage.secrets = described.settings, described.secrets
        storage.is_default = storage.is_default or (stored is None and Storage.is_first())
        storage.save()
        details.save_m2m()
        changed = sorted({*details.changed_data, *described.changed_data})
        action = "storage.change" if stored else "storage.add"
        audit.record(audit.from_request(request), action, storage, kind=storage.kind, changed=changed)
    messages.success(request, _("{name} is saved.").format(name=storage))
    if storage.is_offsite and is_here(storage.settings):
        said = _(
            "By its address {name} is on this machine. Untick “in another place”, unless a tunnel leads elsewhere."
        )
        messages.warning(request, said.format(name=storage))
    return redirect(storage)
