"""What the trail knows of an event beside its columns, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template
from django.db.models import TextChoices
from django.template.defaultfilters import filesizeformat
from django.utils.dateparse import parse_datetime
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dbadmin.choices import ComparisonState, DrillKind, DrillState, RestoreState, Scope
from dbadmin.models import AuditEvent

register = template.Library()
NAMES: Mapping[str, Any] = {
    "adopted": gettext_lazy("adopted"),
    "backup": gettext_lazy("backup"),
    "changed": gettext_lazy("changed"),
    "content": gettext_lazy("every row"),
    "copy": gettext_lazy("copy"),
    "database": gettext_lazy("database"),
    "deadline_minutes": gettext_lazy("at most minutes"),
    "delete": gettext_lazy("deletes what is gone"),
    "differences": gettext_lazy("differences"),
    "engine": gettext_lazy("engine"),
    "expression": gettext_lazy("cron expression"),
    "file": gettext_lazy("file"),
    "files": gettext_lazy("files"),
    "how": gettext_lazy("how"),
    "import": gettext_lazy("import"),
    "job": gettext_lazy("job"),
    "keep_hours": gettext_lazy("way back for hours"),
    "keep_owners": gettext_lazy("with owners and grants"),
    "kept": gettext_lazy("kept copy"),
    "key": gettext_lazy("key"),
    "kind": gettext_lazy("kind"),
    "mode": gettext_lazy("mode"),
    "names": gettext_lazy("names"),
    "note": gettext_lazy("note"),
    "only": gettext_lazy("only"),
    "path": gettext_lazy("path"),
    "public": gettext_lazy("public key"),
    "query": gettext_lazy("filter"),
    "restore": gettext_lazy("restore"),
    "rows": gettext_lazy("rows"),
    "schedule": gettext_lazy("schedule"),
    "scope": gettext_lazy("scope"),
    "server": gettext_lazy("server"),
    "size": gettext_lazy("size"),
    "state": gettext_lazy("state"),
    "storage": gettext_lazy("storage"),
    "storages": gettext_lazy("storages"),
    "tables": gettext_lazy("tables"),
    "target": gettext_lazy("target"),
    "target_name": gettext_lazy("target"),
    "way_back_until": gettext_lazy("can be undone until"),
    "with": gettext_lazy("compared with"),
    "with_secrets": gettext_lazy("with private keys"),
}
# Values of choices, by the beginning of the action and the name of the detail.
CHOICES: Mapping[tuple[str, str], type[TextChoices]] = {
    ("backup", "scope"): Scope,
    ("backup", "state"): ComparisonState,
    ("drill", "kind"): DrillKind,
    ("drill", "state"): DrillState,
    ("restore", "state"): RestoreState,
}


@register.filter
def details(event: AuditEvent) -> list[tuple[str, str]]:
    """Name the details of an event and write them as a person would; what is not known here stays as it is."""
    space = event.action.partition(".")[0]
    return [(str(NAMES.get(name, name)), _written(value, (space, name))) for name, value in event.details.items()]


def _written(value: Any, place: tuple[str, str]) -> str:
    choices = CHOICES.get(place)
    if choices and value in choices.values:
        return str(choices(value).label)
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if value is None or value in ("", []):
        return "–"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if place[1] == "size" and isinstance(value, int):
        return str(filesizeformat(value))
    if place[1] == "way_back_until" and (moment := parse_datetime(str(value))):
        return f"{localtime(moment):%Y-%m-%d %H:%M}"
    return f"{value:,}" if place[1] == "rows" and isinstance(value, int) else str(value)
