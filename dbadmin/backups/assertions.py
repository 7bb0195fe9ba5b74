"""What a restored copy has to answer, and whether its answer is the expected one."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dbadmin.choices import AssertionKind, Verdict
from dbadmin.engines.base import Engine
from dbadmin.exceptions import DbadminError, ValidationFailed
from dbadmin.models import Assertion
from dbadmin.text import Text

# Beyond it a number counts milliseconds, as JavaScript does, since 1970: in seconds this is the year 5138.
MILLISECONDS_FROM = 1e11
Answer = tuple[Verdict, Text]


def ask(assertion: Assertion, engine: Engine, target: Any, *, moment: datetime) -> Answer:
    """Ask a restored copy. ``moment`` is when it was backed up: ages are counted up to then, not up to now."""
    try:
        return judge(assertion, one_value(engine.rows(target, assertion.sql)), moment=moment)
    except DbadminError as error:
        return Verdict.CRITICAL, error.message


def one_value(rows: list[tuple[Any, ...]]) -> Any:
    """Return the one value of an answer; ``ValidationFailed`` for more or fewer."""
    if len(rows) != 1 or len(rows[0]) != 1:
        raise ValidationFailed(
            Text("The query returned {rows} rows; one row with one value is expected.", rows=len(rows))
            if len(rows) != 1
            else Text("The query returned {columns} columns; one is expected.", columns=len(rows[0]))
        )
    return rows[0][0]


def judge(assertion: Assertion, value: Any, *, moment: datetime) -> Answer:
    """Compare a value with what is expected; ``ValidationFailed`` when it is none that could be compared."""
    if assertion.kind == AssertionKind.FRESHNESS:
        return _freshness(assertion, value, moment)
    if assertion.kind == AssertionKind.COUNT:
        return _count(assertion, value)
    if value is not None and str(value) == assertion.expected:
        return Verdict.OK, Text("“{value}”, as expected.", value=str(value))
    shown = "NULL" if value is None else str(value)
    return Verdict.CRITICAL, Text("Expected “{expected}”, found “{found}”.", expected=assertion.expected, found=shown)


def as_moment(value: Any, zone: str) -> datetime:
    """Read a time: aware, naive or a date (those in ``zone``), ISO text with Z or an offset, or an epoch number.

    A date without a time is its first moment. ``ValidationFailed`` for everything else, NULL included.
    """
    if isinstance(value, str):
        value = _from_text(value.strip())
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=_zone(zone))
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=_zone(zone))
    number = _number(value, Text("“{value}” is no time.", value="NULL" if value is None else str(value)))
    seconds = number / 1000 if abs(number) >= MILLISECONDS_FROM else number
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise ValidationFailed(Text("“{value}” is no time.", value=str(value))) from error


def _from_text(text: str) -> Any:
    """Text of digits alone is a number, unless it is as long as a date of eight."""
    if text.replace(".", "", 1).lstrip("-").isdigit() and len(text) != len("20260131"):
        return float(text)
    try:
        return datetime.fromisoformat(text.replace("/", "-"))
    except ValueError as error:
        raise ValidationFailed(
            Text("“{value}” is no time.", value=text[:80]),
            Text("Return ISO 8601, such as 2026-01-31T09:00:00Z, or seconds since 1970."),
        ) from error


def _freshness(assertion: Assertion, value: Any, moment: datetime) -> Answer:
    newest = as_moment(value, assertion.time_zone)
    age = moment - newest
    limit = assertion.max_age_hours or 0
    said = {"hours": round(age / timedelta(hours=1), 1), "limit": limit, "newest": newest.isoformat()}
    if age > timedelta(hours=limit):
        return Verdict.CRITICAL, Text(
            "The newest is of {newest}: {hours} hours before the backup; {limit} are allowed.", **said
        )
    return Verdict.OK, Text("The newest is of {newest}: {hours} hours before the backup.", **said)


def _count(assertion: Assertion, value: Any) -> Answer:
    number = _number(value, Text("“{value}” is no number.", value="NULL" if value is None else str(value)))
    if assertion.minimum is not None and number < assertion.minimum:
        return Verdict.CRITICAL, Text("{number} is fewer than {minimum}.", number=number, minimum=assertion.minimum)
    if assertion.maximum is not None and number > assertion.maximum:
        return Verdict.CRITICAL, Text("{number} is more than {maximum}.", number=number, maximum=assertion.maximum)
    return Verdict.OK, Text("{number} is within bounds.", number=number)


def _number(value: Any, otherwise: Text) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ValidationFailed(otherwise) from error
    if not math.isfinite(number):
        raise ValidationFailed(otherwise)
    return int(number) if number.is_integer() else number


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValidationFailed(
            Text("There is no time zone “{name}”.", name=name), Text("Write one such as Asia/Tokyo or UTC.")
        ) from error
