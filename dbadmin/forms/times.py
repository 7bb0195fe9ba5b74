"""The moments of a schedule: simple fields or a cron expression, in a time zone."""

from __future__ import annotations

import re
from datetime import time
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from dbadmin.exceptions import ValidationFailed
from dbadmin.forms.styles import Styled
from dbadmin.timetable import Timetable, from_simple, to_simple, zones

EVERY = [
    ("hour", _("Every hour")),
    ("day", _("Every day")),
    ("week", _("Every week")),
    ("month", _("Every month")),
    ("cron", _("Cron expression")),
]
WEEKDAYS = [
    ("1", _("Monday")),
    ("2", _("Tuesday")),
    ("3", _("Wednesday")),
    ("4", _("Thursday")),
    ("5", _("Friday")),
    ("6", _("Saturday")),
    ("0", _("Sunday")),
]
DAYS = [*((str(day), str(day)) for day in range(1, 32)), ("L", _("the last"))]
# What each of the simple ways needs; the cron expression is what they all become.
NEEDS = {
    "hour": ("minute",),
    "day": ("time",),
    "week": ("weekdays", "time"),
    "month": ("day", "time"),
    "cron": ("expression",),
}
SOME_WEEKDAYS = re.compile(r"(?P<minute>\d+) (?P<hour>\d+) \* \* (?P<days>[0-6](,[0-6])+|1-5|MON-FRI)")


class TimesForm(Styled, forms.Form):
    """When. ``cron()`` is the expression, whichever way it was given."""

    every = forms.ChoiceField(label=_("How often"), choices=EVERY, widget=forms.RadioSelect, initial="day")
    minute = forms.IntegerField(label=_("At minute"), min_value=0, max_value=59, required=False, initial=15)
    weekdays = forms.MultipleChoiceField(
        label=_("On these days"),
        choices=WEEKDAYS,
        widget=forms.CheckboxSelectMultiple,
        required=False,
        initial=["0"],
    )
    day = forms.ChoiceField(
        label=_("On day of the month"),
        choices=DAYS,
        required=False,
        initial="1",
        help_text=_("Months without this day are left out."),
    )
    time = forms.TimeField(
        label=_("At what time"),
        required=False,
        initial=time(3),
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
    )
    expression = forms.CharField(
        label=_("Cron expression"),
        max_length=100,
        required=False,
        initial="0 3 * * *",
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off", "autocapitalize": "off"}),
        help_text=_("Minute, hour, day of the month, month, day of the week."),
    )
    time_zone = forms.CharField(
        label=_("Time zone"),
        max_length=60,
        initial=timezone.get_current_timezone_name,
        widget=forms.TextInput(attrs={"list": "zones", "autocomplete": "off", "spellcheck": "false"}),
    )

    def clean(self) -> dict[str, Any]:
        """Need what the chosen way needs, and moments that come."""
        data = super().clean() or {}
        needed = NEEDS.get(data.get("every", ""), ())
        for name in needed:
            if data.get(name) in (None, "", []) and name not in self.errors:
                self.add_error(name, MISSING[name])
        if not self.errors:
            try:
                self.timetable()
            except ValidationFailed as error:
                self.add_error(needed[0], str(error))
        return data

    def clean_time_zone(self) -> str:
        """Need a name that is known."""
        return known_zone(self.cleaned_data["time_zone"])

    def unused(self) -> set[str]:
        """Return the fields that neither what is stored nor what was sent has a use for."""
        ways = (self["every"].initial, self["every"].value())
        used = {name for way in ways for name in NEEDS.get(str(way), ())}
        return self.fields.keys() - used - {"every", "time_zone"}

    def timetable(self) -> Timetable:
        """Return what a valid form says. ``ValidationFailed`` where a cron expression means nothing."""
        return Timetable(self._expression(), self.cleaned_data["time_zone"])

    def _expression(self) -> str:
        data = self.cleaned_data
        if data["every"] == "cron":
            return str(data["expression"])
        at = f"{data['time'] or time(0):%H:%M}"
        if data["every"] != "week":
            return from_simple(every=data["every"], time=at, day=data["day"] or "1", minute=data["minute"] or 0)
        return from_simple(every="day", time=at).removesuffix("*") + ",".join(data["weekdays"])


MISSING = {
    "minute": _("Say at which minute."),
    "time": _("Say at what time."),
    "weekdays": _("Choose at least one day of the week."),
    "day": _("Choose the day of the month."),
    "expression": _("Write the cron expression."),
}


def fields_of(expression: str, time_zone: str = "") -> dict[str, Any]:
    """Return what the fields of the form show for an expression: the simple way where one says the same."""
    shown: dict[str, Any] = {"expression": expression, "every": "cron"}
    if time_zone:
        shown["time_zone"] = time_zone
    if simple := to_simple(expression):
        shown |= {"every": simple.every, "minute": simple.minute, "day": simple.day}
        shown |= {"time": time.fromisoformat(simple.time), "weekdays": [str(simple.weekday)]}
    elif some := SOME_WEEKDAYS.fullmatch(expression):
        days = some["days"].split(",") if "," in some["days"] else list("12345")
        shown |= {"every": "week", "time": time(int(some["hour"]), int(some["minute"])), "weekdays": days}
    return shown


def known_zone(name: str) -> str:
    """Return it without blanks around it; ``ValidationError`` when this machine knows no such time zone."""
    if (found := name.strip()) not in zones():
        raise forms.ValidationError(_("There is no such time zone. Write one such as Asia/Tokyo or UTC."))
    return found


def places() -> list[str]:
    """Return the names of the time zones that a person would look for."""
    return ["UTC", *(name for name in zones() if "/" in name and not name.startswith(("Etc/", "posix/", "right/")))]
