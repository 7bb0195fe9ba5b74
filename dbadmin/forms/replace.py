"""What is replaced by a backup, and the name that has to be typed for it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from dbadmin.backups.replace import KEEP_HOURS, LONGEST_HOURS
from dbadmin.choices import EngineName
from dbadmin.forms.filters import DatabaseField
from dbadmin.models import Backup, Database

CSS = {"database": "form-select", "keep_hours": "form-control", "keep_owners": "form-check-input"}


class ReplaceForm(forms.Form):
    """Which database, and for how long the way back is kept."""

    keep_hours = forms.IntegerField(
        label=_("Keep the way back (hours)"),
        min_value=1,
        max_value=LONGEST_HOURS,
        help_text=_("The replaced database takes its space for so long; then it is removed."),
    )
    keep_owners = forms.BooleanField(
        label=_("Restore owners and grants"),
        required=False,
        initial=True,
        help_text=_("Needs the same roles on the server."),
    )

    def __init__(self, data: Any, *, backup: Backup) -> None:
        super().__init__(data, initial={"database": backup.database.slug, "keep_hours": KEEP_HOURS})
        fitting = Database.objects.registered().filter(engine=backup.database.engine)
        field = DatabaseField()
        field.queryset = fitting.select_related("application")
        field.label, field.required, field.empty_label = _("Database to replace"), True, None
        self.fields["database"] = field
        self.order_fields(["database", "keep_hours", "keep_owners"])
        if backup.database.engine != EngineName.POSTGRESQL:
            del self.fields["keep_owners"]
        for name in self.fields:
            self.fields[name].widget.attrs["class"] = CSS[name]

    @property
    def params(self) -> dict[str, Any]:
        """Return the job's parameters that come of this form."""
        keeps_owners = bool(self.cleaned_data.get("keep_owners", True))
        return {"keep_hours": self.cleaned_data["keep_hours"], "keep_owners": keeps_owners}


class ConfirmForm(forms.Form):
    """The name of what is going to be replaced, typed."""

    confirm = forms.CharField(max_length=100, strip=True)

    def __init__(self, data: Any, *, database: Database) -> None:
        super().__init__(data)
        self._database = database

    def clean_confirm(self) -> str:
        """Compare it."""
        typed: str = self.cleaned_data["confirm"]
        if typed != self._database.name:
            raise forms.ValidationError(_("That is not its name: nothing was started."))
        return typed


class TablesForm(forms.Form):
    """Which tables come beside the live ones."""

    tables = forms.MultipleChoiceField(label=_("Tables"), widget=forms.CheckboxSelectMultiple)

    def __init__(self, data: Any, *, backup: Backup) -> None:
        super().__init__(data)
        held = backup.measured().tables
        field = self.fields["tables"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(name, f"{name} ({rows:,})") for name, rows in sorted(held.items())]
        field.widget.attrs["class"] = "form-check-input"
