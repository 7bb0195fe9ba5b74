"""Look at the databases now."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from typing import Any

from django.utils import timezone

from dbadmin.choices import Verdict
from dbadmin.health.run import run_checks
from dbadmin.management.command import CRITICAL, DONE, UNKNOWN, WARNING, Outcome, VerbCommand, find_database
from dbadmin.models import CheckResult, Database

# What nobody can see weighs more than a warning and less than what is known to be broken.
WORST_FIRST = {Verdict.CRITICAL: CRITICAL, Verdict.UNKNOWN: UNKNOWN, Verdict.WARNING: WARNING}


class Command(VerbCommand):
    """Run every check of one database or of all registered ones."""

    help = (
        "Check the health of the databases now. Exit codes: 0 all well, 1 a warning, 2 something critical, "
        "3 something could not be told. 2 wins over 3, and 3 over 1."
    )

    def add(self, parser: ArgumentParser) -> None:
        """Take the database."""
        parser.add_argument("--database", metavar="SLUG", help="only this database")

    def do(self, options: Mapping[str, Any]) -> Outcome:
        """Check, and report every result."""
        results = [result for database in _chosen(options["database"]) for result in _run(database)]
        return Outcome(
            results=[_row(result) for result in results],
            lines=[_line(result) for result in results],
            exit_code=_exit_code(results),
        )


def _chosen(slug: str | None) -> Iterable[Database]:
    return [find_database(slug)] if slug else Database.objects.registered()


def _run(database: Database) -> list[CheckResult]:
    return run_checks(database, now=timezone.now())


def _exit_code(results: list[CheckResult]) -> int:
    verdicts = {result.verdict for result in results}
    return next((code for verdict, code in WORST_FIRST.items() if verdict in verdicts), DONE)


def _row(result: CheckResult) -> dict[str, Any]:
    return {
        "database": result.database.slug,
        "check": result.check_id,
        "verdict": str(result.verdict),
        "message": result.message,
        "hint": result.hint,
        "value": result.value,
        "checked_at": result.checked_at,
    }


def _line(result: CheckResult) -> str:
    words = " ".join(str(part) for part in (result.message, result.hint) if part)
    return f"{result.database.slug}  {result.check_id}: {Verdict(result.verdict).label}. {words}"
