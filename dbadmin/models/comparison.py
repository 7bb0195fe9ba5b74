"""Comparisons: how a backup differs from the live database, or from another backup."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from dbadmin.choices import ComparisonState
from dbadmin.models.backup import Backup
from dbadmin.models.job import Job


class Comparison(models.Model):
    """What came of comparing ``left`` with ``right``, or with the live database where that is null.

    ``result`` is what ``backups.compare`` writes: tables, objects of the schema, sequences, counts and remarks.
    """

    left = models.ForeignKey(Backup, models.CASCADE, related_name="comparisons", verbose_name=_("backup"))
    right = models.ForeignKey(
        Backup, models.CASCADE, null=True, blank=True, related_name="compared_with", verbose_name=_("compared with")
    )
    job = models.OneToOneField(Job, models.SET_NULL, null=True, blank=True, related_name="comparison")
    state = models.CharField(_("state"), max_length=12, choices=ComparisonState)
    content = models.BooleanField(_("every row compared"), default=True)
    started_at = models.DateTimeField(_("started at"))
    finished_at = models.DateTimeField(_("finished at"))
    result = models.JSONField(default=dict)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("comparison")
        verbose_name_plural = _("comparisons")

    def __str__(self) -> str:
        return f"{self.left} ↔ {self.right or _('live')}"

    def get_absolute_url(self) -> str:
        return reverse("comparison", args=[self.pk])

    def rows_of(self, name: str) -> dict[str, Any]:
        """Return what is known of one table; empty where nothing is."""
        found: dict[str, Any] = next((row for row in self.result.get("tables", ()) if row["name"] == name), {})
        return found
