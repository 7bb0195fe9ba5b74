"""The filters above the lists. They are GET forms: every filtered list has an address."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.db.models import Model, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from dbadmin.backups.going import in_state
from dbadmin.choices import BackupState, CopyState, EngineName, JobKind, JobState, Scope, Verdict
from dbadmin.models import Application, AuditEvent, Backup, Database, Job


class DatabaseField(forms.ModelChoiceField[Database]):
    """A registered or removed database, named with its application."""

    def __init__(self) -> None:
        databases = Database.objects.select_related("application").only("name", "slug", "application__name")
        super().__init__(databases, to_field_name="slug", required=False, label=_("Database"), empty_label=_("All"))

    def label_from_instance(self, obj: Database) -> str:
        """Say whose it is: names repeat between applications."""
        return f"{obj.application} / {obj}"


def one_of(choices: Iterable[Any], label: Any) -> forms.ChoiceField:
    """Return a choice that may be left open."""
    return forms.ChoiceField(choices=[("", _("All")), *choices], required=False, label=label)


def day(label: Any) -> forms.DateField:
    """Return a date with the browser's own picker."""
    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    return forms.DateField(required=False, label=label, widget=widget)


class Filter(forms.Form):
    """A filter; what cannot be read is shown as an error and does not narrow the list."""

    time_field = ""

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="filter_%s")
        for field in self.fields.values():
            is_choice = isinstance(field, forms.ChoiceField)
            field.widget.attrs["class"] = "form-select" if is_choice else "form-control"
        self.is_valid()

    @property
    def is_narrowing(self) -> bool:
        """Say whether anything is left out."""
        return any(self.cleaned_data.get(name) for name in self.fields if name != "sort")

    def in_period(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Keep what lies between the two days, both included, in the reader's time zone."""
        since, until = self.cleaned_data.get("since"), self.cleaned_data.get("until")
        if since:
            rows = rows.filter(**{f"{self.time_field}__gte": _midnight(since)})
        if until:
            rows = rows.filter(**{f"{self.time_field}__lt": _midnight(until + timedelta(days=1))})
        return rows

    def equal(self, rows: QuerySet[Any], *names: str) -> QuerySet[Any]:
        """Keep rows whose columns have the chosen values."""
        return rows.filter(**{name: self.cleaned_data[name] for name in names if self.cleaned_data.get(name)})


class BackupFilter(Filter):
    """Which backups to list, and in which order."""

    application = forms.ModelChoiceField(
        Application.objects.all(), to_field_name="slug", required=False, label=_("Application"), empty_label=_("All")
    )
    database = DatabaseField()
    engine = one_of(EngineName.choices, _("Engine"))
    scope = one_of(Scope.choices, _("Scope"))
    state = one_of([*BackupState.choices, (CopyState.EXPIRING.value, CopyState.EXPIRING.label)], _("State"))
    since = day(_("From"))
    until = day(_("To"))
    text = forms.CharField(required=False, max_length=100, label=_("Key contains"))
    sort = forms.ChoiceField(
        required=False,
        label=_("Sort by"),
        choices=[
            ("", _("Newest first")),
            ("oldest", _("Oldest first")),
            ("largest", _("Largest first")),
            ("smallest", _("Smallest first")),
        ],
    )
    time_field = "finished_at"

    def apply(self, backups: QuerySet[Backup]) -> QuerySet[Backup]:
        """Return the backups that pass."""
        backups = self.equal(self.in_period(backups), "scope")
        if state := self.cleaned_data.get("state"):
            backups = in_state(backups, state)
        if any(self.cleaned_data.get(name) for name in ("application", "database", "engine")):
            backups = backups.filter(database__in=self._databases())
        if text := self.cleaned_data.get("text"):
            backups = backups.filter(pk__in=Backup.objects.order_by().filter(key__contains=text).values("pk"))
        return backups

    def _databases(self) -> list[int]:
        """Resolve to keys first: the list's index is by database, and a join would hide that from the planner."""
        databases = self.equal(Database.objects.order_by(), "application", "engine")
        chosen: Model | None = self.cleaned_data.get("database")
        if chosen:
            databases = databases.filter(pk=chosen.pk)
        return list(databases.values_list("pk", flat=True))


class JobFilter(Filter):
    """Which jobs to list."""

    kind = one_of(JobKind.choices, _("Kind"))
    state = one_of(JobState.choices, _("State"))
    database = DatabaseField()

    def apply(self, jobs: QuerySet[Job]) -> QuerySet[Job]:
        """Return the jobs that pass."""
        return self.equal(jobs, "kind", "state", "database")


class HealthFilter(Filter):
    """Which answers to show."""

    verdict = one_of(Verdict.choices, _("Verdict"))
    database = DatabaseField()


class MigrationFilter(Filter):
    """Whose migrations to show."""

    database = DatabaseField()


class AuditFilter(Filter):
    """Which events to list."""

    actor = forms.CharField(required=False, max_length=150, label=_("Actor"))
    action = forms.CharField(required=False, max_length=60, label=_("Action begins with"))
    object = forms.CharField(required=False, max_length=100, label=_("Object contains"))
    since = day(_("From"))
    until = day(_("To"))
    time_field = "at"

    def apply(self, events: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
        """Return the events that pass."""
        events = self.equal(self.in_period(events), "actor")
        if action := self.cleaned_data.get("action"):
            events = events.filter(action__startswith=action)
        if text := self.cleaned_data.get("object"):
            events = events.filter(object_label__icontains=text)
        return events


def _midnight(date: Any) -> datetime:
    return timezone.make_aware(datetime.combine(date, time.min))
