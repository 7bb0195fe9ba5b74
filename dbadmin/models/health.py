"""What the checks said last, and what needs attention."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from dbadmin.choices import Verdict
from dbadmin.models.database import Database
from dbadmin.models.fields import SentenceField


class CheckResult(models.Model):
    """The newest answer of one check about one database."""

    database = models.ForeignKey(Database, models.CASCADE, related_name="check_results")
    check_id = models.CharField(_("check"), max_length=60)
    verdict = models.CharField(_("verdict"), max_length=10, choices=Verdict)
    message = SentenceField(verbose_name=_("message"))
    hint = SentenceField(verbose_name=_("hint"))
    value = models.FloatField(_("value"), null=True, blank=True)
    checked_at = models.DateTimeField(_("checked at"))

    class Meta:
        ordering = ["database", "check_id"]
        verbose_name = _("check result")
        verbose_name_plural = _("check results")
        permissions = [("run_checks", "Can run health checks")]
        constraints = [models.UniqueConstraint(fields=["database", "check_id"], name="one_result_per_check")]

    def __str__(self) -> str:
        return f"{self.database}: {self.check_id} {self.verdict}"


class FindingQuerySet(models.QuerySet["Finding"]):
    """Findings as adjectives."""

    def open(self) -> FindingQuerySet:
        """Those that are not resolved."""
        return self.filter(resolved_at__isnull=True)


class Finding(models.Model):
    """A judgement that needs attention. It opens once, and resolves when the check is well again."""

    database = models.ForeignKey(Database, models.CASCADE, related_name="findings")
    check_id = models.CharField(_("check"), max_length=60)
    verdict = models.CharField(_("verdict"), max_length=10, choices=Verdict)
    message = SentenceField(verbose_name=_("message"))
    hint = SentenceField(verbose_name=_("hint"))
    opened_at = models.DateTimeField(_("opened at"))
    last_seen_at = models.DateTimeField(_("last seen at"))
    resolved_at = models.DateTimeField(_("resolved at"), null=True, blank=True)

    objects = FindingQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("finding")
        verbose_name_plural = _("findings")
        constraints = [
            models.UniqueConstraint(
                fields=["database", "check_id"],
                condition=models.Q(resolved_at__isnull=True),
                name="one_open_finding_per_check",
            )
        ]

    def __str__(self) -> str:
        return f"{self.database}: {self.message}"
