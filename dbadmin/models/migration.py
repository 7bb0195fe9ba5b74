"""Our own copy of what migration tools recorded; theirs forgets."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from dbadmin.choices import MigrationState
from dbadmin.models.database import Database
from dbadmin.models.fields import SentenceField


class MigrationStatus(models.Model):
    """The newest reading of one tool in one database."""

    database = models.ForeignKey(Database, models.CASCADE, related_name="migration_statuses")
    tool = models.CharField(_("tool"), max_length=20)
    head = models.CharField(_("head"), max_length=200, blank=True)
    applied = models.PositiveIntegerField(_("applied"), default=0)
    pending = models.PositiveIntegerField(_("pending"), null=True, blank=True)
    problem = SentenceField(verbose_name=_("problem"))
    read_at = models.DateTimeField(_("read at"))

    class Meta:
        ordering = ["database", "tool"]
        verbose_name = _("migration status")
        verbose_name_plural = _("migration statuses")
        constraints = [models.UniqueConstraint(fields=["database", "tool"], name="one_status_per_tool")]

    def __str__(self) -> str:
        return f"{self.database}: {self.tool} {self.head}"


class AppliedMigration(models.Model):
    """A migration as the tool's table or the project's folder shows it, with when we first and last saw it so."""

    database = models.ForeignKey(Database, models.CASCADE, related_name="applied_migrations")
    tool = models.CharField(_("tool"), max_length=20)
    revision = models.CharField(_("revision"), max_length=255)
    description = models.CharField(_("description"), max_length=300, blank=True)
    state = models.CharField(_("state"), max_length=15, choices=MigrationState)
    applied_at = models.DateTimeField(_("applied at"), null=True, blank=True)
    position = models.PositiveIntegerField(default=0)
    checksum = models.CharField(max_length=64, blank=True)
    first_seen_at = models.DateTimeField(_("first seen at"))
    last_seen_at = models.DateTimeField(_("last seen at"))
    disappeared_at = models.DateTimeField(_("disappeared at"), null=True, blank=True)

    class Meta:
        ordering = ["database", "tool", "position"]
        verbose_name = _("applied migration")
        verbose_name_plural = _("applied migrations")
        constraints = [models.UniqueConstraint(fields=["database", "tool", "revision"], name="one_row_per_revision")]

    def __str__(self) -> str:
        return f"{self.tool} {self.revision}"
