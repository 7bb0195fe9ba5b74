"""Charts over time as SVG made by the server: growth with its forecast, trends, and a calendar of days.

Each has a title and a description in words; the page shows the same figures in a table beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.template.defaultfilters import filesizeformat
from django.utils.dates import MONTHS_3, WEEKDAYS_ABBR
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

WIDTH, HEIGHT = 760, 230
LEFT, RIGHT, TOP, BOTTOM = 8, 76, 12, 26  # labels at the right, where a narrow page begins to read
CELL, PITCH = 11, 14
GRID_LEFT, GRID_TOP = 30, 18
TREND_WIDTH, TREND_HEIGHT = 160, 36


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Bytes used on days, oldest first; ``ahead`` is the forecast after the last day; ``limit``: what fits."""

    past: Sequence[tuple[date, int]]
    ahead: Sequence[tuple[date, int]] = ()
    limit: int | None = None


def growth(chart: Growth, *, key: str, title: str, words: str) -> SafeString:
    """Draw bytes over days, the forecast dashed. ``key`` makes the ids unique; empty where a line needs more days."""
    if len(chart.past) < 2:
        return mark_safe("")
    scale = _Scale.of(chart)
    return _svg(
        "graph-growth", WIDTH, HEIGHT, key, title, words, _axes(scale), _limit(scale, chart.limit), _lines(scale, chart)
    )


@dataclass(frozen=True, kw_only=True)
class _Scale:
    first: date
    last: date
    top: int
    step: int

    @classmethod
    def of(cls, chart: Growth) -> _Scale:
        points = (*chart.past, *chart.ahead)
        highest = max(1, *(used for _day, used in points))
        if chart.limit is not None and chart.limit <= 3 * highest:
            highest = max(highest, chart.limit)
        step = _nice(highest / 4)
        return cls(first=points[0][0], last=points[-1][0], top=step * -(-highest // step), step=step)

    def x(self, day: date) -> float:
        return LEFT + (day - self.first).days * (WIDTH - LEFT - RIGHT) / max(1, (self.last - self.first).days)

    def y(self, used: float) -> float:
        return HEIGHT - BOTTOM - used * (HEIGHT - TOP - BOTTOM) / self.top

    def points(self, values: Iterable[tuple[date, int]]) -> str:
        return " ".join(f"{self.x(day):.1f},{self.y(used):.1f}" for day, used in values)


def _nice(bytes_: float) -> int:
    """Round up to 1, 2, 5, 10 … of a unit that people read."""
    unit = 1
    while bytes_ >= 1024 * unit:
        unit *= 1024
    steps = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1024)
    return next(step for step in steps if step * unit >= bytes_) * unit


def _axes(scale: _Scale) -> SafeString:
    heights = [(scale.y(used), used) for used in range(0, scale.top + 1, scale.step)]
    rows = format_html_join(
        "",
        '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="tick" x="{}" y="{}">{}</text>',
        (
            (LEFT, WIDTH - RIGHT, f"{y:.1f}", f"{y:.1f}", WIDTH - RIGHT + 8, f"{y + 4:.1f}", filesizeformat(used))
            for y, used in heights
        ),
    )
    columns = format_html_join(
        "",
        '<text class="tick" x="{}" y="{}" text-anchor="{}">{}</text>',
        ((f"{scale.x(day):.1f}", HEIGHT - 8, anchor, day.isoformat()) for day, anchor in _marked(scale)),
    )
    return rows + columns


def _marked(scale: _Scale) -> Iterator[tuple[date, str]]:
    days = (scale.last - scale.first).days
    yield scale.first, "start"
    for part in (1, 2, 3) if days >= 12 else ():
        yield scale.first + timedelta(days=days * part // 4), "middle"
    yield scale.last, "end"


def _limit(scale: _Scale, limit: int | None) -> SafeString:
    if limit is None or limit > scale.top:
        return mark_safe("")
    y = f"{scale.y(limit):.1f}"
    return format_html('<line class="limit" x1="{}" x2="{}" y1="{}" y2="{}"/>', LEFT, WIDTH - RIGHT, y, y)


def _lines(scale: _Scale, chart: Growth) -> SafeString:
    past, floor = scale.points(chart.past), f"{scale.y(0):.1f}"
    ends = f"{scale.x(chart.past[-1][0]):.1f},{floor} {scale.x(chart.past[0][0]):.1f},{floor}"
    ahead = scale.points((chart.past[-1], *chart.ahead)) if chart.ahead else ""
    return format_html(
        '<polygon class="area" points="{} {}"/><polyline class="line" points="{}"/>'
        '<polyline class="line ahead" points="{}"/>',
        past,
        ends,
        past,
        ahead,
    )


def trend(values: Sequence[float | None], *, key: str, title: str, words: str) -> SafeString:
    """Draw a small line from zero up, newest at the right; None leaves a gap."""
    top, step = max([1e-9, *(each for each in values if each is not None)]), TREND_WIDTH / max(1, len(values) - 1)
    places = [
        None if each is None else f"{number * step:.1f},{(TREND_HEIGHT - 2) * (1 - each / top) + 1:.1f}"
        for number, each in enumerate(values)
    ]
    lines = format_html_join("", '<polyline class="line" points="{}"/>', ((run,) for run in _runs(places)))
    return _svg("graph-trend", TREND_WIDTH, TREND_HEIGHT, key, title, words, lines)


def _runs(places: Sequence[str | None]) -> Iterator[str]:
    run: list[str] = []
    for place in (*places, None):
        if place is not None:
            run.append(place)
        elif run:
            # a single point is a line without length, which round ends make a dot
            yield " ".join(run if len(run) > 1 else run * 2)
            run = []


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A day of the calendar: its shade (none, green-1 to green-3, yellow, red), what is said of it, where it leads."""

    day: date
    shade: str
    words: str
    url: str = ""


def calendar(cells: Sequence[Cell], *, key: str, title: str, words: str) -> SafeString:
    """Draw weeks as columns, Monday at the top, newest at the right; trouble is marked by a dot, not only a colour."""
    start = cells[0].day - timedelta(days=cells[0].day.weekday())
    weeks = (cells[-1].day - start).days // 7 + 1
    width, height = GRID_LEFT + weeks * PITCH, GRID_TOP + 7 * PITCH
    drawn = format_html_join("", "{}", ((_cell(cell, start),) for cell in cells))
    return _svg("graph-calendar", width, height, key, title, words, _months(cells, start), _weekdays(), drawn)


def _cell(cell: Cell, start: date) -> SafeString:
    week, weekday = divmod((cell.day - start).days, 7)
    x, y = GRID_LEFT + week * PITCH, GRID_TOP + weekday * PITCH
    box = format_html(
        '<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="2"><title>{}</title></rect>',
        cell.shade,
        x,
        y,
        CELL,
        CELL,
        cell.words,
    )
    if cell.shade in ("red", "yellow"):
        box += format_html('<circle class="mark" cx="{}" cy="{}" r="2"/>', x + CELL / 2, y + CELL / 2)
    if not cell.url:
        return box
    # Reached by mouse; the table below has the same places for the keyboard.
    return format_html('<a href="{}" aria-label="{}" tabindex="-1">{}</a>', cell.url, cell.words, box)


def _months(cells: Sequence[Cell], start: date) -> SafeString:
    firsts = [cell.day for cell in cells if cell.day.day == 1]
    return format_html_join(
        "",
        '<text class="tick" x="{}" y="11">{}</text>',
        ((GRID_LEFT + -(-(day - start).days // 7) * PITCH, str(MONTHS_3[day.month]).capitalize()) for day in firsts),
    )


def _weekdays() -> SafeString:
    return format_html_join(
        "",
        '<text class="tick" x="0" y="{}">{}</text>',
        ((GRID_TOP + number * PITCH + CELL - 1, WEEKDAYS_ABBR[number]) for number in (0, 2, 4)),
    )


def _svg(css: str, width: int, height: int, key: str, title: str, words: str, *parts: SafeString) -> SafeString:
    return format_html(
        '<svg class="graph {}" viewBox="0 0 {} {}" role="{}" aria-labelledby="{}-title {}-words">'
        '<title id="{}-title">{}</title><desc id="{}-words">{}</desc>{}</svg>',
        css,
        width,
        height,
        "group" if css == "graph-calendar" else "img",
        key,
        key,
        key,
        title,
        key,
        words,
        format_html_join("", "{}", ((part,) for part in parts)),
    )
