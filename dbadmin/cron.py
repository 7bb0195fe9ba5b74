"""What the one line in the crontab calls every minute."""

from __future__ import annotations

from django.utils import timezone

from dbadmin.jobs import clock


def tick() -> None:
    """Do what is due. Harmless when a worker's own clock has done it already."""
    clock.tick(timezone.now())
