"""Charts as SVG made by the server: no script, printable, told in words to those who do not see them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import log1p

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import ngettext

BAR, GAP, HEIGHT = 6, 2, 20
LANE_WIDTH, LANE_HEIGHT, RADIUS = 640, 38, 4
MARKS = (timedelta(days=1), timedelta(days=7), timedelta(days=30), timedelta(days=365))


@dataclass(frozen=True, kw_only=True)
class Day:
    """One bar of a strip: what is said about it, and its colour (green, yellow, red or none)."""

    title: str
    colour: str = "none"


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A thing of some age: what is said about it, and its colour; a hollow one is about to go."""

    age: timedelta
    title: str
    colour: str
    is_hollow: bool = False


def strip(days: Sequence[Day], label: str) -> SafeString:
    """Draw one bar per day, oldest first. ``label`` says in words what the strip shows."""
    bars = format_html_join(
        "",
        '<rect class="{}" x="{}" width="{}" height="{}" rx="1.5"><title>{}</title></rect>',
        ((day.colour, index * (BAR + GAP), BAR, HEIGHT, day.title) for index, day in enumerate(days)),
    )
    width = max(1, len(days) * (BAR + GAP) - GAP)
    return format_html(
        '<svg class="graph graph-strip" viewBox="0 0 {} {}" preserveAspectRatio="xMinYMid" role="img" '
        'aria-label="{}">{}</svg>',
        width,
        HEIGHT,
        label,
        bars,
    )


def sparkline(values: Iterable[float], label: str) -> SafeString:
    """Draw a line through the values, lowest at the bottom. ``label`` says in words what it shows."""
    return format_html(
        '<svg class="graph graph-sparkline" viewBox="0 -1 100 {}" preserveAspectRatio="none" role="img" '
        'aria-label="{}"><polyline points="{}" vector-effect="non-scaling-stroke"/></svg>',
        HEIGHT + 2,
        label,
        _points(list(values)),
    )


def dots(things: Sequence[Dot], label: str) -> SafeString:
    """Draw one dot per thing, the newest at the right; each step to the left is older by a factor, not by days."""
    oldest = max([thing.age for thing in things], default=timedelta()) + timedelta(days=1)
    marks = format_html_join(
        "",
        '<line class="mark-line" x1="{0}" x2="{0}" y1="2" y2="22"/><text class="mark-text" x="{0}" y="32">{1}</text>',
        ((_place(mark, oldest), _days_words(mark)) for mark in MARKS if mark < oldest),
    )
    circles = format_html_join(
        "",
        '<circle class="{}{}" cx="{}" cy="12" r="{}"><title>{}</title></circle>',
        (
            (each.colour, " hollow" if each.is_hollow else "", _place(each.age, oldest), RADIUS, each.title)
            for each in reversed(things)
        ),
    )
    return format_html(
        '<svg class="graph graph-dots" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}</svg>',
        LANE_WIDTH,
        LANE_HEIGHT,
        label,
        marks,
        circles,
    )


def _place(age: timedelta, oldest: timedelta) -> str:
    """Return where an age is drawn: near now hours are far apart, later months are near to each other."""
    hours, all_hours = age.total_seconds() / 3600, oldest.total_seconds() / 3600
    share = log1p(hours / 6) / log1p(all_hours / 6)
    return f"{LANE_WIDTH - 2 * RADIUS - share * (LANE_WIDTH - 4 * RADIUS):.1f}"


def _days_words(age: timedelta) -> str:
    return ngettext("{days} day", "{days} days", age.days).format(days=age.days)


def _points(values: list[float]) -> str:
    if not values:
        return ""
    low, high = min(values), max(values)
    spread, step = (high - low) or 1, 100 / max(1, len(values) - 1)
    return " ".join(f"{i * step:.1f},{HEIGHT * (1 - (value - low) / spread):.1f}" for i, value in enumerate(values))
