"""Drills: restores whose only purpose is proof, and what a restored copy has to answer."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from dbadmin.choices import AssertionKind, DrillKind, DrillState
from dbadmin.models.backup import Backup
from dbadmin.models.database import Database
from dbadmin.models.job import Job


class Drill(models.Model):
    """A backup restored into a throw-away place and compared; nothing of the place is left."""

    backup = models.ForeignKey(Backup, models.PROTECT, related_name="drills", verbose_name=_("backup"))
    job = models.OneToOneField(Job, models.SET_NULL, null=True, blank=True, related_name="drill")
    kind = models.CharField(_("kind"), max_length=10, choices=DrillKind, default=DrillKind.FULL)
    state = models.CharField(_("state"), max_length=12, choices=DrillState, default=DrillState.RUNNING)
    place = models.CharField(_("place"), max_length=300, blank=True)
    tables = models.JSONField(default=list, blank=True)
    started_at = models.DateTimeField(_("started at"))
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    restore_seconds = models.FloatField(_("restore took"), null=True, blank=True)
    differences = models.JSONField(default=list)
    # one {"name", "verdict", "message"} for each thing looked at; the sentences are stored as documents
    checks = models.JSONField(default=list)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("drill")
        verbose_name_plural = _("drills")
        permissions = [("run_drill", "Can start a drill")]
        indexes = [models.Index(fields=["backup", "state", "-finished_at"], name="drill_newest")]

    def __str__(self) -> str:
        return f"{self.backup} ({self.get_kind_display()})"

    def get_absolute_url(self) -> str:
        return reverse("drill", args=[self.pk])

    @property
    def restore_time(self) -> timedelta | None:
        """The measured time to bring the data back."""
        return timedelta(seconds=self.restore_seconds) if self.restore_seconds is not None else None


class Assertion(models.Model):
    """A question that every restored copy has to answer as expected, in SQL that returns one value."""

    database = models.ForeignKey(Database, models.CASCADE, related_name="assertions", verbose_name=_("database"))
    name = models.CharField(_("name"), max_length=100)
    kind = models.CharField(_("kind"), max_length=10, choices=AssertionKind)
    sql = models.TextField(_("query"), help_text=_("One SELECT that returns one value."))
    max_age_hours = models.FloatField(_("not older than (hours)"), null=True, blank=True)
    minimum = models.FloatField(_("at least"), null=True, blank=True)
    maximum = models.FloatField(_("at most"), null=True, blank=True)
    expected = models.CharField(_("exactly"), max_length=200, blank=True)
    time_zone = models.CharField(
        _("time zone"), max_length=60, default="UTC", help_text=_("Of times that are stored without one.")
    )

    class Meta:
        ordering = ["database", "name"]
        verbose_name = _("assertion")
        verbose_name_plural = _("assertions")
        constraints = [models.UniqueConstraint(fields=["database", "name"], name="one_assertion_per_name")]

    def __str__(self) -> str:
        return self.name
