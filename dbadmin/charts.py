"""Charts as SVG made by the server: no script, printable, told in words to those who do not see them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

BAR, GAP, HEIGHT = 6, 2, 20


@dataclass(frozen=True, kw_only=True)
class Day:
    """One bar of a strip: what is said about it, and its colour (green, yellow, red or none)."""

    title: str
    colour: str = "none"


def strip(days: Sequence[Day], label: str) -> SafeString:
    """Draw one bar per day, oldest first. ``label`` says in words what the strip shows."""
    bars = format_html_join(
        "",
        '<rect class="{}" x="{}" width="{}" height="{}" rx="1.5"><title>{}</title></rect>',
        ((day.colour, index * (BAR + GAP), BAR, HEIGHT, day.title) for index, day in enumerate(days)),
    )
    width = max(1, len(days) * (BAR + GAP) - GAP)
    return format_html(
        '<svg class="graph graph-strip" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>',
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


def _points(values: list[float]) -> str:
    if not values:
        return ""
    low, high = min(values), max(values)
    spread, step = (high - low) or 1, 100 / max(1, len(values) - 1)
    return " ".join(f"{i * step:.1f},{HEIGHT * (1 - (value - low) / spread):.1f}" for i, value in enumerate(values))
