"""When things are due, reckoned without the product: by walking through the days of a zone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Times:
    """A minute of every hour, or of an hour of every day, of a weekday (Monday is 0) or of a day of the month."""

    zone: str
    minute: int = 0
    hour: int | None = None
    weekday: int | None = None
    day: int | None = None

    @property
    def expression(self) -> str:
        """The same for cron, where Sunday is 0."""
        hour = "*" if self.hour is None else self.hour
        weekday = "*" if self.weekday is None else (self.weekday + 1) % 7
        return f"{self.minute} {hour} {'*' if self.day is None else self.day} * {weekday}"

    def between(self, after: datetime, until: datetime) -> list[datetime]:
        """Return the moments later than ``after`` and not later than ``until``, in UTC."""
        return [moment for moment in self._all(after - DAY, until + DAY) if after < moment <= until]

    def _all(self, start: datetime, end: datetime) -> Iterator[datetime]:
        if self.hour is None:  # clocks are changed by whole hours in these zones
            moment = start.replace(minute=self.minute, second=0, microsecond=0)
            while moment <= end:
                yield moment
                moment += HOUR
            return
        date = start.astimezone(ZoneInfo(self.zone)).date()
        while date <= end.date() + DAY:
            if self.weekday in (None, date.weekday()) and self.day in (None, date.day):
                # Of a moment that comes twice fold=0 is the first; one that does not exist is read by the clock before.
                local = datetime(date.year, date.month, date.day, self.hour, self.minute, tzinfo=ZoneInfo(self.zone))
                yield local.astimezone(UTC)
            date += DAY
