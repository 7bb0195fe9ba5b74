"""What pages say of storages. Nothing here asks the catalogue or a storage."""

from __future__ import annotations

from typing import Any

from django import template
from django.template.defaultfilters import filesizeformat
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from dbadmin import plots
from dbadmin.backups.storage_use import Use
from dbadmin.models import Storage
from dbadmin.storages.kinds import KINDS

register = template.Library()


@register.filter
def kind_label(storage: Storage) -> str:
    """Name the kind; one that is no longer known by its own word."""
    kind = KINDS.get(storage.kind)
    return str(kind.label) if kind else storage.kind


@register.filter
def place(storage: Storage) -> str:
    """Say in one line where it is."""
    parts = ("endpoint", "account", "remote", "bucket", "container", "path", "prefix")
    return " / ".join(str(storage.settings[name]) for name in parts if storage.settings.get(name))


def shown_settings(storage: Storage) -> list[tuple[str, str]]:
    """Return what was set, by label; of secrets only whether there are any."""
    kind = KINDS.get(storage.kind)
    labels = {setting.name: str(setting.label) for setting in kind.settings} if kind else {}
    shown = [(labels.get(name, name), _shown(value)) for name, value in storage.settings.items() if value != ""]
    if storage.encrypted_secrets:
        shown.append((_("Secrets"), _("stored, cannot be read") if storage.is_locked else _("stored, encrypted")))
    return shown


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return str(value)


@register.filter
def signed_size(size: int | None) -> str:
    """Show bytes with their sign."""
    if size is None:
        return "–"
    return f"{'+' if size > 0 else '−' if size < 0 else ''}{filesizeformat(abs(size))}"


@register.simple_tag
def growth_of(use: Use, chart: plots.Growth) -> SafeString:
    """Draw how a storage grows; empty before two days have been measured."""
    words = _("{used} now, {more} each month. {forecast}").format(
        used=filesizeformat(use.used), more=signed_size(use.forecast.per_month), forecast=use.forecast.words
    )
    title = _("Growth of {storage}").format(storage=use.storage)
    return plots.growth(chart, key=f"growth-{use.storage.pk}", title=title, words=words)
