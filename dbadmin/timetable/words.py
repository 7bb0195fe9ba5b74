"""Cron expressions as sentences, as the simple form of a page, and as the usual ones to begin with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from dbadmin.exceptions import ValidationFailed
from dbadmin.text import Text, verbatim
from dbadmin.timetable.fields import fields, plain
from dbadmin.timetable.phrases import HOURS, MINUTES, WEEKDAYS, listed, phrase

Every = Literal["hour", "day", "week", "month"]
LAST_DAY = "L"
MOST_TIMES = 4
SYMBOLS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


@dataclass(frozen=True, kw_only=True)
class Simple:
    """What the simple form asks: ``time`` is “HH:MM”, ``weekday`` 0 (Sunday) to 6, ``day`` “1” to “31” or “L” (last).

    ``minute`` is for every hour, ``weekday`` for every week, ``day`` for every month, ``time`` for all but the hour.
    """

    every: Every
    time: str = "03:00"
    weekday: int = 0
    day: str = "1"
    minute: int = 0


@dataclass(frozen=True, kw_only=True)
class Template:
    """A usual schedule. ``kind``, ``scope`` and ``drill_kind`` are values of the choices of the same names."""

    name: str
    label: Text
    expression: str
    kind: str = "backup"
    scope: str = "full"
    drill_kind: str = "full"


TEMPLATES = (
    Template(name="daily", label=Text("Daily full backup"), expression="0 3 * * *"),
    Template(
        name="hourly",
        label=Text("Hourly full backup (each is a complete snapshot, not an increment)"),
        expression="15 * * * *",
    ),
    Template(name="weekly", label=Text("Weekly full backup"), expression="0 4 * * 0"),
    Template(name="monthly", label=Text("Monthly full backup"), expression="0 5 1 * *"),
    Template(name="maintenance", label=Text("Weekly maintenance"), expression="0 2 * * 0", kind="maintenance"),
    Template(name="drill", label=Text("Monthly full drill"), expression="0 6 1 * *", kind="drill"),
    Template(
        name="partial-drill",
        label=Text("Weekly partial drill"),
        expression="0 6 * * 6",
        kind="drill",
        drill_kind="partial",
    ),
)


def from_simple(*, every: str, time: str = "03:00", weekday: int = 0, day: str | int = "1", minute: int = 0) -> str:
    """Return the expression for what the simple form asks; see ``Simple``. ``ValidationFailed`` with a sentence."""
    if every == "hour":
        return plain(f"{minute} * * * *")
    at = _clock(time)
    if every == "day":
        return plain(f"{at} * * *")
    if every == "week":
        return plain(f"{at} * * {weekday}")
    if every == "month":
        return plain(f"{at} {day} * *")
    raise ValidationFailed(Text("“{every}” is none of hour, day, week and month.", every=every))


def to_simple(expression: str) -> Simple | None:
    """Return the fields of the simple form that mean the same; None when only the expression can say it."""
    minute, hour, day, month, weekday = plain(expression).split()
    if not minute.isdecimal() or month != "*":
        return None
    if (hour, day, weekday) == ("*", "*", "*"):
        return Simple(every="hour", minute=int(minute))
    if not hour.isdecimal():
        return None
    time = f"{int(hour):02}:{int(minute):02}"
    if (day, weekday) == ("*", "*"):
        return Simple(every="day", time=time)
    if day == "*" and (number := _weekday(weekday)) is not None:
        return Simple(every="week", time=time, weekday=number)
    if weekday == "*" and (day.isdecimal() or day == LAST_DAY):
        return Simple(every="month", time=time, day=day.lstrip("0"))
    return None


def sentence(expression: str) -> Text:
    """Say when; the expression itself where that takes more words than anybody reads."""
    minute, hour, day, month, weekday = plain(expression).split()
    said = None
    if (day, month, weekday) == ("*", "*", "*"):
        said = _through_the_day(minute, hour)
    if said is None and month == "*" and (times := _times(minute, hour)):
        said = _on_days(day, weekday, times)
    return said or phrase(fields(plain(expression))) or verbatim(plain(expression))


def _through_the_day(minute: str, hour: str) -> Text | None:
    if hour == "*":
        if minute == "*":
            return Text("Every minute")
        if minute.isdecimal():
            return Text("Every hour at minute {minute}", minute=int(minute))
        step = _step(minute, MINUTES)
        return Text("Every {minutes} minutes", minutes=step) if step else None
    if minute.isdecimal() and (step := _step(hour, HOURS)):
        return Text("Every {hours} hours at minute {minute}", hours=step, minute=int(minute))
    return None


def _on_days(day: str, weekday: str, times: str) -> Text | None:
    if (day, weekday) == ("*", "*"):
        return Text("Every day at {times}", times=times)
    if day == "*":
        return _on_weekdays(weekday, times)
    if weekday != "*":
        return None
    if day == LAST_DAY:
        return Text("On the last day of each month at {times}", times=times)
    if not day.isdecimal():
        return None
    if int(day) == 1:
        return Text("On the 1st of each month at {times}", times=times)
    return Text("On day {day} of each month at {times}", day=int(day), times=times)


def _on_weekdays(field: str, times: str) -> Text | None:
    if field in ("1-5", "MON-FRI"):
        return Text("Monday to Friday at {times}", times=times)
    numbers = [_weekday(part) for part in field.split(",")]
    if None in numbers:
        return None
    names = [WEEKDAYS[number] for number in dict.fromkeys(numbers) if number is not None]
    return Text("{days} at {times}", days=listed(names), times=times)


def _times(minute: str, hour: str) -> str:
    hours = hour.split(",")
    if not minute.isdecimal() or not all(part.isdecimal() for part in hours) or len(hours) > MOST_TIMES:
        return ""
    return _joined(f"{number:02}:{int(minute):02}" for number in sorted({int(part) for part in hours}))


def _joined(words: Iterable[str]) -> str:
    return ", ".join(words)


def _step(field: str, whole: int) -> int | None:
    """Return n of “*/n” where that is the same distance all the time, across the hour or the day, too."""
    star, _slash, step = field.partition("/")
    if star != "*" or not step.isdecimal() or not 1 < int(step) < whole or whole % int(step):
        return None
    return int(step)


def _weekday(part: str) -> int | None:
    if part in SYMBOLS:
        return SYMBOLS.index(part)
    return int(part) % len(WEEKDAYS) if part.isdecimal() else None


def _clock(time: str) -> str:
    hours, colon, minutes = time.partition(":")
    minutes = minutes.removesuffix(":00") if minutes.count(":") else minutes
    wrong = not (colon and hours.isdecimal() and minutes.isdecimal()) or int(hours) >= HOURS or int(minutes) >= MINUTES
    if wrong:
        raise ValidationFailed(
            Text("“{time}” is no time of day.", time=time), Text("Write hours and minutes, such as 03:00.")
        )
    return f"{int(minutes)} {int(hours)}"
