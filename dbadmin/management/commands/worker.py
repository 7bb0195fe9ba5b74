"""Work on jobs."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.utils import timezone

from dbadmin.exceptions import UsageError
from dbadmin.jobs import workers
from dbadmin.jobs.supervisor import TICK_SECONDS, Supervisor, worker_children
from dbadmin.management.command import DONE, WARNING, Outcome, VerbCommand
from dbadmin.management.values import whole
from dbadmin.models import Database, KeyProof
from dbadmin.text import Text


class Command(VerbCommand):
    """Supervises the processes that work on jobs."""

    help = "Start the workers and the clock, and keep them running until told to end."

    def add(self, parser: ArgumentParser) -> None:
        """Add how many workers, for which databases, and how often to tick."""
        parser.add_argument(
            "--workers",
            type=whole(0, 1000),
            default=settings.WORKERS,
            help="processes for long work (default: %(default)s)",
        )
        parser.add_argument(
            "--tick",
            type=whole(1),
            default=TICK_SECONDS,
            metavar="SECONDS",
            help="clock interval (default: %(default)s)",
        )
        parser.add_argument(
            "--site", default=settings.SITE, help="take the jobs of databases at this site (default: DBADMIN_SITE)"
        )
        parser.add_argument(
            "--also-general", action="store_true", help="with a site: take also the jobs of databases without one"
        )
        parser.add_argument(
            "--accept-key",
            action="store_true",
            help="the catalogue's encryption key is lost: take this machine's",
        )
        parser.add_argument("--list", action="store_true", help="only tell which workers run, on all machines")

    def do(self, options: dict[str, Any]) -> Outcome:
        """Run until a signal, or list."""
        if options["list"]:
            return _listed()
        self._look_at(options["site"])
        if options["accept_key"]:
            KeyProof.accept()
        KeyProof.require()
        children = worker_children(
            long_workers=options["workers"],
            tick_seconds=options["tick"],
            site=options["site"],
            also_general=options["also_general"],
        )
        said = str(Text("Workers are running – Ctrl-C stops them."))
        Supervisor(children).run(started=lambda: self.stderr.write(said))
        return Outcome()

    def _look_at(self, site: str) -> None:
        """Warn of a site that no database is at; one may be added later."""
        known = set(Database.objects.registered().exclude(site="").values_list("site", flat=True))
        if site and not site.replace("-", "").replace("_", "").isalnum():
            raise UsageError(Text("“{site}” is no short name of a site.", site=site))
        if site and site not in known:
            self.stderr.write(
                str(Text("No database is at the site “{site}” yet. Known: {known}.", site=site, known=_words(known)))
            )


def _listed() -> Outcome:
    fleet = workers.gather(timezone.now())
    lines = [_line(worker) for worker in fleet.seen]
    lines += [f"{gap.sentence} {gap.command}" for gap in fleet.gaps]
    return Outcome(
        results=[_row(worker) for worker in fleet.seen],
        lines=lines or [str(Text("No worker runs. Start one: manage.py worker"))],
        exit_code=WARNING if fleet.gaps or not fleet.alive else DONE,
    )


def _row(worker: workers.Seen) -> dict[str, Any]:
    process = worker.process
    return {
        "host": process.host,
        "name": process.name,
        "process_id": process.process_id,
        "alive": worker.is_alive,
        "version": process.version,
        "same_version": worker.is_of_our_version,
        "queues": process.queues,
        "job": worker.job.pk if worker.job else None,
        "started_at": process.started_at,
        "heartbeat_at": process.heartbeat_at,
        "stopped_at": process.stopped_at,
    }


def _line(worker: workers.Seen) -> str:
    process = worker.process
    state = str(Text("alive") if worker.is_alive else Text("ended") if process.stopped_at else Text("silent"))
    job = f"#{worker.job.pk} {worker.job}" if worker.job else "–"
    other = "" if worker.is_of_our_version else f"  {Text('(other version)')}"
    queues = ",".join(process.queues)
    return f"{state:<6}  {worker.machine:<24} {process.process_id:>8}  {process.version}{other}  {queues:<20} {job}"


def _words(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "–"
