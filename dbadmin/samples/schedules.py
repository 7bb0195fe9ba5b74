"""Schedules to begin with, so that nothing on a new dashboard is kept by hand alone."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings

from dbadmin.choices import ScheduleTarget
from dbadmin.jobs.schedules import save_schedule
from dbadmin.models import Destination, Retention, Schedule, Storage
from dbadmin.text import Text
from dbadmin.timetable import TEMPLATES

# The names of templates, each with what its schedule is called.
USUAL = {
    "daily": Text("Every night"),
    "partial-drill": Text("Weekly partial drill"),
    "drill": Text("Monthly full drill"),
}


def make_schedules(now: datetime) -> list[Schedule]:
    """Make a nightly full backup, a weekly partial and a monthly full drill of all databases.

    None when there is any schedule but the catalogue's own.
    """
    if Schedule.objects.exclude(databases__is_catalogue=True).exists():
        return []
    templates = {template.name: template for template in TEMPLATES}
    made = []
    for template_name, name in USUAL.items():
        template = templates[template_name]
        schedule = Schedule(
            name=str(name),
            kind=template.kind,
            scope=template.scope,
            drill_kind=template.drill_kind,
            target=ScheduleTarget.ALL,
            expression=template.expression,
            time_zone=settings.TIME_ZONE,
        )
        save_schedule(schedule, now)
        made.append(schedule)
    if storage := Storage.objects.filter(is_default=True).first():
        Destination.objects.create(
            schedule=made[0], storage=storage, retention=Retention.objects.order_by("pk").first()
        )
    return made
