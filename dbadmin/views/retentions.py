"""Retentions: what is kept, for how long, who uses it, and what would go."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from dbadmin import audit
from dbadmin.exceptions import DbadminError
from dbadmin.forms.meanwhile import Meanwhile
from dbadmin.forms.presets import RETENTIONS, retention_preset
from dbadmin.forms.retentions import RetentionForm
from dbadmin.forms.times import places
from dbadmin.judged import Outlook, outlook
from dbadmin.models import Database, Destination, Retention, Storage
from dbadmin.views.access import requires


@requires("dbadmin.view_retention")
@require_safe
def retentions(request: HttpRequest) -> HttpResponse:
    """List the retentions with who uses them."""
    rows = Retention.objects.annotate(
        schedule_count=Count("destinations__schedule", distinct=True), storage_count=Count("storages", distinct=True)
    )
    return render(request, "dbadmin/retentions.html", {"rows": rows, "presets": RETENTIONS})


@requires("dbadmin.view_retention")
@require_safe
def retention(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a retention, who uses it, and what it would let go now."""
    found = get_object_or_404(Retention, pk=pk)
    context = {"retention": found, "users": _users(found)} | _outlook(found, request.GET)
    return render(request, "dbadmin/retention.html", context)


@requires("dbadmin.add_retention")
@require_http_methods(["GET", "HEAD", "POST"])
def add(request: HttpRequest) -> HttpResponse:
    """Make a retention. ``?preset=`` fills the fields in."""
    initial = retention_preset(request.GET.get("preset", ""))
    return _edited(request, Retention(), initial=initial, action="retention.add")


@requires("dbadmin.change_retention")
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a retention."""
    return _edited(request, get_object_or_404(Retention, pk=pk), initial={}, action="retention.change")


@requires("dbadmin.delete_retention")
@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove a retention that nothing uses."""
    found = get_object_or_404(Retention, pk=pk)
    users = _users(found)
    if request.method == "POST" and not any(users.values()):
        with transaction.atomic():
            actor = audit.from_request(request)
            audit.record(actor, "retention.remove", found, reason=request.POST.get("reason", ""))
            found.delete()
        messages.success(request, _("{name} is removed.").format(name=found.name))
        return redirect("retentions")
    context = {"retention": found, "users": users, "is_used": any(users.values())}
    return render(request, "dbadmin/retention_remove.html", context)


def _users(found: Retention) -> dict[str, QuerySet[Any]]:
    """Return what would be judged by it: destinations of schedules, and storages for all other backups."""
    return {
        "destinations": Destination.objects.filter(retention=found).select_related("schedule", "storage"),
        "storages": Storage.objects.filter(retention=found),
    }


def _outlook(retention: Retention, params: QueryDict) -> dict[str, Any]:
    """Say what it would do, or why that cannot be said."""
    chosen = {name: params.get(name, "") for name in ("database", "show")}
    context = chosen | {"databases": Database.objects.registered().select_related("application")}
    try:
        return context | {"outlook": outlook(retention, now=timezone.now(), **chosen)}
    except DbadminError as error:
        return context | {"error": error}


def _lets_go(future: Outlook | None) -> bool:
    return future is not None and not future.is_trial and bool(future.going or future.postponed)


def _edited(request: HttpRequest, found: Retention, *, initial: dict[str, Any], action: str) -> HttpResponse:
    """Show the form, preview what is in it, or save it. What lets backups go is shown before it is saved."""
    name = found.name
    form = RetentionForm(request.POST or None, instance=found, initial=initial)
    meanwhile = Meanwhile(request.POST or None, form) if found.pk else None
    context = {
        "meanwhile": meanwhile,
        "pk": found.pk,
        "heading": _("Change {name}").format(name=name) if name else _("Add a retention"),
        "form": form,
        "zones": places(),
    }
    if request.method == "POST" and form.is_valid():
        shown = _outlook(found, request.POST)
        is_warning = _lets_go(shown.get("outlook")) and request.POST.get("seen") != form.fingerprint()
        is_set_back = meanwhile is not None and bool(meanwhile.changed)
        if "preview" not in request.POST and not is_warning and not is_set_back:
            return _saved(request, form, action)
        context |= shown | {"seen": form.fingerprint(), "is_warning": is_warning and "preview" not in request.POST}
    return render(request, "dbadmin/retention_form.html", context)


def _saved(request: HttpRequest, form: RetentionForm, action: str) -> HttpResponse:
    with transaction.atomic():
        saved = form.save()
        rules = {name: value for name, value in form.cleaned_data.items() if name != "name"}
        audit.record(audit.from_request(request), action, saved, changed=sorted(form.changed_data), **rules)
    messages.success(request, _("{name} is saved.").format(name=saved))
    return redirect("retention", pk=saved.pk)
