"""What pages say of figures over time. Nothing here asks the catalogue."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import template
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from dbadmin import plots
from dbadmin.backups.statistics import Figures, Rate
from dbadmin.templatetags.dbadmin import duration, icon

register = template.Library()


@register.simple_tag
def calendar_of(cells: list[plots.Cell], words: str) -> SafeString:
    """Draw a year of days."""
    return plots.calendar(cells, key="calendar", title=_("Backups of each day"), words=words)


@register.simple_tag
def size_trend(row: Figures) -> SafeString:
    """Draw how large the backups of a database were."""
    title = _("Size of the backups of {database}").format(database=row.database)
    shown = [size for size in row.trend.sizes if size is not None]
    words = _range(filesizeformat(min(shown)), filesizeformat(max(shown))) if shown else ""
    return plots.trend(row.trend.sizes, key=f"size-{row.database.pk}", title=title, words=words)


@register.simple_tag
def time_trend(row: Figures) -> SafeString:
    """Draw how long the backups of a database took."""
    title = _("Time for the backups of {database}").format(database=row.database)
    shown = [each for each in row.trend.seconds if each is not None]
    words = _range(seconds(min(shown)), seconds(max(shown))) if shown else ""
    return plots.trend(row.trend.seconds, key=f"time-{row.database.pk}", title=title, words=words)


def _range(least: Any, most: Any) -> str:
    return _("from {least} to {most}").format(least=least, most=most)


@register.filter
def seconds(value: float | None) -> str:
    """Show seconds as a span."""
    return duration(None if value is None else timedelta(seconds=value))


@register.filter
def rate(value: Rate) -> str:
    """Show a share; never rounded up to all."""
    if value.percent is None:
        return "–"
    return "100 %" if value.succeeded == value.ended else f"{min(99.9, value.percent):.1f} %"


@register.simple_tag
def tick(is_kept: bool) -> SafeString:
    """A tick or a cross, with its word for those who do not see it."""
    name, css, word = ("check", "text-green", _("yes")) if is_kept else ("x", "text-red", _("no"))
    return format_html('{}<span class="visually-hidden">{}</span>', icon(name, f"icon-inline {css}"), word)
