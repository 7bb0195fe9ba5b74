"""Where a backup is drilled."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from dbadmin.choices import EngineName
from dbadmin.forms.styles import Styled
from dbadmin.models import Backup, Database


class DrillForm(Styled, forms.Form):
    """A throw-away server on this machine, or the server of a registered PostgreSQL database, named by its slug."""

    on = forms.ChoiceField(
        label=_("Place"),
        required=False,
        help_text=_(
            "On a registered server a throw-away database is made and removed again. Nothing else there is touched; "
            "its free disk space cannot be seen from here."
        ),
    )

    def __init__(self, data: Any = None, *, backup: Backup) -> None:
        super().__init__(data)
        own = backup.database
        choices: list[Any] = [("", _("A throw-away server on this machine (recommended)"))]
        if others := _others(own):
            choices.append((_("Registered servers"), [(each.slug, _label(each)) for each in others]))
        if own.removed_at is None:
            own_server = _("The database's own server: costs it load and disk")
            choices.append((own_server, [(own.slug, _label(own))]))
        self.fields["on"].choices = choices  # type: ignore[attr-defined]


def drill_form(backup: Backup, data: Any = None) -> DrillForm | None:
    """Return the form, of a backup that can be drilled on other servers."""
    return DrillForm(data, backup=backup) if backup.database.engine == EngineName.POSTGRESQL else None


def _others(own: Database) -> list[Database]:
    """One database for each other server and role there; those of the own server are not meant by anybody."""
    known = Database.objects.registered().filter(engine=EngineName.POSTGRESQL, is_catalogue=False)
    found: dict[Any, Database] = {}
    for each in known.exclude(pk=own.pk).select_related("application"):
        if not _server(each)[0] or _server(each) != _server(own):
            found.setdefault((*_server(each), each.settings.get("user")) if _server(each)[0] else each.pk, each)
    return list(found.values())


def _server(database: Database) -> tuple[str, str]:
    """Return host and port, an empty host where they are found out only when it is connected to."""
    return str(database.settings.get("host") or ""), str(database.settings.get("port") or 5432)


def _label(database: Database) -> str:
    host, port = _server(database)
    name = f"{database.application} / {database}"
    return f"{host}:{port} · {name}" if host else name
