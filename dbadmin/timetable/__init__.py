"""Cron expressions in a time zone: which moments they mean, and how a person would say it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cached_property, lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

from dbadmin.exceptions import ValidationFailed
from dbadmin.text import Text
from dbadmin.timetable import fields
from dbadmin.timetable.fields import is_known, plain, zones
from dbadmin.timetable.words import TEMPLATES, Simple, Template, from_simple, sentence, to_simple

__all__ = [
    "TEMPLATES",
    "Due",
    "Simple",
    "Template",
    "Timetable",
    "from_simple",
    "is_known",
    "plain",
    "to_simple",
    "zones",
]

# 29 February on a given weekday comes every 28 years, and 40 years apart around 2100.
YEARS_AHEAD = 41
HOUR = timedelta(hours=1)
AROUND = timedelta(hours=26)
DAY_HOURS = 24


@dataclass(frozen=True)
class Due:
    """Moments that have come, ascending, UTC. Of too many, the newest; ``earlier`` from ``first`` on are not here."""

    moments: tuple[datetime, ...] = ()
    earlier: int = 0
    first: datetime | None = None


@dataclass(frozen=True)
class Timetable:
    """The moments of ``expression`` (five fields of cron, or @daily and the like) by the clocks of ``zone``.

    ``ValidationFailed`` with a sentence where either means nothing. Moments come in and go out as aware datetimes,
    out always in UTC, and are whole minutes. When clocks are put back, a local moment that comes twice is meant the
    first time, unless the expression runs in every hour: then hours go on without a gap. When clocks are put forward, a
    moment that does not exist is later by as much as was left out.
    """

    expression: str
    zone: str = "UTC"

    def __post_init__(self) -> None:
        object.__setattr__(self, "expression", plain(self.expression))
        fields.zone(self.zone)
        if next(self._hours(datetime(2000, 1, 1)), None) is None:
            raise ValidationFailed(*fields.NEVER)

    def __str__(self) -> str:
        return f"{self.expression} ({self.zone})"

    def moments(self, after: datetime) -> Iterator[datetime]:
        """Yield every moment later than ``after``, for the next forty years."""
        waiting: set[datetime] = set()
        for hour in self._hours(self._start(after)):
            waiting |= self._moments_of(hour)
            floor = self._earliest(hour + HOUR)
            ready = {moment for moment in waiting if moment < floor}
            waiting -= ready
            yield from (moment for moment in sorted(ready) if moment > after)
        yield from (moment for moment in sorted(waiting) if moment > after)

    def next(self, after: datetime) -> datetime | None:
        """Return the first moment later than ``after``; None only for what does not come within forty years."""
        return _next(self, after.astimezone(UTC))

    def coming(self, after: datetime, count: int = 5) -> list[datetime]:
        """Return the next ``count`` moments."""
        return list(islice(self.moments(after), count))

    def due_between(self, after: datetime, until: datetime, *, limit: int = 500) -> Due:
        """Return the moments later than ``after`` and not later than ``until``, at most the newest ``limit``."""
        newest: deque[datetime] = deque(maxlen=limit)
        first, count = None, 0
        for moment in self.moments(after):
            if moment > until:
                break
            first, count = first or moment, count + 1
            newest.append(moment)
        earlier = count - len(newest)
        return Due(tuple(newest), earlier, first if earlier else None)

    @property
    def sentence(self) -> Text:
        """Say when, as a person would, without the zone: “Every day at 03:00”."""
        return sentence(self.expression)

    @cached_property
    def _hour_always(self) -> bool:
        return len(fields.fields(self.expression).hours) == DAY_HOURS

    def _start(self, after: datetime) -> datetime:
        """Return a local time before which nothing comes later than ``after``, even where clocks are changed."""
        zone = fields.zone(self.zone)
        shifts = [_offset((after + around).astimezone(zone)) for around in (-AROUND, timedelta(), AROUND)]
        local = after.astimezone(zone).replace(tzinfo=None, fold=0)
        return (local - (max(shifts) - min(shifts))).replace(minute=0, second=0, microsecond=0)

    def _hours(self, start: datetime) -> Iterator[datetime]:
        """Yield the local hours from ``start`` on that have moments; the iteration ends after forty years."""
        cron = fields.fields(self.expression)
        day, last = start.date(), min(start.year + YEARS_AHEAD, datetime.max.year - 1)
        while day.year <= last:
            if day.month not in cron.months:
                day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
                continue
            if cron.match_day(day):
                hours = (datetime.combine(day, time(hour)) for hour in sorted(cron.hours))
                yield from (hour for hour in hours if hour >= start)
            day += timedelta(days=1)

    def _moments_of(self, hour: datetime) -> set[datetime]:
        zone = fields.zone(self.zone)
        local = [hour.replace(minute=minute) for minute in fields.fields(self.expression).minutes]
        offsets = {_offset(edge.replace(tzinfo=zone, fold=fold)) for edge in (hour, hour + HOUR) for fold in (0, 1)}
        if len(offsets) == 1:
            (offset,) = offsets
            return {(moment - offset).replace(tzinfo=UTC) for moment in local}
        return {moment for each in local for moment in self._around_a_change(each)}

    def _around_a_change(self, local: datetime) -> Iterator[datetime]:
        first, second = (_utc(local, fields.zone(self.zone), fold) for fold in (0, 1))
        yield first
        if second > first and self._hour_always:
            yield second

    def _earliest(self, local: datetime) -> datetime:
        """Return the earliest moment that a local time not before ``local`` can mean."""
        return min(_utc(local, fields.zone(self.zone), fold) for fold in (0, 1))


@lru_cache(maxsize=4096)
def _next(table: Timetable, after: datetime) -> datetime | None:
    return next(table.moments(after), None)


def _utc(local: datetime, zone: ZoneInfo, fold: int) -> datetime:
    return local.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _offset(moment: datetime) -> timedelta:
    offset = moment.utcoffset()
    assert offset is not None
    return offset
