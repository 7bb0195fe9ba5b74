"""What restored copies of a database have to answer."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from dbadmin.choices import AssertionKind
from dbadmin.forms.styles import Styled
from dbadmin.forms.times import known_zone
from dbadmin.models import Assertion


class AssertionForm(Styled, forms.ModelForm[Assertion]):
    """A query and what its answer has to be."""

    class Meta:
        model = Assertion
        fields = ("name", "kind", "sql", "max_age_hours", "minimum", "maximum", "expected", "time_zone")
        widgets = {"sql": forms.Textarea(attrs={"rows": 3, "spellcheck": "false"})}

    def clean(self) -> dict[str, Any]:
        """Need what the kind compares with."""
        data = super().clean() or {}
        kind = data.get("kind")
        if kind == AssertionKind.FRESHNESS and data.get("max_age_hours") is None:
            self.add_error("max_age_hours", _("Say how old the newest may be."))
        if kind == AssertionKind.COUNT and data.get("minimum") is None and data.get("maximum") is None:
            self.add_error("minimum", _("Give at least one bound."))
        return data

    def clean_time_zone(self) -> str:
        """Need a name that is known."""
        return known_zone(self.cleaned_data["time_zone"])
