"""What most installations want, one button each: values that the forms of a new schedule or retention begin with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from dbadmin.choices import ScheduleTarget
from dbadmin.forms.times import fields_of
from dbadmin.timetable import TEMPLATES


@dataclass(frozen=True, kw_only=True)
class Preset:
    """``key`` stands in the address; ``initial`` are the values of the fields."""

    key: str
    label: Promise | str
    initial: Mapping[str, Any]


SHORTER = {"hourly": _("Hourly full backup")}
RETENTIONS = (
    Preset(
        key="tiers",
        label=_("7 days, 8 weeks, 12 months"),
        initial={"name": _("7 days, 8 weeks, 12 months"), "daily": 7, "weekly": 8, "monthly": 12, "minimum": 3},
    ),
    Preset(key="week", label=_("All of 7 days"), initial={"name": _("All of 7 days"), "within_days": 7, "minimum": 3}),
    Preset(
        key="dense",
        label=_("24 hours, 30 days, 12 months"),
        initial={"name": _("24 hours, 30 days, 12 months"), "hourly": 24, "daily": 30, "monthly": 12, "minimum": 3},
    ),
    Preset(key="newest", label=_("The newest 10"), initial={"name": _("The newest 10"), "last": 10, "minimum": 3}),
)


def retention_preset(key: str) -> dict[str, Any]:
    """Return the values of a preset; none for a key that names nothing."""
    return next((dict(each.initial) for each in RETENTIONS if each.key == key), {})


def schedule_preset(key: str) -> dict[str, Any]:
    """Return the values of all fields of a usual schedule; none for a key that names nothing."""
    found = next((each for each in TEMPLATES if each.name == key), None)
    if found is None:
        return {}
    chosen = {"kind": found.kind, "scope": found.scope, "drill_kind": found.drill_kind}
    return (
        {"name": SHORTER.get(key, str(found.label)), "target": ScheduleTarget.ALL}
        | chosen
        | fields_of(found.expression)
    )
