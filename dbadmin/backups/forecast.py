"""How a storage grows, and when it will be full. Pure: figures in, figures out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from dbadmin.text import Text

LEAST_DAYS = 7
MONTH, YEAR = 30.44, 365.25
FARTHEST_YEARS = 10


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """``per_day``: bytes that each day adds, None while that is not known; ``full_in``: days, None for never."""

    per_day: float | None = None
    full_in: float | None = None

    @property
    def per_month(self) -> int | None:
        """Bytes that a month adds."""
        return None if self.per_day is None else round(self.per_day * MONTH)

    @property
    def words(self) -> Text:
        """Say it as a person would."""
        if self.full_in is not None:
            return _until(self.full_in)
        if self.per_day is None:
            return Text("No forecast before a week has been measured.")
        if self.per_day <= 0:
            return Text("It does not grow.")
        return Text("It grows; how much room there is is not known.")


def forecast(samples: Sequence[tuple[date, int]], *, room: int | None) -> Forecast:
    """Lay a straight line through (day, bytes used), oldest first; ``room`` is what is still free, in bytes."""
    if room is not None and room <= 0:
        return Forecast(per_day=slope(samples), full_in=0)
    per_day = slope(samples)
    if per_day is None or per_day <= 0 or room is None:
        return Forecast(per_day=per_day)
    return Forecast(per_day=per_day, full_in=room / per_day)


def slope(samples: Sequence[tuple[date, int]]) -> float | None:
    """Return the bytes per day of the line with the least squares; None when less than a week was measured."""
    if not samples or (samples[-1][0] - samples[0][0]).days < LEAST_DAYS:
        return None
    days = [(day - samples[0][0]).days for day, _used in samples]
    middle, mean = sum(days) / len(days), sum(used for _day, used in samples) / len(samples)
    spread = sum((day - middle) ** 2 for day in days)
    return sum((day - middle) * (used - mean) for day, (_day, used) in zip(days, samples, strict=True)) / spread


def _until(days: float) -> Text:
    if days < 1:
        return Text("It is full.") if days <= 0 else Text("Full within a day.")
    if days < 2 * 7:
        return Text("Full in about {count} days.", count=max(2, round(days)))
    if days < 2 * MONTH:
        return Text("Full in about {count} weeks.", count=round(days / 7))
    if days < 2 * YEAR:
        return Text("Full in about {count} months.", count=round(days / MONTH))
    if days < FARTHEST_YEARS * YEAR:
        return Text("Full in about {count} years.", count=round(days / YEAR))
    return Text("Room for more than ten years.")
