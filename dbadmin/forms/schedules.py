"""What a schedule does, of which databases and to which storages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from dbadmin.choices import ScheduleKind, ScheduleTarget
from dbadmin.forms.styles import RowsField, Styled
from dbadmin.models import Database, Destination, Retention, Schedule, Storage

FOLDED = (
    "start_window_minutes",
    "catch_up",
    "overlap",
    "retries",
    "retry_minutes",
    "deadline_minutes",
)
NEEDS = {
    ScheduleTarget.DATABASES: ("databases", _("Choose at least one database.")),
    ScheduleTarget.APPLICATION: ("application", _("Choose the application.")),
    ScheduleTarget.LABEL: ("label", _("Write the label.")),
}


class DatabasesField(RowsField[Database]):
    """Registered databases, named with their application."""

    def label_from_instance(self, obj: Database) -> str:
        """Say whose it is: names repeat between applications."""
        return f"{obj.application} / {obj}"


class ScheduleForm(Styled, forms.ModelForm[Schedule]):
    """What and of what; what is rarely changed has its defaults, also when a request leaves it out."""

    databases = DatabasesField(
        label=_("Databases"),
        queryset=Database.objects.registered().select_related("application"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    class Meta:
        model = Schedule
        fields = ("name", "kind", "scope", "drill_kind", "target", "databases", "application", "label", *FOLDED)
        help_texts = {"label": _("Labels are given to databases on their settings page.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in (*FOLDED, "scope", "drill_kind"):
            self.fields[name].required = False
        self.fields["label"].widget.attrs["list"] = "labels"

    @property
    def folded(self) -> list[forms.BoundField]:
        """The fields that are rarely changed."""
        return [self[name] for name in FOLDED]

    @property
    def is_folded_wrong(self) -> bool:
        """Say whether one of them has an error, so that it has to be seen."""
        return any(name in self.errors for name in FOLDED)

    def clean(self) -> dict[str, Any]:
        """Need what the target needs; keep what was, where nothing is given."""
        data = super().clean() or {}
        name, message = NEEDS.get(data.get("target", ""), ("", ""))
        if name and not data.get(name) and name not in self.errors:
            self.add_error(name, message)
        for name in (*FOLDED, "scope", "drill_kind"):
            if data.get(name) in (None, ""):
                data[name] = getattr(self.instance, name)
        return data


class DestinationsForm(forms.Form):
    """One row per storage: whether archives go there, and how long they stay."""

    def __init__(self, data: Any = None, *, schedule: Schedule, kind: str) -> None:
        super().__init__(data)
        self._is_needed = kind == ScheduleKind.BACKUP
        chosen = {each.storage_id: each.retention_id for each in schedule.destinations.all()} if schedule.pk else {}
        shown = Q(removed_at=None) | Q(pk__in=chosen)
        self._storages = list(Storage.objects.filter(shown).select_related("retention"))
        retentions = Retention.objects.all()
        for storage in self._storages:
            is_used = storage.pk in chosen if schedule.pk else storage.is_default
            self.fields[f"storage_{storage.pk}"] = forms.BooleanField(
                label=storage.name,
                required=False,
                initial=is_used,
                widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
            )
            self.fields[f"retention_{storage.pk}"] = forms.ModelChoiceField(
                retentions,
                label=gettext("Retention in {storage}").format(storage=storage.name),
                required=False,
                initial=chosen.get(storage.pk),
                empty_label=gettext("As the storage says: {retention}").format(
                    retention=storage.retention or gettext("for ever")
                ),
                widget=forms.Select(attrs={"class": "form-select"}),
            )

    @property
    def rows(self) -> list[tuple[Storage, forms.BoundField, forms.BoundField]]:
        """Storage, whether it is used, and its retention."""
        return [(each, self[f"storage_{each.pk}"], self[f"retention_{each.pk}"]) for each in self._storages]

    def clean(self) -> dict[str, Any]:
        """Need a place for backups."""
        data = super().clean() or {}
        if self._is_needed and not any(data.get(f"storage_{each.pk}") for each in self._storages):
            raise forms.ValidationError(_("Choose at least one storage for the archives."))
        return data

    def fingerprint(self) -> str:
        """Name the choices of a valid form, to tell whether they are those that somebody has looked at."""
        return "~".join(f"{name}={getattr(value, 'pk', value)}" for name, value in sorted(self.cleaned_data.items()))

    def save(self, schedule: Schedule) -> None:
        """Make the destinations what was chosen. Archives stay where they are."""
        used = [each for each in self._storages if self._is_needed and self.cleaned_data[f"storage_{each.pk}"]]
        schedule.destinations.exclude(storage__in=used).delete()
        for storage in used:
            retention = self.cleaned_data[f"retention_{storage.pk}"]
            Destination.objects.update_or_create(schedule=schedule, storage=storage, defaults={"retention": retention})
