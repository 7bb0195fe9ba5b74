"""Look after databases."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from dbadmin import audit
from dbadmin.choices import JobKind, JobState
from dbadmin.jobs.foreground import work_on
from dbadmin.maintenance.run import require_steps
from dbadmin.management.command import CRITICAL, DONE, Outcome, VerbCommand, find_database
from dbadmin.management.in_turn import in_turn
from dbadmin.management.progress import for_stream
from dbadmin.management.rows import job_row
from dbadmin.management.values import wrong_usage
from dbadmin.models import Database, Job


class Command(VerbCommand):
    """Runs maintenance in this process, as a job like any other."""

    help = "Optimise, compact and check a database now. Exit codes: 0 done, 2 damage found or failed."

    def add(self, parser: ArgumentParser) -> None:
        """Take the databases and the steps."""
        parser.add_argument("--database", metavar="SLUG", help="only this database; all registered ones without")
        parser.add_argument("--step", action="append", default=[], metavar="STEP", help="only this; may be repeated")

    def do(self, options: dict[str, Any]) -> Outcome:
        """Work through them; one that fails does not stop the others."""
        databases = list(_chosen(options["database"]))
        with wrong_usage():
            for database in databases:
                require_steps(database, options["step"])
        done = in_turn(JobKind.MAINTENANCE, databases, lambda each: _maintain(each, options["step"]))
        failed = any(job.state != JobState.SUCCEEDED for job in done.jobs)
        lines = [f"{job.database.slug}  {job.message} {job.hint}".rstrip() for job in done.jobs]
        return Outcome(
            results=[*map(job_row, done.jobs), *done.rows(JobKind.MAINTENANCE)],
            lines=[*lines, *done.lines()],
            exit_code=done.exit_code or (CRITICAL if failed else DONE),
        )


def _chosen(slug: str | None) -> Iterable[Database]:
    return [find_database(slug)] if slug else Database.objects.registered()


def _maintain(database: Database, steps: list[str]) -> Job:
    return work_on(
        JobKind.MAINTENANCE, database, actor=audit.from_shell(), params={"steps": steps}, echo=for_stream(sys.stderr)
    )
