"""Schedules on the command line: what is given becomes fields, and fields become lines."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.text import capfirst

from dbadmin import audit, upcoming
from dbadmin.choices import CatchUp, DrillKind, Overlap, ScheduleKind, ScheduleTarget, Scope
from dbadmin.exceptions import DbadminError, UsageError
from dbadmin.idle import idle
from dbadmin.jobs.schedules import save_schedule
from dbadmin.judged import backed_up_by
from dbadmin.management.command import find_database
from dbadmin.management.letting_go import require_wanted
from dbadmin.management.values import whole, wrong_usage
from dbadmin.models import Application, Destination, Retention, Schedule, ScheduleRun, Storage
from dbadmin.models.schedule import LONGEST_WAIT_MINUTES, MOST_MINUTES, MOST_RETRIES
from dbadmin.templatetags.schedules import clock
from dbadmin.text import Text
from dbadmin.timetable import TEMPLATES, Timetable, from_simple

# option -> (field, type or choices, what it says)
PLAIN = {
    "--name": ("name", None, "what people call it"),
    "--kind": ("kind", ScheduleKind.values, "what to do"),
    "--scope": ("scope", Scope.values, "of a backup"),
    "--drill-kind": ("drill_kind", DrillKind.values, "of a drill"),
    "--time-zone": ("time_zone", None, "such as Europe/Berlin; the clocks by which the times are meant"),
    "--start-window": ("start_window_minutes", whole(0, MOST_MINUTES), "minutes that a run may start late"),
    "--catch-up": ("catch_up", CatchUp.values, "what is done about moments that passed while nothing ran"),
    "--overlap": ("overlap", Overlap.values, "what is done when the previous run is still active"),
    "--retries": ("retries", whole(0, MOST_RETRIES), "how often a failure is tried again"),
    "--retry-minutes": (
        "retry_minutes",
        whole(0, LONGEST_WAIT_MINUTES),
        "first wait; each further one twice as long",
    ),
    "--deadline": ("deadline_minutes", whole(0, MOST_MINUTES), "minutes after which a run is ended; 0 is no limit"),
}
SIMPLE = ("time", "weekday", "day", "minute")


def add_fields(parser: ArgumentParser) -> None:
    """Add what a schedule can be told; nothing is required."""
    for option, (field, kind, said) in PLAIN.items():
        shape = {"choices": kind} if isinstance(kind, list) else {"type": kind or str}
        parser.add_argument(option, dest=field, help=said, **shape)
    when = parser.add_argument_group("when")
    when.add_argument("--expression", help="five fields of cron, or @daily and the like")
    when.add_argument("--every", choices=["hour", "day", "week", "month"])
    when.add_argument("--time", metavar="HH:MM", help="for day, week and month; default 03:00")
    when.add_argument("--weekday", type=whole(0, 7), metavar="0-6", help="for week; 0 is Sunday")
    when.add_argument("--day", metavar="1-31|L", help="for month; L is its last day")
    when.add_argument("--minute", type=whole(0, 59), metavar="0-59", help="for hour")
    of = parser.add_argument_group("of what").add_mutually_exclusive_group()
    of.add_argument("--database", action="append", metavar="SLUG", help="may be given several times")
    of.add_argument("--application", metavar="SLUG")
    of.add_argument("--label")
    of.add_argument("--all", action="store_true", help="all databases, also those added later")
    parser.add_argument(
        "--storage", action="append", metavar="NAME[=RETENTION]", help="where archives go; may be given several times"
    )


def template(name: str) -> dict[str, Any]:
    """Return the fields of a usual schedule."""
    found = next((each for each in TEMPLATES if each.name == name), None)
    if found is None:
        known = ", ".join(each.name for each in TEMPLATES)
        raise UsageError(Text("There is no template “{name}”.", name=name), Text("Known are: {known}.", known=known))
    return {
        "kind": found.kind, "scope": found.scope, "drill_kind": found.drill_kind, "expression": found.expression,
    }  # fmt: skip


def change(schedule: Schedule, options: dict[str, Any], *, action: str, now: datetime) -> int:
    """Write what was given to ``schedule`` and save it with its databases and destinations, all or nothing.

    Return how many archives retention lets go by that; ``Refused`` when there are some and nobody said they may go.
    """
    fields = {field: options[field] for field, *_rest in PLAIN.values() if options.get(field) is not None}
    fields |= {"name": fields["name"].strip()} if "name" in fields else {}
    with wrong_usage():
        fields |= _when(options)
    for field, value in (fields | _of(options)).items():
        setattr(schedule, field, value)
    databases = [find_database(slug) for slug in options["database"] or ()]
    destinations = _destinations(options["storage"] or ())
    if schedule.name and Schedule.objects.filter(name=schedule.name).exclude(pk=schedule.pk).exists():
        raise UsageError(Text("There is a schedule “{name}” already.", name=schedule.name))
    _require_valid(schedule)
    is_writing = schedule.kind == ScheduleKind.BACKUP
    if destinations and not is_writing:
        raise UsageError(Text("Only a backup is written to storages."), Text("Leave --storage out."))
    with wrong_usage(), transaction.atomic():
        save_schedule(schedule, now)
        if databases:
            schedule.databases.set(databases)
        released = 0
        if destinations or (not is_writing and schedule.destinations.exists()):
            released = require_wanted(
                lambda: _send(schedule, destinations), backed_up_by(schedule), wanted=options.get("let_go", False)
            )
            _send(schedule, destinations)
        audit.record(audit.from_shell(), action, schedule)
    return released


def _send(schedule: Schedule, destinations: Sequence[tuple[Storage, Retention | None]]) -> None:
    schedule.destinations.all().delete()
    Destination.objects.bulk_create(
        Destination(schedule=schedule, storage=storage, retention=retention) for storage, retention in destinations
    )


def find_schedule(given: str) -> Schedule:
    """Return a schedule by its name or number; ``UsageError`` that lists the known ones."""
    schedules = Schedule.objects.select_related("application")
    found = schedules.filter(name=given).first() or (
        schedules.filter(pk=int(given)).first() if given.isdecimal() else None
    )
    if found is None:
        known = ", ".join(Schedule.objects.values_list("name", flat=True)) or "–"
        raise UsageError(Text("There is no schedule “{name}”.", name=given), Text("Known are: {known}.", known=known))
    return found


def schedule_row(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule; times in UTC."""
    plain = {field: getattr(schedule, field) for field, *_rest in PLAIN.values()}
    destinations = schedule.destinations.select_related("storage", "retention")
    return {"id": schedule.pk} | plain | {
        "enabled": schedule.enabled,
        "target": schedule.target,
        "databases": [database.slug for database in schedule.databases.all()],
        "application": schedule.application.slug if schedule.application else None,
        "label": schedule.label,
        "expression": schedule.expression,
        "when": when(schedule),
        "storages": [
            {"storage": each.storage.name, "retention": each.retention.name if each.retention else None}
            for each in destinations
        ],
        "next_due_at": schedule.next_due_at,
    }  # fmt: skip


def when(schedule: Schedule) -> str:
    """Say its times; why that cannot be said, where they mean nothing on this machine."""
    try:
        return str(Timetable(schedule.expression, schedule.time_zone).sentence)
    except DbadminError as error:
        return str(error)


def coming(schedule: Schedule, count: int, *, now: datetime) -> list[datetime]:
    """Return its next moments; none where its times mean nothing on this machine."""
    try:
        return Timetable(schedule.expression, schedule.time_zone).coming(now, count)
    except DbadminError:
        return []


def schedule_lines(schedules: Sequence[Schedule]) -> list[str]:
    """Return a line for each."""
    reasons = idle(schedules)
    return [
        f"{each.pk:>4}  {each.name:<28} {each.kind:<12} {upcoming.when(each)} ({each.time_zone})  "
        + _next_of(each, reasons.get(each.pk))
        for each in schedules
    ]


def _next_of(schedule: Schedule, reason: Text | None) -> str:
    if not schedule.enabled:
        return str(Text("paused"))
    if reason:
        return str(Text("does not run: {reason}", reason=reason))
    return str(Text("next {moment}", moment=local(schedule.next_due_at, schedule)))


def run_row(run: ScheduleRun) -> dict[str, Any]:
    """Return a run; times in UTC."""
    return {
        "id": run.pk,
        "schedule": run.schedule.name,
        "database": run.database.slug,
        "due_at": run.due_at,
        "state": run.state,
        "reason": run.reason,
        "attempt": run.attempt,
        "retry_at": run.retry_at,
        "settled_at": run.settled_at,
        "job": run.job_id,
    }


def run_line(run: ScheduleRun) -> str:
    """Return a run on one line, in the zone of its schedule."""
    again = f", {Text('next try {moment}', moment=local(run.retry_at, run.schedule))}" if run.retry_at else ""
    return (
        f"{local(run.due_at, run.schedule)}  {run.schedule.name:<28} {run.database.slug:<24} "
        f"{run.get_state_display():<10} {run.reason}{again}"
    )


def local(moment: datetime | None, schedule: Schedule) -> str:
    """Write a moment to the minute by the schedule's clocks."""
    return clock(moment, schedule.time_zone) if moment else "–"


def _when(options: dict[str, Any]) -> dict[str, str]:
    given = {name: options[name] for name in SIMPLE if options.get(name) is not None}
    if options.get("every"):
        if options.get("expression"):
            raise UsageError(Text("Give --every or --expression, not both."))
        return {"expression": from_simple(every=options["every"], **given)}
    if given:
        raise UsageError(Text("--time, --weekday, --day and --minute go with --every."))
    return {"expression": options["expression"]} if options.get("expression") else {}


def _of(options: dict[str, Any]) -> dict[str, Any]:
    if options["database"]:
        return {"target": ScheduleTarget.DATABASES}
    if options["application"]:
        application = Application.objects.filter(slug=options["application"]).first()
        if application is None:
            raise UsageError(Text("There is no application “{slug}”.", slug=options["application"]))
        return {"target": ScheduleTarget.APPLICATION, "application": application}
    if options["label"]:
        return {"target": ScheduleTarget.LABEL, "label": options["label"].strip()}
    return {"target": ScheduleTarget.ALL} if options["all"] else {}


def _require_valid(schedule: Schedule) -> None:
    """Refuse what the form would; whether the times mean something is judged when it is saved."""
    try:
        schedule.full_clean()
    except ValidationError as error:
        names = {field.name: capfirst(field.verbose_name) for field in schedule._meta.fields}
        named = (f"{names.get(name, name)}: {' '.join(said)}" for name, said in error.message_dict.items())
        raise UsageError(Text("It was not saved: {reasons}", reasons=" ".join(named))) from error


def _destinations(given: Iterable[str]) -> list[tuple[Storage, Retention | None]]:
    found: dict[Storage, Retention | None] = {}
    for storage, retention in map(_destination, given):
        if storage in found:
            raise UsageError(
                Text("The storage “{name}” is named twice.", name=storage.name),
                Text("Give --storage once for each storage."),
            )
        found[storage] = retention
    return list(found.items())


def _destination(given: str) -> tuple[Storage, Retention | None]:
    name, _equals, kept = given.partition("=")
    storage = Storage.objects.registered().filter(name=name).first()
    if storage is None:
        known = ", ".join(Storage.objects.registered().values_list("name", flat=True)) or "–"
        raise UsageError(Text("There is no storage “{name}”.", name=name), Text("Known are: {known}.", known=known))
    retention = Retention.objects.filter(name=kept).first() if kept else None
    if kept and retention is None:
        known = ", ".join(Retention.objects.values_list("name", flat=True)) or "–"
        raise UsageError(Text("There is no retention “{name}”.", name=kept), Text("Known are: {known}.", known=known))
    return storage, retention
