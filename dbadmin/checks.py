"""Django system checks of the installation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import OperationalError, connections
from django.utils.translation import gettext as _


@register(Tags.database)
def catalogue_is_ours(*, databases: Sequence[str] | None = None, **_options: Any) -> list[CheckMessage]:
    """Refuse to put our tables into the database of an application whose DATABASE_URL happens to be set."""
    if "default" not in (databases or []):
        return []
    try:
        with connections["default"].cursor() as cursor:
            tables = set(connections["default"].introspection.table_names(cursor))
    except OperationalError:
        return []  # whatever is run next says so better
    if not tables or any(table.startswith("dbadmin_") for table in tables):
        return []
    return [
        Error(
            _("The database of DATABASE_URL holds the tables of another application, and no catalogue of dbadmin."),
            hint=_("Give dbadmin a database of its own: set DBADMIN_DATABASE_URL."),
            id="dbadmin.E001",
        )
    ]
