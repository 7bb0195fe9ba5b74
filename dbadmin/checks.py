"""Django system checks of the installation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import OperationalError
from django.utils.translation import gettext as _

from dbadmin.catalogue import is_of_another_application
from dbadmin.jobs.bell import bells
from dbadmin.jobs.bells.base import Unreachable


@register()
def redis_answers(**_options: Any) -> list[CheckMessage]:
    """Warn of a Redis that is away: jobs would wait until it is back."""
    try:
        bells().require()
    except Unreachable as error:
        return [checks.Warning(str(error.message), hint=str(error.hint), id="dbadmin.W001")]
    return []


@register(Tags.database)
def catalogue_is_ours(*, databases: Sequence[str] | None = None, **_options: Any) -> list[CheckMessage]:
    """Refuse to put our tables into the database of an application whose DATABASE_URL happens to be set."""
    if "default" not in (databases or []):
        return []
    try:
        if not is_of_another_application():
            return []
    except OperationalError:
        return []  # whatever is run next says so better
    return [
        Error(
            _("The database of DATABASE_URL holds the tables of another application, and no catalogue of dbadmin."),
            hint=_("Give dbadmin a database of its own: set DBADMIN_DATABASE_URL."),
            id="dbadmin.E001",
        )
    ]
