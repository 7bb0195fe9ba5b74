"""Tags and filters for all pages. None of them asks the catalogue anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django import template
from django.template.context import Context
from django.template.defaultfilters import filesizeformat
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dbadmin import charts, choices
from dbadmin.text import Text, quoted

register = template.Library()
register.simple_tag(charts.strip)
register.simple_tag(charts.sparkline)
register.filter("filesize", filesizeformat)


class Section(NamedTuple):
    """An entry of the navigation; ``prefixes`` are the beginnings of the names of its pages."""

    name: str
    icon: str
    label: Promise | str
    permission: str
    prefixes: tuple[str, ...]


SECTIONS = (
    Section("overview", "layout-dashboard", gettext_lazy("Overview"), "dbadmin.view_database", ("overview",)),
    Section("databases", "database", gettext_lazy("Databases"), "dbadmin.view_database", ("database", "assertion")),
    Section(
        "backups",
        "archive",
        gettext_lazy("Backups"),
        "dbadmin.view_backup",
        ("backup", "restore", "comparison", "drill"),
    ),
    Section("schedules", "calendar", gettext_lazy("Schedules"), "dbadmin.view_schedule", ("schedule", "retention")),
    Section("storages", "server", gettext_lazy("Storages"), "dbadmin.view_storage", ("storage", "key", "recovery")),
    Section("jobs", "list-check", gettext_lazy("Jobs"), "dbadmin.view_job", ("job", "worker")),
    Section("health", "heartbeat", gettext_lazy("Health"), "dbadmin.view_finding", ("health",)),
    Section("migrations", "versions", gettext_lazy("Migrations"), "dbadmin.view_appliedmigration", ("migration",)),
    Section("audit", "history", gettext_lazy("Audit"), "dbadmin.view_auditevent", ("audit",)),
    Section("admin:index", "settings", gettext_lazy("Administration"), "", ("admin:",)),
)


@dataclass(frozen=True)
class NavItem:
    """What the navigation shows of a section."""

    url: str
    icon: str
    label: Promise | str
    current: bool


@register.simple_tag(takes_context=True)
def nav_items(context: Context) -> list[NavItem]:
    """Return the sections the signed-in user may open, with the present one marked."""
    request = context.get("request")
    user = getattr(request, "user", None)
    match = getattr(request, "resolver_match", None)
    return list(_nav_items(user, match.view_name if match else "")) if user else []


def _nav_items(user: Any, view_name: str) -> Iterator[NavItem]:
    for section in SECTIONS:
        if user.has_perm(section.permission) if section.permission else user.is_staff:
            current = view_name.startswith(section.prefixes)
            yield NavItem(reverse(section.name), section.icon, section.label, current)


@register.simple_tag
def icon(name: str, css: str = "") -> SafeString:
    """Draw an icon of the sprite; words beside it say what it means."""
    return format_html(
        '<svg class="icon {}" width="24" height="24" aria-hidden="true" focusable="false"><use href="{}#{}"/></svg>',
        css,
        static("icons.svg"),
        name,
    )


@register.simple_tag
def badge(value: str, kind: str = "") -> SafeString:
    """Show a state as a word and its colour: ``{% badge job.state "JobState" %}``."""
    state = value if isinstance(value, choices.ColouredChoices) else getattr(choices, kind)(value)
    return format_html('<span class="badge bg-{}-lt">{}</span>', state.colour, state.label)


@register.simple_tag
def comma() -> str:
    """What stands between the parts of a phrase or list, as the reader's language writes it."""
    return _(", ")


register.filter(quoted)


@register.filter
def alert_colour(level: str) -> str:
    """Turn the tag of a message's level into Tabler's name."""
    return {"error": "danger", "debug": "info"}.get(level, level)


@register.filter
def sentence(value: Text | dict[str, Any] | str | None) -> str:
    """Show a stored sentence in the reader's language."""
    return str(value if isinstance(value, Text) else Text.from_json(value))


@register.filter
def ago(moment: datetime | None) -> SafeString | str:
    """Say how long ago it was; the exact time is in the tooltip."""
    if moment is None:
        return "–"
    text = age(moment)
    words = _("{time} ago").format(time=text) if text else _("just now")
    return _time(moment, words)


@register.filter
def at(moment: datetime | None) -> SafeString | str:
    """Show date and time to the minute, with the exact time in the tooltip."""
    return "–" if moment is None else _time(moment, date_format(timezone.localtime(moment), "Y-m-d H:i"))


def _time(moment: datetime, words: str) -> SafeString:
    local = timezone.localtime(moment)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', local.isoformat(), local.strftime("%Y-%m-%d %H:%M:%S %Z"), words
    )


@register.filter
def age(moment: datetime | None) -> str:
    """Say how old it is in one unit; empty when it is less than a minute."""
    if moment is None or timezone.now() - moment < timedelta(minutes=1):
        return ""
    return timesince(moment, depth=1).replace("\xa0", " ")


@register.filter
def duration(span: timedelta | None) -> str:
    """Show a span in at most two units."""
    if span is None:
        return "–"
    seconds = span.total_seconds()
    if seconds < 10:
        return _("{seconds} s").format(seconds=f"{max(0.0, seconds):.1f}")
    whole = round(seconds)
    if whole < 60:
        return _("{seconds} s").format(seconds=whole)
    if whole < 3600:
        return _("{minutes} min {seconds} s").format(minutes=whole // 60, seconds=whole % 60)
    if whole < 86_400:
        return _("{hours} h {minutes} min").format(hours=whole // 3600, minutes=whole % 3600 // 60)
    return _("{days} d {hours} h").format(days=whole // 86_400, hours=whole % 86_400 // 3600)


@register.simple_tag
def strip_of(days: list[charts.Day]) -> SafeString:
    """Draw the strip of backup results, and count them in words."""
    made = sum(day.colour in ("green", "yellow") for day in days)
    failed = sum(day.colour in ("red", "yellow") for day in days)
    words = _("Last {days} days: backed up on {made}, failed on {failed}.")
    return charts.strip(days, words.format(days=len(days), made=made, failed=failed))
