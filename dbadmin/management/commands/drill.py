"""Prove backups by restoring them where nobody sees it."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError

from dbadmin import audit
from dbadmin.backups.drill_places import require_place
from dbadmin.choices import AssertionKind, DrillKind, DrillState, JobKind, Scope
from dbadmin.exceptions import UsageError
from dbadmin.facts import Difference
from dbadmin.jobs.foreground import work_on
from dbadmin.management.command import CRITICAL, DONE, Outcome, VerbCommand, find_database
from dbadmin.management.key_files import add_key_file, identities
from dbadmin.management.progress import for_stream
from dbadmin.management.rows import job_line, job_row, require
from dbadmin.management.values import finite, whole
from dbadmin.models import Assertion, Backup, Drill, Job
from dbadmin.text import Text

EXPECTATIONS = ("max_age_hours", "minimum", "maximum", "expected", "time_zone")


class Command(VerbCommand):
    """``drill run|history|assertions|expect|forget``."""

    help = "Prove backups: restore them into a throw-away place, compare everything, leave nothing."
    verbs = {
        "run": "drill one backup now; exit code 0 when it is proven, 2 when not",
        "history": "list drills, newest first",
        "assertions": "list what restored copies have to answer",
        "expect": "add an assertion",
        "forget": "remove an assertion",
    }

    def add_run(self, parser: ArgumentParser) -> None:
        """Add what to drill, and how much of it."""
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("backup", nargs="?", type=int, metavar="BACKUP_ID")
        which.add_argument("--latest", metavar="SLUG", help="the newest full backup of this database")
        kind = parser.add_mutually_exclusive_group()
        kind.add_argument("--full", dest="kind", action="store_const", const=DrillKind.FULL.value, help="default")
        kind.add_argument("--partial", dest="kind", action="store_const", const=DrillKind.PARTIAL.value)
        parser.add_argument("--tables", default="", metavar="A,B", help="of a partial drill; some by chance without")
        parser.add_argument(
            "--on",
            metavar="SLUG",
            help="in a throw-away database on the server of this PostgreSQL database; default: a server of its own",
        )
        parser.set_defaults(kind=None)
        add_key_file(parser)

    def do_run(self, options: dict[str, Any]) -> Outcome:
        """Drill here and say how it ended."""
        backup = _backup(options)
        tables = [name.strip() for name in options["tables"].split(",") if name.strip()]
        kind = options["kind"] or (DrillKind.PARTIAL if tables else DrillKind.FULL).value
        params = {"backup": backup.pk, "kind": kind} | ({"tables": tables} if tables else {})
        if options["on"]:
            server = find_database(options["on"])
            require_place(backup, server)
            params["on"] = server.slug
        job = work_on(
            JobKind.DRILL,
            backup.database,
            actor=audit.from_shell(),
            params=params,
            echo=for_stream(sys.stderr),
            identities=identities(options),
        )
        row = Drill.objects.filter(job=job).select_related("backup__database").first()
        is_proven = row is not None and row.state == DrillState.PROVEN
        return Outcome(
            results=[job_row(job) | {"drill": drill_row(row) if row else None}],
            lines=_lines(job, row),
            exit_code=DONE if is_proven else CRITICAL,
        )

    def add_history(self, parser: ArgumentParser) -> None:
        """Add filters."""
        parser.add_argument("--database", metavar="SLUG")
        parser.add_argument("--limit", type=whole(1), default=50, help="default: %(default)s")

    def do_history(self, options: dict[str, Any]) -> Outcome:
        """List the newest."""
        drills = Drill.objects.select_related("backup__database")
        if options["database"]:
            drills = drills.filter(backup__database=find_database(options["database"]))
        found = list(drills[: options["limit"]])
        return Outcome(results=[drill_row(row) for row in found], lines=[_line(row) for row in found])

    def add_assertions(self, parser: ArgumentParser) -> None:
        """Add which."""
        parser.add_argument("--database", metavar="SLUG")

    def do_assertions(self, options: dict[str, Any]) -> Outcome:
        """List them."""
        found = Assertion.objects.select_related("database")
        if options["database"]:
            found = found.filter(database=find_database(options["database"]))
        return Outcome(
            results=[_assertion_row(each) for each in found],
            lines=[f"{each.pk}\t{each.database.slug}\t{each.name}\t{each.kind}\t{each.sql}" for each in found],
        )

    def add_expect(self, parser: ArgumentParser) -> None:
        """Add the question and the expected answer."""
        parser.add_argument("database", metavar="SLUG")
        parser.add_argument("name")
        parser.add_argument("kind", choices=AssertionKind.values)
        parser.add_argument("sql", help="one SELECT that returns one value")
        parser.add_argument("--max-age-hours", type=finite, help="of a freshness")
        parser.add_argument("--minimum", type=finite, help="of a count")
        parser.add_argument("--maximum", type=finite, help="of a count")
        parser.add_argument("--expected", default="", help="of a value")
        parser.add_argument("--time-zone", default="UTC", help="of times stored without one; default: %(default)s")

    def do_expect(self, options: dict[str, Any]) -> Outcome:
        """Save it."""
        given = {name: options[name] for name in ("name", "kind", "sql", *EXPECTATIONS)}
        assertion = Assertion(database=find_database(options["database"]), **given)
        try:
            assertion.full_clean()
        except ValidationError as error:
            raise UsageError(
                Text("The assertion is not complete: {reason}", reason=" ".join(error.messages))
            ) from error
        assertion.save()
        audit.record(audit.from_shell(), "assertion.add", assertion, database=assertion.database.slug)
        return Outcome(results=[_assertion_row(assertion)], lines=[f"{assertion.pk}\t{assertion.name}"])

    def add_forget(self, parser: ArgumentParser) -> None:
        """Add which."""
        parser.add_argument("id", type=int)

    def do_forget(self, options: dict[str, Any]) -> Outcome:
        """Remove it."""
        assertion = require(Assertion.objects.select_related("database"), options["id"], what=Text("assertion"))
        row = _assertion_row(assertion)
        audit.record(audit.from_shell(), "assertion.remove", assertion, database=assertion.database.slug)
        assertion.delete()
        return Outcome(results=[row], lines=[Text("{name}: removed.", name=assertion.name)])


def drill_row(row: Drill) -> dict[str, Any]:
    """Return a drill with all that it found. Times in seconds."""
    checks = [
        {"name": Text.from_json(each["name"]), "verdict": each["verdict"], "message": Text.from_json(each["message"])}
        for each in row.checks
    ]
    return {
        "id": row.pk,
        "backup": row.backup_id,
        "database": row.backup.database.slug,
        "kind": row.kind,
        "state": row.state,
        "tables": row.tables,
        "place": row.place,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
        "restore_seconds": row.restore_seconds,
        "differences": row.differences,
        "checks": checks,
    }


def _backup(options: dict[str, Any]) -> Backup:
    backups = Backup.objects.listed().defer(None)
    if options["backup"] is not None:
        return require(backups, options["backup"], what=Text("backup"))
    database = find_database(options["latest"])
    newest = backups.available().filter(database=database, scope=Scope.FULL).order_by("-finished_at").first()
    if newest is None:
        raise UsageError(Text("“{name}” has no full backup.", name=database.slug), Text("Back up first."))
    return newest


def _assertion_row(assertion: Assertion) -> dict[str, Any]:
    names = ("name", "kind", "sql", *EXPECTATIONS)
    return {"id": assertion.pk, "database": assertion.database.slug} | {
        name: getattr(assertion, name) for name in names
    }


def _line(row: Drill) -> str:
    seconds = "–" if row.restore_seconds is None else f"{row.restore_seconds} s"
    at = row.started_at.isoformat(timespec="seconds")
    return f"{row.pk}\t{at}\t{row.backup.database.slug}\t{row.get_kind_display()}\t{row.get_state_display()}\t{seconds}"


def _lines(job: Job, row: Drill | None) -> list[str]:
    lines = [job_line(job, row.get_state_display() if row else "")]
    if row is not None:
        lines += [f"  {each['verdict']}: {Text.from_json(each['name'])}: {Text.from_json(each['message'])}"
                  for each in row.checks]  # fmt: skip
        lines += [f"  {Difference(**each).as_text()}" for each in row.differences]
    return lines
