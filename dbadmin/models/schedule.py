"""What happens by the clock, and what became of every moment of it."""

from __future__ import annotations

from django.core.validators import MaxValueValidator
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from dbadmin.choices import CatchUp, DrillKind, Overlap, RunState, ScheduleKind, ScheduleTarget, Scope
from dbadmin.models.database import Application, Database
from dbadmin.models.fields import SentenceField, one_line
from dbadmin.models.job import Job
from dbadmin.models.retention import Retention
from dbadmin.models.storage import Storage

# What is more was mistyped: a run would wait, or be waited for, beyond anybody's memory.
MOST_MINUTES = 30 * 24 * 60
MOST_RETRIES = 100
LONGEST_WAIT_MINUTES = 24 * 60


class ScheduleQuerySet(models.QuerySet["Schedule"]):
    """Schedules as adjectives."""

    def covering(self, database: Database) -> ScheduleQuerySet:
        """Those that are for a database, whether named itself, by its application, by a label or with all others."""
        named = models.Q(target=ScheduleTarget.DATABASES, pk__in=database.schedules.values("pk"))
        by_application = models.Q(target=ScheduleTarget.APPLICATION, application=database.application_id)
        by_label = models.Q(target=ScheduleTarget.LABEL, label__in=database.label_set)
        return self.filter(named | by_application | by_label | models.Q(target=ScheduleTarget.ALL))


class Schedule(models.Model):
    """Moments (a cron expression in a time zone), what to do at them, and of which databases.

    ``evaluated_at``: moments up to then have their rows. ``next_due_at``: the first one after it, in UTC.
    """

    name = models.CharField(_("name"), max_length=100, unique=True, validators=[one_line])
    kind = models.CharField(_("what"), max_length=20, choices=ScheduleKind, default=ScheduleKind.BACKUP)
    enabled = models.BooleanField(_("enabled"), default=True)
    target = models.CharField(_("of what"), max_length=20, choices=ScheduleTarget, default=ScheduleTarget.DATABASES)
    databases = models.ManyToManyField(Database, related_name="schedules", blank=True, verbose_name=_("databases"))
    application = models.ForeignKey(
        Application, models.CASCADE, null=True, blank=True, related_name="schedules", verbose_name=_("application")
    )
    label = models.CharField(_("label"), max_length=50, blank=True, validators=[one_line])
    expression = models.CharField(_("cron expression"), max_length=100)
    time_zone = models.CharField(_("time zone"), max_length=60, default="UTC")
    scope = models.CharField(_("scope"), max_length=10, choices=Scope, default=Scope.FULL)
    drill_kind = models.CharField(_("kind of drill"), max_length=10, choices=DrillKind, default=DrillKind.FULL)
    start_window_minutes = models.PositiveIntegerField(
        _("may start late by (minutes)"),
        default=720,
        validators=[MaxValueValidator(MOST_MINUTES)],
        help_text=_("What could not start by then is missed."),
    )
    catch_up = models.CharField(_("after a standstill"), max_length=10, choices=CatchUp, default=CatchUp.ONCE)
    overlap = models.CharField(_("previous run still active"), max_length=10, choices=Overlap, default=Overlap.SKIP)
    retries = models.PositiveSmallIntegerField(
        _("tries again after a failure"), default=2, validators=[MaxValueValidator(MOST_RETRIES)]
    )
    retry_minutes = models.PositiveIntegerField(
        _("first after (minutes)"),
        default=5,
        validators=[MaxValueValidator(LONGEST_WAIT_MINUTES)],
        help_text=_("Each further wait is twice as long, up to a day."),
    )
    deadline_minutes = models.PositiveIntegerField(
        _("longest duration (minutes)"),
        default=0,
        validators=[MaxValueValidator(MOST_MINUTES)],
        help_text=_("A run that takes longer is ended; 0 is no limit."),
    )
    evaluated_at = models.DateTimeField(default=timezone.now, editable=False)
    next_due_at = models.DateTimeField(_("next"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = ScheduleQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")
        indexes = [models.Index(fields=["enabled", "next_due_at"], name="schedule_due")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("schedule", args=[self.pk])


class Destination(models.Model):
    """A storage that a schedule writes to, and how long its archives stay there."""

    schedule = models.ForeignKey(Schedule, models.CASCADE, related_name="destinations", verbose_name=_("schedule"))
    storage = models.ForeignKey(Storage, models.PROTECT, related_name="destinations", verbose_name=_("storage"))
    retention = models.ForeignKey(
        Retention, models.PROTECT, null=True, blank=True, related_name="destinations", verbose_name=_("retention")
    )

    class Meta:
        ordering = ["schedule", "id"]
        verbose_name = _("destination")
        verbose_name_plural = _("destinations")
        constraints = [models.UniqueConstraint(fields=["schedule", "storage"], name="one_destination_per_storage")]

    def __str__(self) -> str:
        return f"{self.schedule} → {self.storage}"


class ScheduleRun(models.Model):
    """One moment of a schedule for one database: what was asked for, or why not."""

    schedule = models.ForeignKey(Schedule, models.CASCADE, related_name="runs", verbose_name=_("schedule"))
    database = models.ForeignKey(Database, models.CASCADE, related_name="schedule_runs", verbose_name=_("database"))
    due_at = models.DateTimeField(_("due at"))
    state = models.CharField(_("state"), max_length=10, choices=RunState, default=RunState.WAITING)
    reason = SentenceField(verbose_name=_("reason"))
    job = models.ForeignKey(Job, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("job"))
    attempt = models.PositiveSmallIntegerField(_("attempt"), default=1)
    retry_at = models.DateTimeField(_("next try"), null=True, blank=True)
    settled_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    class Meta:
        ordering = ["-due_at", "-id"]
        verbose_name = _("run of a schedule")
        verbose_name_plural = _("runs of schedules")
        constraints = [models.UniqueConstraint(fields=["schedule", "database", "due_at"], name="one_run_per_moment")]
        indexes = [
            models.Index(fields=["state", "retry_at"], name="run_state"),
            models.Index(fields=["schedule", "-due_at"], name="run_of_schedule"),
            models.Index(fields=["database", "schedule", "-due_at"], name="run_of_database"),
            models.Index(fields=["job"], name="run_job"),
            models.Index(fields=["state", "due_at"], name="run_by_outcome"),
        ]

    def __str__(self) -> str:
        return f"{self.schedule} {self.due_at:%Y-%m-%d %H:%M} {self.state}"
