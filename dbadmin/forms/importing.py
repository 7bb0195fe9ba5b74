"""Where an imported file goes."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from django import forms
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from dbadmin.choices import EngineName
from dbadmin.forms.filters import DatabaseField
from dbadmin.models import Database, Import


class ImportForm(forms.Form):
    """A registered database beside which the new one is made, and its name."""

    target = forms.CharField(label=_("Name of the new database"), max_length=200)
    keep_owners = forms.BooleanField(
        label=_("Take over owners and grants"), required=False, help_text=_("Needs the same roles on the server.")
    )
    field_order = ("server", "target", "keep_owners")

    def __init__(self, data: Any, *, row: Import) -> None:
        super().__init__(data, initial={"target": proposed(row)})
        is_server = row.engine == EngineName.POSTGRESQL
        field = DatabaseField()
        field.queryset = Database.objects.registered().filter(engine=row.engine).select_related("application")
        field.label = _("On the same server as") if is_server else _("In the same folder as")
        field.required, field.empty_label = True, None
        self.fields["server"] = field
        self.order_fields(self.field_order)
        if not is_server:
            del self.fields["keep_owners"]
        for name, css in (("server", "form-select"), ("target", "form-control"), ("keep_owners", "form-check-input")):
            if name in self.fields:
                self.fields[name].widget.attrs["class"] = css
        self.fields["target"].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}


def proposed(row: Import) -> str:
    """Return a name made of the file's, fit for every engine."""
    stem = slugify(PurePath(row.file_name).name.partition(".")[0]).replace("-", "_")[:50] or "imported"
    return f"{stem}.sqlite3" if row.engine == EngineName.SQLITE else stem
