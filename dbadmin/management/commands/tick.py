"""Do what is due by the clock."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any, NoReturn

from django.db import close_old_connections, connection
from django.utils import timezone

from dbadmin import catalogue
from dbadmin.jobs import clock
from dbadmin.management.command import Outcome, VerbCommand
from dbadmin.management.values import whole

LONGEST_DELAY_SECONDS = 300


class Command(VerbCommand):
    """For cron or a systemd timer; workers started by ``worker`` and ``serve`` tick by themselves."""

    help = "Do what is due: check, read migration histories, notice dead workers, clear away."

    def add(self, parser: ArgumentParser) -> None:
        """Add --every."""
        parser.add_argument("--every", type=whole(1), metavar="SECONDS", help="go on ticking until told to end")

    def do(self, options: dict[str, Any]) -> Outcome:
        """Tick once, or for ever."""
        if options["every"]:
            self._for_ever(options["every"])
        jobs = clock.tick(timezone.now())
        return Outcome(
            results=[{"id": job.pk, "kind": job.kind, "database": job.database.slug} for job in jobs],
            lines=[str(job) for job in jobs],
        )

    def _for_ever(self, seconds: int) -> NoReturn:
        """Go on through times without a catalogue, asking ever more seldom, up to every five minutes."""
        delay = seconds
        while True:
            try:
                clock.tick(timezone.now())
                delay = seconds
            except catalogue.TROUBLE as error:
                trouble = catalogue.explained(error)
                if trouble is None:
                    raise
                delay = max(seconds, min(2 * delay, LONGEST_DELAY_SECONDS))
                self.stderr.write(str(trouble))
                connection.close()
            time.sleep(delay)
            close_old_connections()
