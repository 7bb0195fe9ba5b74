"""From nothing to a running dashboard with sample applications."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings

from dbadmin.jobs.supervisor import Supervisor, dashboard_children
from dbadmin.management.command import CRITICAL, DONE, Outcome, VerbCommand
from dbadmin.management.values import whole
from dbadmin.samples import once, quickstart
from dbadmin.samples.applications import LARGE, SMALL
from dbadmin.text import Text

INTERRUPTED = 130


class Command(VerbCommand):
    """Everything that a newcomer needs, and nothing of it outside the home folder."""

    help = "Start the dashboard with sample applications and a PostgreSQL server of its own."

    def add(self, parser: ArgumentParser) -> None:
        """Add the options; ``--home`` is read in manage.py, before the settings are."""
        parser.add_argument("--home", help="folder for everything that is kept (default: DBADMIN_HOME, else .dbadmin)")
        parser.add_argument(
            "--port", type=whole(1, 65535), default=8000, help="the next free one is taken (default: %(default)s)"
        )
        parser.add_argument("--rows", choices=(SMALL, LARGE), default=SMALL, help="how much is in the samples")
        parser.add_argument(
            "--once",
            action="store_true",
            help="serve nothing: back up every sample, restore two, compare; exit code 0, or 2 when anything is wrong",
        )

    def do(self, options: dict[str, Any]) -> Outcome:
        """Prepare; then prove, or serve until told to end."""
        try:
            with quickstart.prepared(settings.HOME, rows=options["rows"], say=self._say) as ready:
                return self._prove(ready) if options["once"] else self._serve(options["port"])
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)

    def _prove(self, ready: quickstart.Ready) -> Outcome:
        steps = quickstart.prove(ready)
        good = all(step.ok for step in steps)
        ending = Text("Everything was backed up; both restored copies are equal to their originals.")
        return Outcome(
            results=[step.to_json() for step in steps],
            lines=[*once.table(steps), str(ending if good else Text("Something went wrong; see the column Result."))],
            exit_code=DONE if good else CRITICAL,
        )

    def _serve(self, first_port: int) -> Outcome:
        port = quickstart.free_port(first_port, self._say)
        address = f"http://{quickstart.HOST}:{port}/"
        children = dashboard_children(f"{quickstart.HOST}:{port}", long_workers=settings.WORKERS)
        Supervisor(children).run(started=lambda: quickstart.when_answered(address, lambda: self._welcome(address)))
        return Outcome()

    def _welcome(self, address: str) -> None:
        password = quickstart.administrator()  # as late as this: nobody makes a password that is never shown
        secret = password or str(Text("as before; for a new one: {command}", command=_new_password()))
        rule = "─" * 64
        lines = (
            rule,
            f"  dbadmin   {address}",
            f"  {Text('User')}      {quickstart.ADMINISTRATOR}",
            f"  {Text('Password')}  {secret}",
            *((f"            {Text('It is shown only this once.')}",) if password else ()),
            f"  {Text('Ctrl-C stops everything.')}",
            rule,
        )
        self.stdout.write("\n" + "\n".join(lines))
        self.stdout.flush()

    def _say(self, sentence: Text) -> None:
        self.stderr.write(str(sentence))


def _new_password() -> str:
    """Return the command that sets the administrator's password in this home."""
    default = Path(settings.BASE_DIR) / ".dbadmin" == settings.HOME
    home = "" if default else f"DBADMIN_HOME='{os.fspath(settings.HOME)}' "
    return f"{home}uv run manage.py changepassword {quickstart.ADMINISTRATOR}"
