"""The worker that hears its bells in Redis; ``worker`` starts it where DBADMIN_REDIS_URL is set."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings

from dbadmin.exceptions import UsageError
from dbadmin.jobs.presence import Presence
from dbadmin.management.command import Outcome, VerbCommand
from dbadmin.text import Text


class Command(VerbCommand):
    """One process, without supervision."""

    help = "Work on the jobs of some queues, one after the other, until told to end."

    def add(self, parser: ArgumentParser) -> None:
        """Add which queues."""
        parser.add_argument("queues", nargs="+", metavar="QUEUE", help="the first of them first")

    def do(self, options: dict[str, Any]) -> Outcome:
        """Listen until a signal."""
        if not settings.REDIS_URL:
            raise UsageError(Text("There is no Redis to listen to."), Text("Set DBADMIN_REDIS_URL, or run: worker."))
        from dbadmin.jobs.listener import Listener  # of an optional package

        with Presence(options["queues"]):
            Listener(options["queues"]).run()
        return Outcome()
