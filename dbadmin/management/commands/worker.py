"""Work on jobs."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings

from dbadmin.jobs.supervisor import TICK_SECONDS, Supervisor, worker_children
from dbadmin.management.command import Outcome, VerbCommand


class Command(VerbCommand):
    """Supervises the processes that work on jobs."""

    help = "Start the workers and the clock, and keep them running until told to end."

    def add(self, parser: ArgumentParser) -> None:
        """Add how many workers and how often to tick."""
        parser.add_argument(
            "--workers", type=int, default=settings.WORKERS, help="processes for long work (default: %(default)s)"
        )
        parser.add_argument(
            "--tick", type=int, default=TICK_SECONDS, metavar="SECONDS", help="clock interval (default: %(default)s)"
        )

    def do(self, options: dict[str, Any]) -> Outcome:
        """Run until a signal."""
        children = worker_children(long_workers=options["workers"], tick_seconds=options["tick"])
        Supervisor(children).run(started=lambda: self.stderr.write("Workers are running – Ctrl-C stops them."))
        return Outcome()
