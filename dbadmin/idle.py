"""Schedules that are enabled and nevertheless do not run, and why."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Exists, OuterRef, Q, QuerySet

from dbadmin.choices import ScheduleTarget
from dbadmin.exceptions import DbadminError
from dbadmin.jobs.schedules import for_nobody
from dbadmin.models import Database, Schedule
from dbadmin.text import Text
from dbadmin.timetable import Timetable, is_known


def running() -> QuerySet[Schedule]:
    """Narrow to the schedules that have a next run; two queries beside its own, for any number of them."""
    enabled = Schedule.objects.filter(enabled=True, next_due_at__isnull=False)
    zones = enabled.order_by().values_list("time_zone", flat=True).distinct()
    return enabled.filter(_is_for_somebody()).exclude(time_zone__in=[zone for zone in zones if not is_known(zone)])


def idle(schedules: Sequence[Schedule]) -> dict[int, Text]:
    """Return why each enabled schedule has no next run; two queries for any number of them."""
    enabled = [schedule for schedule in schedules if schedule.enabled]
    rows = Schedule.objects.filter(_is_for_somebody(), pk__in=[schedule.pk for schedule in enabled])
    served = set(rows.order_by().values_list("pk", flat=True))
    reasons = {each.pk: _wrong(each) or (None if each.pk in served else for_nobody(each)) for each in enabled}
    return {pk: reason for pk, reason in reasons.items() if reason}


def _wrong(schedule: Schedule) -> Text | None:
    try:
        Timetable(schedule.expression, schedule.time_zone)
    except DbadminError as error:
        return error.told
    return None


def _is_for_somebody() -> Q:
    """Say in the query whether a schedule covers a database; as ``jobs.schedules.targets`` judges of some of them."""
    registered = Database.objects.registered()
    labels = {label for each in registered.exclude(labels="").only("labels") for label in each.label_set}
    chosen = Schedule.databases.through.objects.filter(schedule=OuterRef("pk"), database__removed_at=None)
    return (
        Q(Exists(chosen), target=ScheduleTarget.DATABASES)
        | Q(Exists(registered.filter(application=OuterRef("application"))), target=ScheduleTarget.APPLICATION)
        | Q(target=ScheduleTarget.LABEL, label__in=labels)
        | Q(Exists(registered), target=ScheduleTarget.ALL)
    )
