"""Do what is due by the clock."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.db import close_old_connections
from django.utils import timezone

from dbadmin.jobs import schedules
from dbadmin.management.command import Outcome, VerbCommand


class Command(VerbCommand):
    """For cron or a systemd timer; workers started by ``worker`` and ``serve`` tick by themselves."""

    help = "Do what is due: check, read migration histories, notice dead workers, clear away."

    def add(self, parser: ArgumentParser) -> None:
        """Add --every."""
        parser.add_argument("--every", type=int, metavar="SECONDS", help="go on ticking until told to end")

    def do(self, options: dict[str, Any]) -> Outcome:
        """Tick once, or for ever."""
        jobs = schedules.tick(timezone.now())
        while options["every"]:
            time.sleep(options["every"])
            close_old_connections()
            schedules.tick(timezone.now())
        return Outcome(
            results=[{"id": job.pk, "kind": job.kind, "database": job.database.slug} for job in jobs],
            lines=[str(job) for job in jobs],
        )
