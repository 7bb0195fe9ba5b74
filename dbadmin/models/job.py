"""Background work: the row is the truth, the queue only rings the bell."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from dbadmin.choices import ACTIVE_STATES, JobKind, JobState
from dbadmin.exceptions import Cancelled
from dbadmin.models.database import Database
from dbadmin.models.fields import SentenceField

WRITERS = (JobKind.BACKUP, JobKind.RESTORE, JobKind.UNDO, JobKind.MAINTENANCE)


class JobQuerySet(models.QuerySet["Job"]):
    """Jobs as adjectives."""

    def active(self) -> JobQuerySet:
        """Queued or running."""
        return self.filter(state__in=ACTIVE_STATES)

    def expired(self, now: datetime) -> JobQuerySet:
        """Running without a sign of life for longer than their lease."""
        return self.filter(state=JobState.RUNNING, lease_until__lt=now)


class Job(models.Model):
    """One unit of background work, visible, cancellable and logged.

    ``params`` are what was asked for, and under ``TRACES`` what the work has begun, so that it can be cleaned up.
    """

    TRACES = ("key", "creating", "storing", "scratch")

    kind = models.CharField(_("kind"), max_length=20, choices=JobKind)
    state = models.CharField(_("state"), max_length=20, choices=JobState, default=JobState.QUEUED)
    database = models.ForeignKey(Database, models.PROTECT, related_name="jobs", verbose_name=_("database"))
    params = models.JSONField(default=dict, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, verbose_name=_("requested by")
    )
    actor = models.CharField(max_length=150, blank=True)
    attempt = models.PositiveSmallIntegerField(_("attempt"), default=1)
    retry_of = models.OneToOneField(
        "self", models.SET_NULL, null=True, blank=True, related_name="retried_by", verbose_name=_("retry of")
    )
    created_at = models.DateTimeField(_("requested at"), default=timezone.now)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)

    # who works on it, and until when that is believed
    worker = models.CharField(max_length=100, blank=True)
    host = models.CharField(max_length=100, blank=True)
    process_id = models.IntegerField(null=True, blank=True)
    process_started = models.CharField(max_length=32, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)

    deadline_at = models.DateTimeField(_("has to end by"), null=True, blank=True)
    # private keys offered for this job alone, encrypted; emptied when it is over
    encrypted_identities = models.TextField(blank=True, editable=False)

    # progress, written at most once a second
    phase = SentenceField()
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True, blank=True)
    unit = models.CharField(max_length=10, default="bytes")
    current = models.CharField(max_length=300, blank=True)
    rate = models.FloatField(default=0)

    # how it ended
    message = SentenceField()
    hint = SentenceField()
    error_class = models.CharField(max_length=50, blank=True)
    traceback = models.TextField(blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        permissions = [("cancel_job", "Can cancel a job")]
        constraints = [
            # A double click, or two ticks, make one job.
            models.UniqueConstraint(
                fields=["database", "kind"],
                condition=models.Q(state__in=[state.value for state in ACTIVE_STATES]),
                name="one_active_job_per_kind",
            ),
            # Two jobs that read or write a whole database do not run at once.
            models.UniqueConstraint(
                fields=["database"],
                condition=models.Q(
                    state__in=[state.value for state in ACTIVE_STATES],
                    kind__in=[kind.value for kind in WRITERS],
                ),
                name="one_active_writer",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "lease_until"], name="job_state_lease"),
            models.Index(fields=["database", "-id"], name="job_database"),
            # The newest job of a kind, and the days on which one failed.
            models.Index(fields=["database", "kind", "-created_at"], name="job_by_database_kind"),
            models.Index(fields=["state", "-id"], name="job_by_state"),
            models.Index(fields=["kind", "-id"], name="job_by_kind"),
            # How many succeeded and failed within a time.
            models.Index(fields=["kind", "created_at", "state", "database"], name="job_by_outcome"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.database} #{self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("job", args=[self.pk])

    def note(self, **traces: Any) -> None:
        """Remember in ``params`` what is being made, before it is made."""
        self.params = self.params | traces
        self.save(update_fields=["params"])

    def forget(self, trace: str) -> None:
        """What was noted under ``trace`` is not there any more."""
        self.params = {name: value for name, value in self.params.items() if name != trace}
        self.save(update_fields=["params"])

    def require_held(self) -> None:
        """Raise ``Cancelled`` when somebody has asked the job to stop, or a reaper has given it up.

        Call it in the transaction that writes the result: whoever cancels before that gets what he asked for.
        """
        held = Job.objects.select_for_update(no_key=True).filter(pk=self.pk, state=JobState.RUNNING, worker=self.worker)
        if held.filter(cancel_requested_at=None).values_list("pk", flat=True).first() is None:
            raise Cancelled

    @property
    def is_active(self) -> bool:
        """Still queued or running."""
        return self.state in ACTIVE_STATES

    @property
    def percent(self) -> int | None:
        """How much of the phase is done, 0 to 100; None where the total is not known."""
        return min(100, 100 * self.done // self.total) if self.total else None

    @property
    def eta(self) -> timedelta | None:
        """How long the phase still takes at its present rate."""
        if not self.total or self.rate <= 0 or not self.is_active:
            return None
        return timedelta(seconds=round(max(0, self.total - self.done) / self.rate))

    @property
    def duration(self) -> timedelta | None:
        """How long it has run or ran."""
        return (self.finished_at or timezone.now()) - self.started_at if self.started_at else None


class JobLogLine(models.Model):
    """A line of a job's log."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="log_lines")
    at = models.DateTimeField(default=timezone.now)
    level = models.CharField(max_length=10, default="info")
    text = SentenceField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return str(self.text)

    @classmethod
    def of(cls, job: Job, text: Any, level: str) -> JobLogLine:
        """Make a line that is not saved yet."""
        return cls(job=job, text=text, level=level, at=timezone.now())
