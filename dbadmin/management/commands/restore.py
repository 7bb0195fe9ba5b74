"""Bring backups back."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from dbadmin import audit
from dbadmin.backups.restore import new_target
from dbadmin.choices import JobKind, JobState, RestoreState
from dbadmin.jobs.foreground import work_on
from dbadmin.management.command import CRITICAL, DONE, WARNING, Outcome, VerbCommand, find_database
from dbadmin.management.progress import for_stream
from dbadmin.management.rows import job_row, require, restore_row
from dbadmin.models import Backup, Job, Restore
from dbadmin.text import Text


class Command(VerbCommand):
    """``restore run|list``."""

    help = "Bring a backup back, beside what exists."
    verbs = {
        "run": "restore a backup into a new database, file or folder and compare it",
        "list": "list restores, newest first",
    }

    def add_run(self, parser: ArgumentParser) -> None:
        """Add what and where."""
        parser.add_argument("backup", type=int, metavar="BACKUP_ID")
        parser.add_argument("--to-new", required=True, metavar="NAME", help="what it will be called; must not exist")
        parser.add_argument("--server", metavar="SLUG", help="make it beside this database (default: the original)")
        parser.add_argument("--no-owner", action="store_true", help="leave owners and grants out")

    def do_run(self, options: dict[str, Any]) -> Outcome:
        """Restore here; exit code 1 when the copy differs."""
        backups = Backup.objects.select_related("database__application", "storage")
        backup = require(backups, options["backup"], what=Text("backup"))
        beside = find_database(options["server"]) if options["server"] else backup.database
        new_target(backup, beside, options["to_new"])  # refuse before there is a job
        job = work_on(
            JobKind.RESTORE,
            backup.database,
            actor=audit.from_shell(),
            params={
                "backup": backup.pk,
                "target_name": options["to_new"],
                "server": options["server"],
                "keep_owners": not options["no_owner"],
            },
            echo=for_stream(sys.stderr),
        )
        return _outcome(job)

    def add_list(self, parser: ArgumentParser) -> None:
        """Add filters."""
        parser.add_argument("--limit", type=int, default=50, help="default: %(default)s")

    def do_list(self, options: dict[str, Any]) -> Outcome:
        """List the newest."""
        restores = list(Restore.objects.select_related("backup__database")[: options["limit"]])
        return Outcome(results=[restore_row(row) for row in restores], lines=[_line(row) for row in restores])


def _outcome(job: Job) -> Outcome:
    restore = Restore.objects.select_related("backup__database").filter(job=job).first()
    told = " ".join(str(part) for part in (job.message, job.hint) if part)
    differences = [f"  {d['subject']}: {d['expected']} → {d['found']}" for d in restore.differences] if restore else []
    code = CRITICAL if job.state != JobState.SUCCEEDED else DONE
    if restore and restore.state == RestoreState.DIFFERENT:
        code = WARNING
    return Outcome(
        results=[job_row(job) | {"restore": restore_row(restore) if restore else None}],
        lines=[told, *differences],
        exit_code=code,
    )


def _line(row: Restore) -> str:
    return f"{row.pk:>6}  {row.started_at:%Y-%m-%d %H:%M}  {row.get_state_display():<26} {row}"
