"""Reading a cron expression and the name of a time zone."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from cronsim.cronsim import Field

from dbadmin.exceptions import ValidationFailed
from dbadmin.text import Text

NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
FIELDS = (
    (Field.MINUTE, Text("minute")),
    (Field.HOUR, Text("hour")),
    (Field.DAY, Text("day of the month")),
    (Field.MONTH, Text("month")),
    (Field.DOW, Text("day of the week")),
)
LONGEST = 100
NEVER = (Text("That day never comes."), Text("Choose a day that the month has."))


def plain(expression: str) -> str:
    """Return the five fields in capitals with single spaces. ``ValidationFailed`` says which one means nothing."""
    given = expression.strip()
    parts = _translated(given).upper().split()
    if len(parts) != len(FIELDS):
        raise ValidationFailed(
            Text("A cron expression has five parts, “{expression}” has {count}.", expression=given, count=len(parts)),
            Text("They are minute, hour, day of the month, month and day of the week, such as “0 3 * * *”."),
        )
    for (field, name), part in zip(FIELDS, parts, strict=True):
        _check(field, name, part)
    fields(" ".join(parts))
    return " ".join(parts)


@lru_cache(maxsize=1)
def zones() -> tuple[str, ...]:
    """Return the names of the time zones that this machine knew when it was first asked, sorted."""
    return tuple(sorted(available_timezones()))


def _translated(given: str) -> str:
    if len(given) > LONGEST:
        raise ValidationFailed(Text("The cron expression is longer than {count} characters.", count=LONGEST))
    if not given.startswith("@"):
        return given
    if given.lower() not in NICKNAMES:
        raise ValidationFailed(
            Text("“{expression}” is no moment of the clock.", expression=given),
            Text("Known are {names}.", names=", ".join(NICKNAMES)),
        )
    return NICKNAMES[given.lower()]


def _check(field: Field, name: Text, part: str) -> None:
    try:
        field.parse(part)
    except (CronSimError, ValueError, AssertionError) as error:
        raise ValidationFailed(
            Text("“{part}” is no {field} that cron understands.", part=part, field=name),
            Text("Use a number, a list “1,15”, a range “1-5”, a step “*/15”, or “*” for each."),
        ) from error


@lru_cache(maxsize=4096)
def fields(expression: str) -> CronSim:
    """Return what cronsim reads; only its sets and its judgement of days are used, both without state."""
    try:
        return CronSim(expression, datetime(2000, 1, 1))
    except CronSimError as error:
        raise ValidationFailed(*NEVER) from error


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise ValidationFailed(
            Text("There is no time zone “{zone}”.", zone=name),
            Text("Names are like “Europe/Berlin”, “Asia/Tokyo” or “UTC”."),
        ) from error


@lru_cache(maxsize=1024)
def is_known(name: str) -> bool:
    """Say whether schedules can run by the clocks of this zone; as it was when it was first asked."""
    try:
        zone(name)
    except ValidationFailed:
        return False
    return True
