"""Where migrations stand."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.utils import timezone

from dbadmin.choices import MigrationState
from dbadmin.exceptions import DbadminError
from dbadmin.management.command import CRITICAL, DONE, UNKNOWN, WARNING, Outcome, VerbCommand, find_database
from dbadmin.management.rows import clock
from dbadmin.migration_history.read import read_history
from dbadmin.models import AppliedMigration, Database, MigrationStatus
from dbadmin.text import Text

UNREADABLE, PROBLEM = "unknown", "problem"
# The state of a tool is the worst of its migrations'; what nobody can see weighs more than a warning.
WORST_FIRST: Mapping[str, int] = {
    MigrationState.FAILED: CRITICAL,
    MigrationState.FILE_MISSING: CRITICAL,
    UNREADABLE: UNKNOWN,
    MigrationState.MODIFIED: WARNING,
    PROBLEM: WARNING,
    MigrationState.RUNNING: WARNING,
    MigrationState.PENDING: WARNING,
    MigrationState.ROLLED_BACK: WARNING,
    MigrationState.APPLIED: DONE,
}


class Command(VerbCommand):
    """Read the migration history of one database or of all registered ones, and show it."""

    help = (
        "Read where migrations stand. Exit codes: 0 all applied, 1 pending or a problem, 2 failed or a file is "
        "missing, 3 a database could not be read. 2 wins over 3, and 3 over 1."
    )
    verbs = {"status": "one line for each tool in each database", "history": "every migration that was ever seen"}

    def add_status(self, parser: ArgumentParser) -> None:
        """Take the database."""
        parser.add_argument("--database", metavar="SLUG", help="only this database")

    add_history = add_status

    def do_status(self, options: Mapping[str, Any]) -> Outcome:
        """Read, and report the heads and counts of every tool."""
        statuses = _read(options["database"])
        return Outcome(results=statuses, lines=map(_line, statuses), exit_code=_exit_code(statuses))

    def do_history(self, options: Mapping[str, Any]) -> Outcome:
        """Read, and report every migration, also those that are gone from the tool's table."""
        statuses = _read(options["database"])
        rows = [row for status in statuses for row in _revisions(status)]
        return Outcome(results=rows, lines=map(_revision_line, rows), exit_code=_exit_code(statuses))


def _read(slug: str | None) -> list[dict[str, Any]]:
    chosen = [find_database(slug)] if slug else Database.objects.registered()
    return [status for database in chosen for status in _statuses(database)]


def _statuses(database: Database) -> list[dict[str, Any]]:
    """Return the statuses of one database; when it cannot be read those of before, and why."""
    failure = None
    try:
        read_history(database, now=timezone.now())
    except DbadminError as error:
        failure = error
    stored = list(MigrationStatus.objects.filter(database=database)) or [MigrationStatus(database=database)]
    if failure is None:
        return [_status(status) for status in stored if status.tool]
    return [_status(status) | {"state": UNREADABLE, "problem": str(failure)} for status in stored]


def _status(status: MigrationStatus) -> dict[str, Any]:
    return {
        "database": status.database.slug,
        "tool": status.tool,
        "head": status.head,
        "applied": status.applied,
        "pending": status.pending,
        "state": _state(status),
        "problem": status.problem,
        "read_at": status.read_at,
    }


def _state(status: MigrationStatus) -> str:
    rows = AppliedMigration.objects.filter(database=status.database, tool=status.tool, disappeared_at=None)
    found = set(rows.values_list("state", flat=True)) | ({PROBLEM} if status.problem else set())
    return next((str(state) for state in WORST_FIRST if state in found), str(MigrationState.APPLIED))


def _exit_code(statuses: list[dict[str, Any]]) -> int:
    states = {status["state"] for status in statuses}
    return next((code for state, code in WORST_FIRST.items() if state in states), DONE)


def _revisions(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    of = {"database": status["database"], "tool": status["tool"], "head": status["head"]}
    counts = {"applied": status["applied"], "pending": status["pending"]}
    rows = AppliedMigration.objects.filter(database__slug=of["database"], tool=of["tool"]).order_by("position", "id")
    fields = (
        "revision",
        "description",
        "state",
        "applied_at",
        "first_seen_at",
        "last_seen_at",
        "disappeared_at",
    )
    problem = {"problem": status["problem"]} if status["state"] == UNREADABLE else {}
    found = [of | counts | row | problem for row in rows.values(*fields)]
    return found or ([dict(status)] if problem else [])


def _line(status: Mapping[str, Any]) -> str:
    pending = "–" if status["pending"] is None else status["pending"]
    counts = Text("head {head}, applied: {applied}, pending: {pending}.", head=status["head"] or "–",
                  applied=status["applied"], pending=pending)  # fmt: skip
    return f"{status['database']}  {status['tool'] or '–'}: {status['state']}. {counts} {status['problem']}".rstrip()


def _revision_line(row: Mapping[str, Any]) -> str:
    if "revision" not in row:
        return _line(row)
    moments = [
        Text("applied {moment}", moment=clock(row["applied_at"]))
        if row["applied_at"]
        else Text("first seen {moment}", moment=clock(row["first_seen_at"]))
    ]
    if row["disappeared_at"]:
        moments.append(Text("gone since {moment}", moment=clock(row["disappeared_at"])))
    when = ", ".join(map(str, moments))
    return f"{row['database']}  {row['tool']} {row['revision']}: {row['state']}, {when}. {row['description']}".rstrip()
