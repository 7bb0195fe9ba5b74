"""The retentions that a new installation begins with. Nothing uses them until somebody chooses them."""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings
from django.db import transaction

from dbadmin import audit
from dbadmin.models import AuditEvent, Retention

MADE = "retention.defaults"
DEFAULTS: Mapping[str, Mapping[str, int]] = {
    "Daily 7, weekly 8, monthly 12": {"daily": 7, "weekly": 8, "monthly": 12, "minimum": 3},
    "Hourly 3 days": {"hourly": 72, "minimum": 3},
}


@transaction.atomic
def create_default_retentions() -> list[Retention]:
    """Make them once; who renames or removes them is not given them again. Returns those that are new."""
    if Retention.objects.exists() or AuditEvent.objects.filter(action=MADE).exists():
        return []
    made = []
    for name, rules in DEFAULTS.items():
        row, is_new = Retention.objects.get_or_create(name=name, defaults={"time_zone": settings.TIME_ZONE, **rules})
        made += [row] if is_new else []
    audit.record(audit.SYSTEM, MADE, names=list(DEFAULTS))
    return made
