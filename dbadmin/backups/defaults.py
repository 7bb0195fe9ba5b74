"""The retentions that a new installation begins with. Nothing uses them until somebody chooses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.conf import settings
from django.db import transaction

from dbadmin import audit
from dbadmin.models import AuditEvent, Retention
from dbadmin.text import Text

MADE = "retention.defaults"
# Their names are of the language that the installation speaks; from then on they are data.
DEFAULTS: Sequence[tuple[Text, Mapping[str, int]]] = (
    (Text("Daily 7, weekly 8, monthly 12"), {"daily": 7, "weekly": 8, "monthly": 12, "minimum": 3}),
    (Text("Hourly 3 days"), {"hourly": 72, "minimum": 3}),
)


@transaction.atomic
def create_default_retentions() -> list[Retention]:
    """Make them once; who renames or removes them is not given them again. Returns those that are new."""
    if Retention.objects.exists() or AuditEvent.objects.filter(action=MADE).exists():
        return []
    made = []
    for name, rules in DEFAULTS:
        row, is_new = Retention.objects.get_or_create(
            name=str(name), defaults={"time_zone": settings.TIME_ZONE, **rules}
        )
        made += [row] if is_new else []
    audit.record(audit.SYSTEM, MADE, names=[row.name for row in made])
    return made
