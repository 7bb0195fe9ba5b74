"""How long backups are kept."""

from __future__ import annotations

from django.core.validators import MaxValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

# What is more was mistyped: it is beyond anybody's archives.
MOST_DAYS = 36_500
MOST_COUNTED = 100_000


class Retention(models.Model):
    """What to keep; a backup that any of the rules wants stays. All zero keeps everything.

    Hours, days, weeks, months and years are counted in ``time_zone``, the newest backup of each being kept.
    """

    name = models.CharField(_("name"), max_length=100, unique=True)
    last = models.PositiveIntegerField(_("the newest"), default=0, validators=[MaxValueValidator(MOST_COUNTED)])
    within_days = models.PositiveIntegerField(
        _("all of the last days"), default=0, validators=[MaxValueValidator(MOST_DAYS)]
    )
    hourly = models.PositiveIntegerField(
        _("one of each hour, hours"), default=0, validators=[MaxValueValidator(MOST_COUNTED)]
    )
    daily = models.PositiveIntegerField(
        _("one of each day, days"), default=0, validators=[MaxValueValidator(MOST_COUNTED)]
    )
    weekly = models.PositiveIntegerField(
        _("one of each week, weeks"), default=0, validators=[MaxValueValidator(MOST_COUNTED)]
    )
    monthly = models.PositiveIntegerField(
        _("one of each month, months"), default=0, validators=[MaxValueValidator(MOST_COUNTED)]
    )
    yearly = models.PositiveIntegerField(
        _("one of each year, years"), default=0, validators=[MaxValueValidator(MOST_COUNTED)]
    )
    minimum = models.PositiveIntegerField(
        _("never fewer than"),
        default=1,
        validators=[MaxValueValidator(MOST_COUNTED)],
        help_text=_("Whatever the rules say, this many good backups stay."),
    )
    time_zone = models.CharField(_("time zone"), max_length=60, default="UTC")

    class Meta:
        ordering = ["name"]
        verbose_name = _("retention")
        verbose_name_plural = _("retentions")

    def __str__(self) -> str:
        return self.name
