"""The processes that work on jobs, on this machine and on others."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class WorkerProcess(models.Model):
    """A worker that has shown itself; ``name`` and ``host`` are those written into the jobs that it works on."""

    name = models.CharField(_("name"), max_length=100)
    host = models.CharField(_("host"), max_length=100)
    version = models.CharField(_("version"), max_length=50)
    queues = models.JSONField(_("queues"), default=list)
    process_id = models.IntegerField(_("process"))
    started_at = models.DateTimeField(_("started at"))
    heartbeat_at = models.DateTimeField(_("seen at"))
    stopped_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    class Meta:
        ordering = ["host", "name"]
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        constraints = [models.UniqueConstraint(fields=["host", "name"], name="one_row_per_worker")]
        indexes = [models.Index(fields=["stopped_at", "heartbeat_at"], name="worker_alive")]

    def __str__(self) -> str:
        return f"{self.host} {self.name}"
