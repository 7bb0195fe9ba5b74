"""Tags and filters of the pages about schedules and retention. None of them asks the catalogue anything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timeuntil
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from dbadmin import charts
from dbadmin.models import Retention

RULES = ("last", "within_days", "hourly", "daily", "weekly", "monthly", "yearly")
register = template.Library()


@register.filter
def until(moment: datetime | None) -> str:
    """Say how far ahead it is in one unit."""
    if moment is None:
        return "–"
    if moment <= timezone.now():
        return _("due now")
    if moment - timezone.now() < timedelta(minutes=1):
        return _("within a minute")
    return _("in {time}").format(time=timeuntil(moment, depth=1).replace("\xa0", " "))


@register.filter
def clock(moment: datetime, zone: str) -> str:
    """Write it to the minute as the clocks of a zone show it, with the zone's abbreviation at that moment.

    ``zone`` may be one that this machine does not know, as after a recovery elsewhere; then it is UTC, and says so.
    """
    try:
        return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M %Z}"
    except (LookupError, ValueError, OSError):
        at = f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"
        return _("{time} UTC (time zone {zone} is unknown here)").format(time=at, zone=zone)


@register.filter
def at_zone(moment: datetime | None, zone: str) -> SafeString | str:
    """Show date and time in a schedule's zone, with the moment itself in the attribute."""
    if moment is None:
        return "–"
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(), clock(moment, zone))


@register.simple_tag
def strip_of_runs(moments: list[charts.Day]) -> SafeString:
    """Draw one bar per moment, and count them in words."""
    good = sum(moment.colour == "green" for moment in moments)
    bad = sum(moment.colour == "red" for moment in moments)
    words = _("The last {total} moments: {good} succeeded, {bad} failed or were missed.")
    return charts.strip(moments, words.format(total=len(moments), good=good, bad=bad))


@register.filter
def rules(retention: Retention) -> list[str]:
    """Say each rule of a retention; one sentence when there is none."""
    said = [
        ngettext("the newest one", "the newest {n}", retention.last),
        ngettext("all of the last day", "all of the last {n} days", retention.within_days),
        ngettext("one of the last hour", "one of each of {n} hours", retention.hourly),
        ngettext("one of the last day", "one of each of {n} days", retention.daily),
        ngettext("one of the last week", "one of each of {n} weeks", retention.weekly),
        ngettext("one of the last month", "one of each of {n} months", retention.monthly),
        ngettext("one of the last year", "one of each of {n} years", retention.yearly),
    ]
    counts = [getattr(retention, name) for name in RULES]
    return [words.format(n=n) for n, words in zip(counts, said, strict=True) if n] or [_("everything, for ever")]
