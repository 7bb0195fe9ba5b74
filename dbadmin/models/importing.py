"""Imports: files that somebody brought, and what came of them."""

from __future__ import annotations

from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from dbadmin.choices import ImportState
from dbadmin.facts import Facts
from dbadmin.models.database import Database
from dbadmin.models.fields import SentenceField
from dbadmin.models.job import Job


class Import(models.Model):
    """A dump or database file brought into something new beside ``server``.

    ``path``: where it lies on this machine. An uploaded file lies in the spool and is removed when it was used.
    """

    job = models.OneToOneField(Job, models.SET_NULL, null=True, blank=True, related_name="imported")
    file_name = models.CharField(_("file"), max_length=255)
    path = models.CharField(max_length=4096)
    uploaded = models.BooleanField(default=False)
    size = models.BigIntegerField(_("size"), default=0)
    engine = models.CharField(_("kind"), max_length=20)
    form = models.CharField(max_length=20)
    description = SentenceField()
    server = models.ForeignKey(
        Database, models.PROTECT, null=True, blank=True, related_name="imports", verbose_name=_("server")
    )
    target = models.CharField(_("target"), max_length=300, blank=True)
    state = models.CharField(_("state"), max_length=12, choices=ImportState, default=ImportState.WAITING)
    created_at = models.DateTimeField(_("received at"), default=timezone.now)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    lines = models.JSONField(default=list)
    facts = models.JSONField(default=dict)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("import")
        verbose_name_plural = _("imports")

    def __str__(self) -> str:
        return f"{self.file_name} → {self.target}" if self.target else self.file_name

    def get_absolute_url(self) -> str:
        return reverse("import", args=[self.pk])

    def measured(self) -> Facts:
        """Return what was counted after the import."""
        return Facts.from_json(self.facts)
