"""Unusual expressions in words, put together from the very sets by which their moments are found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce

from cronsim import CronSim

from dbadmin.text import Text

HOURS, MINUTES, DAYS, MONTHS = 24, 60, 31, 12
# A longer list is harder to read than the expression.
LONGEST_LIST = 10
SHORTEST_RUN = 3
WEEKDAYS = (
    Text("Sundays"),
    Text("Mondays"),
    Text("Tuesdays"),
    Text("Wednesdays"),
    Text("Thursdays"),
    Text("Fridays"),
    Text("Saturdays"),
)
ONE_WEEKDAY = (
    Text("Sunday"),
    Text("Monday"),
    Text("Tuesday"),
    Text("Wednesday"),
    Text("Thursday"),
    Text("Friday"),
    Text("Saturday"),
)
MONTH_NAMES = (
    Text("January"),
    Text("February"),
    Text("March"),
    Text("April"),
    Text("May"),
    Text("June"),
    Text("July"),
    Text("August"),
    Text("September"),
    Text("October"),
    Text("November"),
    Text("December"),
)
NTH = {
    1: Text("the first {weekday} of the month"),
    2: Text("the second {weekday} of the month"),
    3: Text("the third {weekday} of the month"),
    4: Text("the fourth {weekday} of the month"),
    5: Text("the fifth {weekday} of the month"),
    CronSim.LAST: Text("the last {weekday} of the month"),
}
LAST = {
    CronSim.LAST: Text("the last day of the month"),
    CronSim.LAST_WEEKDAY: Text("the last day of the month that is no Saturday or Sunday"),
}


def phrase(cron: CronSim) -> Text | None:
    """Say when, as “In March, on Fridays: at 03:00”; None where that takes more words than anybody reads."""
    every_day, days, times = _is_every_day(cron), _days(cron), _times(cron.minutes, cron.hours)
    if times is None or not (every_day or days):
        return None
    if len(cron.months) == MONTHS:
        return (
            Text("Every day: {times}", times=times) if every_day else Text("On {days}: {times}", days=days, times=times)
        )
    months = listed(_parts(sorted(cron.months), lambda month: MONTH_NAMES[month - 1]))
    if every_day:
        return Text("In {months}, every day: {times}", months=months, times=times)
    return Text("In {months}, on {days}: {times}", days=days, months=months, times=times)


def listed(names: Sequence[Text]) -> Text:
    """Join names by commas and “and”."""
    *before, last = names
    if not before:
        return last
    commas = reduce(lambda former, name: Text("{before}, {name}", before=former, name=name), before)
    return Text("{before} and {name}", before=commas, name=last)


def _is_every_day(cron: CronSim) -> bool:
    full = (_all_days(cron), _all_weekdays(cron))
    return all(full) if cron.day_and else any(full)


def _all_days(cron: CronSim) -> bool:
    return set(range(1, DAYS + 1)) <= cron.days


def _all_weekdays(cron: CronSim) -> bool:
    return len(_plain_weekdays(cron)) == len(WEEKDAYS)


def _days(cron: CronSim) -> Text | None:
    """Say which days; None also where the list is too long."""
    days, weekdays = _month_days(cron.days), _weekdays(cron)
    if cron.day_and and _all_days(cron):
        return weekdays
    if cron.day_and and _all_weekdays(cron):
        return days
    if days is None or weekdays is None:
        return None
    if cron.day_and:
        return Text("{days}, but only where these are {weekdays}", days=days, weekdays=weekdays)
    return Text("{days} and also on {weekdays}", days=days, weekdays=weekdays)


def _month_days(days: set[int]) -> Text | None:
    numbers = sorted(day for day in days if day > 0)
    said = [LAST[day] for day in sorted(days - set(numbers), reverse=True)]
    if len(numbers) == 1:
        return listed([Text("day {day} of the month", day=numbers[0]), *said])
    if numbers and not (pieces := _pieces(numbers)):
        return None
    return listed([Text("days {days} of the month", days=pieces), *said] if numbers else said)


def _weekdays(cron: CronSim) -> Text | None:
    # Weeks begin on Monday, so that what is beside each other stays so.
    plain = sorted(_plain_weekdays(cron), key=lambda number: (number - 1) % len(WEEKDAYS))
    said = [_nth(*each) for each in sorted(each for each in cron.weekdays if isinstance(each, tuple))]
    if len(said) > LONGEST_LIST:
        return None
    places = [(number - 1) % len(WEEKDAYS) for number in plain]
    return listed([*_parts(places, lambda place: WEEKDAYS[(place + 1) % len(WEEKDAYS)]), *said])


def _plain_weekdays(cron: CronSim) -> set[int]:
    return {number % len(WEEKDAYS) for number in cron.weekdays if isinstance(number, int)}


def _nth(weekday: int, nth: int) -> Text:
    return Text(NTH[nth].msgid, weekday=ONE_WEEKDAY[weekday % len(WEEKDAYS)])


def _times(minutes: set[int], hours: set[int]) -> Text | None:
    if len(minutes) == 1 and 1 < (step := _step(hours, HOURS)) < HOURS:
        return Text("every {hours} hours at minute {minute}", hours=step, minute=min(minutes))
    if len(minutes) * len(hours) <= LONGEST_LIST:
        return Text("at {times}", times=", ".join(f"{h:02}:{m:02}" for h in sorted(hours) for m in sorted(minutes)))
    how = _minutes(minutes)
    if how is None or len(hours) == HOURS:
        return how
    spans = [f"{first:02}:00–{last:02}:59" for first, last in _runs(sorted(hours))]
    return Text("{how} within {spans}", how=how, spans=", ".join(spans)) if len(spans) <= LONGEST_LIST else None


def _minutes(minutes: set[int]) -> Text | None:
    if len(minutes) == 1:
        return Text("at minute {minute} of every hour", minute=min(minutes))
    if step := _step(minutes, MINUTES):
        return Text("every {minutes} minutes", minutes=step) if step > 1 else Text("every minute")
    pieces = _pieces(sorted(minutes))
    return Text("at minutes {minutes} of every hour", minutes=pieces) if pieces else None


def _step(numbers: set[int], whole: int) -> int:
    """Return the distance when it is the same all the time, across the hour or the day, too; else 0."""
    step = whole // len(numbers)
    return step if numbers == set(range(0, whole, step)) and whole % step == 0 else 0


def _pieces(numbers: Iterable[int]) -> str:
    """Return numbers and runs of them, with commas; nothing where that is too long."""
    pieces = [str(first) if first == last else f"{first}–{last}" for first, last in _long_runs(numbers)]
    return ", ".join(pieces) if len(pieces) <= LONGEST_LIST else ""


def _parts(numbers: Iterable[int], name: Callable[[int], Text]) -> list[Text]:
    return [
        name(first) if first == last else Text("{first} to {last}", first=name(first), last=name(last))
        for first, last in _long_runs(numbers)
    ]


def _long_runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """As ``_runs``, but what is short stays single."""
    found = []
    for first, last in _runs(numbers):
        found += [(first, last)] if last - first + 1 >= SHORTEST_RUN else [(n, n) for n in range(first, last + 1)]
    return found


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return first and last of what is beside each other."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found
