"""Where a backup is restored to."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from dbadmin.backups.naming import proposed_name
from dbadmin.choices import EngineName
from dbadmin.forms.filters import DatabaseField
from dbadmin.models import Backup, Database, Storage
from dbadmin.models.backup import HELD


class RestoreForm(forms.Form):
    """The second step of the wizard; the third looks ahead, the fourth starts."""

    target = forms.CharField(label=_("Name of the new copy"), max_length=200)
    storage = forms.ModelChoiceField(
        Storage.objects.none(), label=_("Read from"), required=False, empty_label=_("The best copy that can be read")
    )
    keep_owners = forms.BooleanField(
        label=_("Restore owners and grants"),
        required=False,
        initial=True,
        help_text=_("Needs the same roles on the server."),
    )
    field_order = ("server", "target", "storage", "keep_owners")

    def __init__(self, data: Any, *, backup: Backup) -> None:
        super().__init__(data, initial={"server": backup.database.slug, "target": proposed_name(backup)})
        self.fields["server"] = _server(backup)
        self.order_fields(self.field_order)
        held = Storage.objects.filter(copies__backup=backup, copies__state__in=HELD)
        self.fields["storage"].queryset = held  # type: ignore[attr-defined]
        if len(held) < 2:
            del self.fields["storage"]
        if backup.database.engine != EngineName.POSTGRESQL:
            del self.fields["keep_owners"]
        classes = {"server": "form-select", "storage": "form-select", "keep_owners": "form-check-input"}
        for name, css in (classes | {"target": "form-control"}).items():
            if name in self.fields:
                self.fields[name].widget.attrs["class"] = css
        self.fields["target"].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}

    @property
    def keeps_owners(self) -> bool:
        """Say whether owners are wanted; engines without owners keep what there is."""
        return bool(self.cleaned_data.get("keep_owners", True))


def _server(backup: Backup) -> DatabaseField:
    """Any registered database of the same kind: the copy is made beside it."""
    field = DatabaseField()
    fitting = Database.objects.registered().filter(engine=backup.database.engine)
    field.queryset = fitting.select_related("application")
    is_server = backup.database.engine == EngineName.POSTGRESQL
    field.label = _("On the same server as") if is_server else _("In the same folder as")
    field.required, field.empty_label = True, None
    if not fitting.exists():
        field.help_text = _("No database of this kind is registered. Add one, or restore with manage.py restore run.")
    return field
