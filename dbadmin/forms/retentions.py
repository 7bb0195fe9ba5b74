"""What a retention keeps."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from dbadmin.forms.styles import Styled
from dbadmin.forms.times import known_zone
from dbadmin.models import Retention
from dbadmin.templatetags.schedules import RULES


class RetentionForm(Styled, forms.ModelForm[Retention]):
    """Rules as numbers; an empty one is none."""

    class Meta:
        model = Retention
        fields = ("name", *RULES, "minimum", "time_zone")
        labels = {
            "last": _("The newest (backups)"),
            "within_days": _("All of the last (days)"),
            "hourly": _("One of each hour, for (hours)"),
            "daily": _("One of each day, for (days)"),
            "weekly": _("One of each week, for (weeks)"),
            "monthly": _("One of each month, for (months)"),
            "yearly": _("One of each year, for (years)"),
            "minimum": _("Never fewer than (backups)"),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in RULES:
            self.fields[name].required = False
        self.fields["time_zone"].widget.attrs |= {"list": "zones", "autocomplete": "off", "spellcheck": "false"}

    def clean(self) -> dict[str, Any]:
        """Take what is left empty for no rule."""
        data = super().clean() or {}
        for name in RULES:
            if data.get(name) is None and name not in self.errors:
                data[name] = 0
        return data

    def fingerprint(self) -> str:
        """Name the rules of a valid form, to tell whether they are those that somebody has looked at."""
        return "~".join(str(self.cleaned_data[name]) for name in (*RULES, "minimum", "time_zone"))

    def clean_minimum(self) -> int:
        """Never let the last one go."""
        given = int(self.cleaned_data["minimum"])
        if given < 1:
            raise forms.ValidationError(_("At least one good backup stays, always."))
        return given

    def clean_time_zone(self) -> str:
        """Need a name that is known."""
        return known_zone(self.cleaned_data["time_zone"])
