"""What is said of a database besides its connection, and how it is taken off the dashboard."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from dbadmin.backups.coming_back import is_called, removed, removed_like
from dbadmin.forms.styles import Styled
from dbadmin.models import Application, Database

RESERVED_SLUGS = {"add"}


class DetailsForm(Styled, forms.ModelForm[Database]):
    """Name, application and limits. A new application is made by naming it."""

    new_application = forms.CharField(label=_("or a new application"), max_length=100, required=False)

    class Meta:
        model = Database
        fields = (
            "name", "slug", "application", "environment", "backup_age_hours", "restore_minutes", "facts_level",
            "facts_seconds", "labels", "site", "project_folder",
        )  # fmt: skip
        help_texts = {"slug": _("For addresses, commands and the storage folder. Empty: made of the names.")}

    field_order = (
        "name",
        "application",
        "new_application",
        "environment",
        "slug",
        "backup_age_hours",
        "restore_minutes",
        "facts_level",
        "facts_seconds",
        "labels",
        "site",
        "project_folder",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["application"].required = False
        self.fields["slug"].required = False
        for name in ("restore_minutes", "facts_level", "facts_seconds"):
            self.fields[name].required = False
        self.fields["slug"].disabled = bool(self.instance.pk) and self.instance.removed_at is None

    def clean(self) -> dict[str, Any]:
        """Need one application, and find a short name that is free."""
        data = super().clean() or {}
        if not data.get("application") and not data.get("new_application"):
            self.add_error("application", _("Choose the application, or name a new one."))
        if data.get("slug") in RESERVED_SLUGS:
            self.add_error("slug", _("This short name is taken by a page."))
        if not self.errors and not data.get("slug"):
            words = f"{data.get('new_application') or data['application']} {data['name']}"
            data["slug"] = self.instance.slug or self._free_slug(words)
        return data

    def clean_labels(self) -> str:
        """Write them one way, so that the same ones are given once."""
        words = self.cleaned_data["labels"].split(",")
        return ", ".join(dict.fromkeys(word.strip() for word in words if word.strip()))

    def clean_restore_minutes(self) -> int:
        """Keep what was, when nothing is given."""
        return int(self.cleaned_data["restore_minutes"] or self.instance.restore_minutes)

    def clean_facts_level(self) -> str:
        """Keep what was, when nothing is given."""
        return str(self.cleaned_data["facts_level"] or self.instance.facts_level)

    def clean_facts_seconds(self) -> int:
        """Keep what was, when nothing is given."""
        given = self.cleaned_data["facts_seconds"]
        return int(self.instance.facts_seconds if given is None else given)

    def coming_back(self, engine: str) -> Database | None:
        """Return the removed database that is meant: by its short name, or by its names where none is given."""
        if slug := self.data.get("slug", "").strip():
            return removed(slug)
        if not self.is_valid():
            return None
        application = self.cleaned_data["new_application"] or self.cleaned_data["application"].name
        return removed_like(name=self.cleaned_data["name"], application=application, engine=engine)

    def _free_slug(self, words: str) -> str:
        stem = slugify(words)[:44] or "database"
        taken = set(Database.objects.filter(slug__startswith=stem).values_list("slug", flat=True)) | RESERVED_SLUGS
        return next(name for n in range(1, len(taken) + 2) if (name := stem if n == 1 else f"{stem}-{n}") not in taken)

    def application(self) -> Application:
        """Return the chosen application, or the new one, which is made when it is missing."""
        name = self.cleaned_data["new_application"]
        if not name:
            chosen: Application = self.cleaned_data["application"]
            return chosen
        if found := next((each for each in Application.objects.all() if is_called(each, name)), None):
            return found
        stem = slugify(name)[:44] or "application"
        taken = set(Application.objects.filter(slug__startswith=stem).values_list("slug", flat=True))
        slug = next(each for n in range(1, len(taken) + 2) if (each := stem if n == 1 else f"{stem}-{n}") not in taken)
        return Application.objects.create(name=name, slug=slug)


class RemoveForm(Styled, forms.Form):
    """Taking a database off the dashboard: its name typed, and why."""

    name = forms.CharField(
        label=_("Type the name of the database"), widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    reason = forms.CharField(label=_("Reason"), max_length=500)

    def __init__(self, *args: Any, database: Database, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._database = database

    def clean_name(self) -> str:
        """Compare."""
        typed: str = self.cleaned_data["name"]
        if typed != self._database.name:
            raise ValidationError(_("This is not the name of the database."))
        return typed
