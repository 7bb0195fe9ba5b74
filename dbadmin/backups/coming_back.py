"""A removed database that is added again: its row comes back, so that its backups are its own again."""

from __future__ import annotations

from django.db.models import Q
from django.utils.text import slugify

from dbadmin.exceptions import ValidationFailed
from dbadmin.models import Application, Database
from dbadmin.text import Text

# Of the catalogue's own row the dashboard itself takes care.
REMOVED = Q(removed_at__isnull=False, is_catalogue=False)


def removed(slug: str) -> Database | None:
    """Return the removed database that has this short name."""
    return Database.objects.filter(REMOVED, slug=slug).first()


def removed_like(*, name: str, application: str, engine: str) -> Database | None:
    """Return the removed database of an application that had this name, or the short name made of it."""
    slugs = (slugify(name)[:50], slugify(f"{application} {name}")[:44])
    same = Database.objects.filter(REMOVED, Q(name__iexact=name) | Q(slug__in=slugs), engine=engine)
    return next((row for row in same.select_related("application") if is_called(row.application, application)), None)


def is_called(application: Application, name: str) -> bool:
    """Say whether somebody who writes this means that application."""
    return application.name.lower() == name.lower() or application.slug in (name, slugify(name))


def require_same_kind(database: Database, engine: str) -> None:
    """Refuse to make the backups of a removed database those of one of another kind."""
    if database.engine != engine:
        raise ValidationFailed(
            Text("“{slug}” is the short name of a removed database of another kind, {engine}, which has backups.",
                 slug=database.slug, engine=database.adapter.label),
            Text("Choose another short name."),
        )  # fmt: skip


def take_back(database: Database) -> None:
    """Put it on the dashboard again, with nothing of how it was reached before; the caller describes and saves it."""
    database.removed_at = database.checked_at = None
    database.failed_probes = 0
    database.settings, database.encrypted_password = {}, ""


def said(database: Database) -> Text:
    """Tell that it is no new one."""
    return Text("“{name}” is back on the dashboard; its backups are its own again.", name=database.name)
