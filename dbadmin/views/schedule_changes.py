"""What is done with schedules: adding, changing, pausing, running now, removing."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from dbadmin import audit
from dbadmin.backups.judging import Judged
from dbadmin.backups.keys import unlike_keys
from dbadmin.choices import BackupState
from dbadmin.exceptions import DbadminError
from dbadmin.forms.meanwhile import Meanwhile
from dbadmin.forms.presets import schedule_preset
from dbadmin.forms.schedules import DestinationsForm, ScheduleForm
from dbadmin.forms.times import TimesForm, fields_of, places
from dbadmin.jobs.schedules import run_now, save_schedule, unheard_label
from dbadmin.judged import backed_up_by, let_go_by
from dbadmin.models import Database, Schedule, Storage
from dbadmin.upcoming import unmended
from dbadmin.views.access import requires
from dbadmin.views.failures import failed
from dbadmin.views.schedules import previewed


@requires("dbadmin.add_schedule")
@require_http_methods(["GET", "HEAD", "POST"])
def add(request: HttpRequest) -> HttpResponse:
    """Make a schedule. ``?template=`` fills the fields in, ``?database=`` is the one it is for."""
    initial = schedule_preset(request.GET.get("template", ""))
    if chosen := Database.objects.registered().filter(slug=request.GET.get("database", "")).first():
        initial |= {"target": "databases", "databases": [chosen.pk]}
    Storage.default()  # where there is none at all, one in the home folder is made
    return _edited(request, Schedule(), initial=initial, action="schedule.add")


@requires("dbadmin.change_schedule")
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a schedule. What was due before is left as it was."""
    found = get_object_or_404(Schedule, pk=pk)
    initial = fields_of(found.expression, found.time_zone)
    return _edited(request, found, initial=initial, action="schedule.change")


@requires("dbadmin.change_schedule")
@require_POST
def toggle(request: HttpRequest, pk: int) -> HttpResponse:
    """Pause it, or let it run again from now on; ``enabled`` says which, so that two clicks are not a third."""
    found = get_object_or_404(Schedule, pk=pk)
    enabled = request.POST.get("enabled") == "1"
    if found.enabled != enabled:
        found.enabled = enabled
        try:
            with transaction.atomic():
                save_schedule(found, timezone.now())
                audit.record(audit.from_request(request), "schedule.resume" if enabled else "schedule.pause", found)
        except DbadminError as error:
            return failed(request, error, back_to=found.get_absolute_url())
    said = (
        _("{name} runs again from now on.")
        if found.enabled
        else _("{name} is paused. Nothing runs until you resume it.")
    )
    messages.success(request, said.format(name=found))
    return _back(request, found)


@requires("dbadmin.run_backup")
@require_POST
def run(request: HttpRequest, pk: int) -> HttpResponse:
    """Run it now for all its databases, or with ``only=unmended`` for those whose newest run failed or was missed.

    Where that was asked for already and has not ended, there is nothing more to do.
    """
    found = get_object_or_404(Schedule, pk=pk)
    chosen = None
    if request.POST.get("only") == "unmended":
        chosen = [run.database for each in unmended() if each.schedule == found for run in each.runs]
        if not chosen:
            messages.info(request, _("Nothing of it is left to repeat."))
            return redirect(found)
    actor = audit.from_request(request)
    try:
        with transaction.atomic():
            runs = run_now(found, timezone.now(), actor=actor, databases=chosen)
            if runs:
                audit.record(actor, "schedule.run", found, only=request.POST.get("only", ""))
    except DbadminError as error:
        return failed(request, error, back_to=found.get_absolute_url())
    if runs:
        said = ngettext("Asked for {n} run.", "Asked for {n} runs.", len(runs))
        messages.success(request, said.format(n=len(runs)))
    else:
        messages.info(request, _("This is already under way for {name}; nothing more was started.").format(name=found))
    return redirect(found)


@requires("dbadmin.delete_schedule")
@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove a schedule and the record of its runs. Its backups stay."""
    found = get_object_or_404(Schedule, pk=pk)
    if request.method == "POST":
        with transaction.atomic():
            actor = audit.from_request(request)
            audit.record(actor, "schedule.remove", found, reason=request.POST.get("reason", ""))
            found.delete()
        messages.success(request, _("{name} is removed. Its backups are kept.").format(name=found.name))
        return redirect("schedules")
    context = {
        "schedule": found,
        "backups": found.backups.exclude(state=BackupState.DELETED).count(),
        "runs": found.runs.count(),
        "released": let_go_by(lambda: _fresh(found).delete(), backed_up_by(found), now=timezone.now()),
        "destinations": found.destinations.select_related("storage__retention"),
    }
    return render(request, "dbadmin/schedule_remove.html", context)


def _edited(request: HttpRequest, found: Schedule, *, initial: dict[str, Any], action: str) -> HttpResponse:
    """Show the form, preview what is in it, or save it."""
    data = request.POST or None
    form = ScheduleForm(data, instance=found, initial=initial)
    times = TimesForm(data, initial=initial)
    kind = request.POST.get("kind", "")
    destinations = DestinationsForm(data, schedule=found, kind=kind)
    only_preview = "preview" in request.POST
    is_right = data is not None and form.is_valid() & times.is_valid() & destinations.is_valid()
    released = _released(form, destinations) if is_right and not _is_seen(request, destinations) else []
    meanwhile = Meanwhile(data, form, times, destinations, leave_out=times.unused()) if found.pk else None
    is_set_back = meanwhile is not None and bool(meanwhile.changed)
    if is_right and not only_preview and not released and not is_set_back:
        return _saved(request, form, times, destinations, action=action)
    context = {
        "meanwhile": meanwhile,
        "released": released,
        "seen": destinations.fingerprint() if is_right else "",
        "schedule": Schedule.objects.filter(pk=found.pk).first() or found,
        "heading": _("Change {name}").format(name=form.initial["name"]) if found.pk else _("Add a schedule"),
        "form": form,
        "times": times,
        "destinations": destinations,
        "zones": places(),
        "labels": sorted({label for each in Database.objects.registered() for label in each.label_set}),
        "is_wrong": data is not None and not is_right and not only_preview,
    }
    return render(request, "dbadmin/schedule_form.html", context | previewed(times if data else _as_typed(times)))


def _released(form: ScheduleForm, destinations: DestinationsForm) -> list[Judged]:
    """Return the copies that go when other destinations or retentions are saved; a new schedule has none."""
    schedule = form.instance
    if not schedule.pk or not (destinations.changed_data or "kind" in form.changed_data):
        return []
    return let_go_by(lambda: destinations.save(schedule), backed_up_by(schedule), now=timezone.now())


def _is_seen(request: HttpRequest, destinations: DestinationsForm) -> bool:
    """Say whether the person has looked at what goes with these destinations."""
    return request.POST.get("seen", "") == destinations.fingerprint()


def _fresh(schedule: Schedule) -> Schedule:
    return Schedule.objects.get(pk=schedule.pk)


def _as_typed(times: TimesForm) -> TimesForm:
    """Return the form as it would be if its initial values had been typed."""
    return TimesForm({name: times.get_initial_for_field(field, name) for name, field in times.fields.items()})


def _saved(
    request: HttpRequest, form: ScheduleForm, times: TimesForm, destinations: DestinationsForm, *, action: str
) -> HttpResponse:
    table = times.timetable()
    with transaction.atomic():
        schedule: Schedule = form.save(commit=False)
        schedule.expression, schedule.time_zone = table.expression, table.zone
        save_schedule(schedule, timezone.now())
        form.save_m2m()
        destinations.save(schedule)
        changed = sorted({*form.changed_data, *times.changed_data, *destinations.changed_data})
        audit.record(audit.from_request(request), action, schedule, changed=changed, expression=table.expression)
    messages.success(request, _("{name} is saved.").format(name=schedule))
    if note := unheard_label(schedule):
        messages.info(request, str(note))
    if warning := unlike_keys(schedule):
        messages.warning(request, str(warning))
    return redirect(schedule)


def _back(request: HttpRequest, found: Schedule) -> HttpResponse:
    return redirect("schedules") if request.POST.get("back") == "list" else redirect(found)
