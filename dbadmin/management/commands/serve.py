"""Serve the dashboard."""

from __future__ import annotations

import socket
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.checks import ERROR, WARNING, run_checks
from django.core.management import call_command
from django.db import connections

from dbadmin.backups import own
from dbadmin.backups.defaults import create_default_retentions
from dbadmin.exceptions import UsageError, ValidationFailed
from dbadmin.jobs.supervisor import Supervisor, dashboard_children
from dbadmin.management.command import Outcome, VerbCommand
from dbadmin.management.values import whole
from dbadmin.models import KeyProof
from dbadmin.text import Text

# What Django's checks say of an installation without DBADMIN_HTTPS.
IN_CLEAR = {"security.W004", "security.W008", "security.W012", "security.W016"}


class Command(VerbCommand):
    """The production entry point: web server, workers and clock under one supervising process."""

    help = "Bring the catalogue up to date, then start web server, workers and clock until told to end."

    def add(self, parser: ArgumentParser) -> None:
        """Add where to listen."""
        parser.add_argument("--bind", default="127.0.0.1", metavar="ADDRESS", help="default: %(default)s")
        parser.add_argument("--port", type=whole(1, 65535), default=8000, help="default: %(default)s")

    def do(self, options: dict[str, Any]) -> Outcome:
        """Prepare, then run until a signal."""
        require_free(options["bind"], options["port"])
        self._check()
        prepare()
        address = f"{options['bind']}:{options['port']}"
        self._look_at_key()
        children = dashboard_children(address, long_workers=settings.WORKERS)
        said = f"http://{address}/ – {Text('Ctrl-C stops everything.')}"
        Supervisor(children).run(started=lambda: self.stderr.write(said))
        return Outcome()

    def _look_at_key(self) -> None:
        """Warn of another key; the pages come up, for whoever has to enter passwords again."""
        try:
            KeyProof.require()
        except ValidationFailed as error:
            self.stderr.write(str(Text("Warning: {sentence}", sentence=error)))
        connections.close_all()

    def _check(self) -> None:
        """Warn of what an installation that others reach should have; refuse what cannot work."""
        found = [message for message in run_checks(include_deployment_checks=True) if not message.is_silenced()]
        if any(message.id in IN_CLEAR for message in found):
            self.stderr.write(
                str(Text("warning: With HTTPS in front set DBADMIN_HTTPS=1; without it, passwords travel in clear."))
            )
        for message in found:
            if message.level >= WARNING and message.id not in IN_CLEAR:
                kind = "error" if message.level >= ERROR else "warning"
                self.stderr.write(f"{kind}: {message.msg} ({message.id})")
        if any(message.level >= ERROR for message in found):
            raise UsageError(Text("The installation is not complete."), Text("`manage.py check` says what is wrong."))


def prepare() -> None:
    """Bring catalogue and static files up to date, and make what a new installation begins with."""
    call_command("migrate", interactive=False, verbosity=0, skip_checks=False)
    call_command("collectstatic", interactive=False, verbosity=0)
    create_default_retentions()
    own.register()
    own.refresh_copy()
    connections.close_all()  # whoever only supervises from now on needs none


def require_free(host: str, port: int) -> None:
    """Raise ``UsageError`` when nobody can listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            raise UsageError(
                Text("Nothing can listen on {host}:{port}: {reason}.", host=host, port=port, reason=error.strerror),
                Text("Choose another with --port."),
            ) from error
