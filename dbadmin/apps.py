"""The Django application."""

from __future__ import annotations

from pathlib import Path

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin.apps import AdminConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext


class AdministrationConfig(AdminConfig):
    """Django admin with an audit trail."""

    default = False
    default_site = "dbadmin.administration.Administration"


class DbadminConfig(AppConfig):
    """Connects the layers below Django with Django."""

    default = True
    name = "dbadmin"
    verbose_name = "dbadmin"

    def ready(self) -> None:
        """Translate sentences with Django, and keep the three groups as roles.py has them."""
        from dbadmin import checks as checks
        from dbadmin import text
        from dbadmin.engines import private
        from dbadmin.engines.postgresql import clients
        from dbadmin.roles import create_groups

        text.set_translator(gettext)
        clients.configure(settings.POSTGRESQL_BIN, fetched=Path(settings.HOME, "postgresql"), jobs=settings.DUMP_JOBS)
        home = Path(settings.HOME)
        private.configure(protected=(home, *_catalogue_files()), exceptions=(home / "samples", home / "catalogue-copy"))
        post_migrate.connect(create_groups, sender=self)


def _catalogue_files() -> list[Path]:
    """The catalogue may be a SQLite file outside the home folder."""
    catalogue = settings.DATABASES["default"]
    if not catalogue["ENGINE"].endswith("sqlite3"):
        return []
    return [Path(f"{catalogue['NAME']}{suffix}") for suffix in ("", "-wal", "-shm", "-journal")]
