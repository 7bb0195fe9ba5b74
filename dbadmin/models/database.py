"""Applications and the databases they own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from dbadmin import sources
from dbadmin.choices import EngineName, Environment, FactsLevel, Source
from dbadmin.crypto import decrypt, encrypt, opens
from dbadmin.engines import get_engine
from dbadmin.engines.base import Engine
from dbadmin.engines.sqlite.connection import SQLiteConnection
from dbadmin.facts import Measuring


class Application(models.Model):
    """A product that owns databases."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    slug = models.SlugField(_("short name"), unique=True)
    description = models.CharField(_("description"), max_length=200, blank=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("application")
        verbose_name_plural = _("applications")

    def __str__(self) -> str:
        return self.name


class DatabaseQuerySet(models.QuerySet["Database"]):
    """Databases as adjectives."""

    def registered(self) -> DatabaseQuerySet:
        """Those that are on the dashboard; removed ones are kept for their backups."""
        return self.filter(removed_at__isnull=True)


class Database(models.Model):
    """A registered target. Removing it from the dashboard sets ``removed_at``; its backups stay."""

    application = models.ForeignKey(
        Application, models.PROTECT, related_name="databases", verbose_name=_("application")
    )
    name = models.CharField(_("name"), max_length=100)
    slug = models.SlugField(_("short name"), unique=True)
    engine = models.CharField(_("engine"), max_length=20, choices=EngineName)
    environment = models.CharField(_("environment"), max_length=20, choices=Environment, default=Environment.PRODUCTION)
    source = models.CharField(_("connection from"), max_length=20, choices=Source, default=Source.FIELDS)
    settings = models.JSONField(_("settings"), default=dict, blank=True)
    encrypted_password = models.TextField(_("encrypted password"), blank=True, editable=False)
    project_folder = models.CharField(
        _("project folder"),
        max_length=500,
        blank=True,
        help_text=_("Where the application's migration files are, to tell pending and modified ones."),
    )
    backup_age_hours = models.PositiveIntegerField(
        _("newest backup at most this old (hours)"),
        default=26,
        help_text=_("An older one is a warning, twice as old is critical."),
    )
    restore_minutes = models.PositiveIntegerField(
        _("longest acceptable restore (minutes)"), default=60, help_text=_("Compared with what drills measure.")
    )
    facts_level = models.CharField(
        _("facts of each backup"),
        max_length=10,
        choices=FactsLevel,
        default=FactsLevel.COUNTS,
        help_text=_("Hashes read every value in the database once more; they tell of a change that no count shows."),
    )
    facts_seconds = models.PositiveIntegerField(
        _("longest time for counting and hashing (seconds)"),
        default=0,
        help_text=_("What is not measured by then is said, and never called equal. 0 is no limit."),
    )
    labels = models.CharField(
        _("labels"), max_length=200, blank=True, help_text=_("Words between commas, for schedules that name one.")
    )
    site = models.SlugField(
        _("site"),
        max_length=40,
        blank=True,
        help_text=_("Only workers started for this site take its jobs; empty: any worker."),
    )
    is_catalogue = models.BooleanField(default=False, editable=False)
    failed_probes = models.PositiveIntegerField(default=0, editable=False)
    checked_at = models.DateTimeField(null=True, editable=False)
    removed_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DatabaseQuerySet.as_manager()

    class Meta:
        ordering = ["application__name", "name"]
        verbose_name = _("database")
        verbose_name_plural = _("databases")
        permissions = [
            ("test_database", "Can test the connection of a database"),
            ("maintain_database", "Can look after a database"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("database", args=[self.slug])

    @property
    def adapter(self) -> Engine:
        """The engine that speaks to this database."""
        return get_engine(self.engine)

    @property
    def password(self) -> str:
        """The stored password; ``ValidationFailed`` when the key does not fit."""
        return decrypt(self.encrypted_password)

    @password.setter
    def password(self, secret: str) -> None:
        self.encrypted_password = encrypt(secret)

    @property
    def is_locked(self) -> bool:
        """Whether it is reached with a stored password that no key of this process opens."""
        return self.source == Source.FIELDS and not opens(self.encrypted_password)

    @property
    def label_set(self) -> frozenset[str]:
        """The labels, one by one."""
        return frozenset(label.strip() for label in self.labels.split(",") if label.strip())

    @property
    def measuring(self) -> Measuring:
        """How much is measured when it is backed up."""
        return Measuring(hashes=self.facts_level == FactsLevel.HASHES, seconds=self.facts_seconds)

    def connection(self) -> Any:
        """Return the engine's connection; of the environment's variables at this moment where those are the source."""
        if self.is_catalogue:
            return _own_connection()
        if self.source == Source.ENVIRONMENT:
            chosen = sources.from_environment(application_variables()).require()
            return self.adapter.connection(dict(chosen.settings) | self.settings, chosen.password)
        return self.adapter.connection(self.settings, self.password)


def copied_catalogue() -> Path:
    """Return where the copy of a SQLite catalogue lies that backups and checks read.

    Never the catalogue itself: whoever closes a file of it by another library drops the locks of this process.
    """
    return Path(settings.HOME) / "catalogue-copy" / "catalogue.sqlite3"


def _own_connection() -> Any:
    own = settings.DATABASES["default"]
    if own["ENGINE"].endswith("sqlite3"):
        return SQLiteConnection(copied_catalogue())
    # What stands behind the question mark of the URL, such as ?host=/run/postgresql, is an option.
    options = own.get("OPTIONS", {})
    place = {name: options.get(name) or own.get(name.upper()) for name in ("host", "port", "user", "sslmode")}
    place["name"] = own["NAME"]
    return get_engine(EngineName.POSTGRESQL).connection(
        {name: value for name, value in place.items() if value}, own["PASSWORD"]
    )


def application_variables() -> dict[str, str]:
    """Return the environment in which connections are looked for: ours, without the URL of our own catalogue."""
    own = settings.CATALOGUE_URL
    return {name: value for name, value in os.environ.items() if not (name == "DATABASE_URL" and value == own)}
