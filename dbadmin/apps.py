"""The Django application."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext


class DbadminConfig(AppConfig):
    """Connects the layers below Django with Django."""

    name = "dbadmin"
    verbose_name = "dbadmin"

    def ready(self) -> None:
        """Translate sentences with Django, and keep the three groups as roles.py has them."""
        from dbadmin import checks as checks
        from dbadmin import text
        from dbadmin.roles import create_groups

        text.set_translator(gettext)
        post_migrate.connect(create_groups, sender=self)
