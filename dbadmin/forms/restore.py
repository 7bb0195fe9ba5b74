"""Where a backup is restored to."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from dbadmin.backups.naming import proposed_name
from dbadmin.choices import EngineName
from dbadmin.forms.filters import DatabaseField
from dbadmin.models import Backup, Database


class RestoreForm(forms.Form):
    """The second step of the wizard; the third looks ahead, the fourth starts."""

    server = DatabaseField()
    target = forms.CharField(label=_("Name of the new copy"), max_length=200)
    keep_owners = forms.BooleanField(
        label=_("Restore owners and grants"),
        required=False,
        initial=True,
        help_text=_("Needs the same roles on the server."),
    )

    def __init__(self, data: Any, *, backup: Backup) -> None:
        super().__init__(data, initial={"server": backup.database.slug, "target": proposed_name(backup)})
        engine = EngineName(backup.database.engine)
        self.fields["server"].queryset = (
            Database.objects.registered().filter(engine=engine).select_related("application")
        )  # type: ignore[attr-defined]
        self.fields["server"].label = (
            _("On the same server as") if engine == "postgresql" else _("In the same folder as")
        )
        self.fields["server"].required = True
        self.fields["server"].empty_label = None  # type: ignore[attr-defined]
        if engine != EngineName.POSTGRESQL:
            del self.fields["keep_owners"]
        for name, field in self.fields.items():
            field.widget.attrs["class"] = {"server": "form-select", "target": "form-control"}.get(
                name, "form-check-input"
            )
        self.fields["target"].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}

    @property
    def keeps_owners(self) -> bool:
        """Say whether owners are wanted; engines without owners keep what there is."""
        return bool(self.cleaned_data.get("keep_owners", True))
