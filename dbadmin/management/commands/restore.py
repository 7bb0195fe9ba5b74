"""Bring backups back."""

from __future__ import annotations

import shlex
import sys
from argparse import ArgumentParser
from typing import Any

from dbadmin import audit
from dbadmin.backups.replace import KEEP_HOURS, require_replaceable, target_of
from dbadmin.backups.restore import new_target
from dbadmin.backups.rows import in_place
from dbadmin.backups.tables import require_tables
from dbadmin.backups.undo import require_undoable
from dbadmin.choices import JobKind, JobState, RestoreMode, RestoreState
from dbadmin.exceptions import Refused, UsageError
from dbadmin.facts import Difference
from dbadmin.jobs.foreground import work_on
from dbadmin.jobs.queue import require_registered
from dbadmin.management.adopting import add_uri, at_uri
from dbadmin.management.command import CRITICAL, DONE, WARNING, Outcome, VerbCommand, find_database
from dbadmin.management.importing import bring_in, import_file
from dbadmin.management.key_files import add_key_file, identities
from dbadmin.management.progress import for_stream
from dbadmin.management.rows import clock, find_storage, job_row, require, restore_row
from dbadmin.management.values import whole, wrong_usage
from dbadmin.models import Backup, Database, Import, Job, Restore
from dbadmin.text import Text


class Command(VerbCommand):
    """``restore run|undo|list``."""

    help = "Bring a backup back, beside what exists or in its place."
    verbs = {
        "run": "restore a backup into a new database, file or folder, or in place of one, and compare it",
        "undo": "put back what a restore replaced",
        "list": "list restores, newest first",
    }

    def add_run(self, parser: ArgumentParser) -> None:
        """Add what and where."""
        parser.add_argument("backup", type=int, nargs="?", metavar="BACKUP_ID")
        parser.add_argument("--file", metavar="PATH", help="a dump or SQLite file, in place of a backup")
        add_uri(parser)
        parser.add_argument("--with-owners", action="store_true", help="with --file: take over owners and grants")
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument("--to-new", metavar="NAME", help="what it will be called; must not exist")
        where.add_argument("--replace", action="store_true", help="take the place of what exists; needs --confirm")
        parser.add_argument(
            "--server", metavar="SLUG", help="make it beside this database, or replace this one (default: the original)"
        )
        where.add_argument("--tables", metavar="A,B", help="bring these tables, or files, beside the live ones")
        parser.add_argument(
            "--in-place", action="store_true", help="with --tables: replace the live rows or files; needs --confirm"
        )
        parser.add_argument("--confirm", metavar="NAME", help="the name of the database in which something is replaced")
        parser.add_argument(
            "--keep-hours", type=int, default=KEEP_HOURS, metavar="N", help="keep the way back (default: %(default)s)"
        )
        parser.add_argument(
            "--without-safety-backup", action="store_true", help="go on when what is replaced cannot be backed up"
        )
        parser.add_argument("--storage", metavar="NAME", help="read the copy there (default: any that can be read)")
        parser.add_argument("--no-owner", action="store_true", help="leave owners and grants out")
        add_key_file(parser)

    def do_run(self, options: dict[str, Any]) -> Outcome:
        """Restore here; exit code 1 when the copy differs."""
        if options["file"]:
            return import_file(options)
        backup = _found(options)
        if isinstance(backup, Import):
            return bring_in(backup, options)
        beside = find_database(options["server"]) if options["server"] else backup.database
        if not options["to_new"]:
            require_registered(beside)
        if options["replace"]:
            return _outcome(_replace(backup, beside, options))
        if options["tables"]:
            return _outcome(_bring_tables(backup, beside, options))
        with wrong_usage():
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
            }
            | _from(backup),
            echo=for_stream(sys.stderr),
            identities=identities(options),
        )
        return _outcome(job)

    def add_undo(self, parser: ArgumentParser) -> None:
        """Add which."""
        parser.add_argument("restore", type=int, metavar="RESTORE_ID")
        parser.add_argument(
            "--in-place", action="store_true", help="with --tables: replace the live rows or files; needs --confirm"
        )
        parser.add_argument("--confirm", metavar="NAME", help="the name of the database that is changed")

    def do_undo(self, options: dict[str, Any]) -> Outcome:
        """Go back here."""
        row = require(Restore.objects.select_related("backup__database"), options["restore"], what=Text("restore"))
        require_undoable(row)
        database = target_of(row)
        _require_confirmed(database, options["confirm"])
        job = work_on(
            JobKind.UNDO,
            database,
            actor=audit.from_shell(),
            params={"restore": row.pk},
            echo=for_stream(sys.stderr),
        )
        row.refresh_from_db()
        return _outcome(job, row)

    def add_list(self, parser: ArgumentParser) -> None:
        """Add filters."""
        parser.add_argument("--limit", type=whole(1), default=50, help="default: %(default)s")

    def do_list(self, options: dict[str, Any]) -> Outcome:
        """List the newest."""
        restores = list(Restore.objects.select_related("backup__database")[: options["limit"]])
        return Outcome(results=[restore_row(row) for row in restores], lines=[_line(row) for row in restores])


def _found(options: dict[str, Any]) -> Backup | Import:
    if options["uri"] and options["backup"] is None:
        return at_uri(options)
    if options["backup"] is None or options["uri"]:
        raise UsageError(Text("Name a backup by its number, one with --uri, or a file with --file."))
    backups = Backup.objects.select_related("database__application", "storage")
    backup = require(backups, options["backup"], what=Text("backup"))
    if options["storage"]:
        backup.read_from = find_storage(options["storage"])
    return backup


def _replace(backup: Backup, database: Database, options: dict[str, Any]) -> Job:
    require_replaceable(backup, database)
    _require_confirmed(database, options["confirm"])
    params = {
        "backup": backup.pk,
        "mode": RestoreMode.REPLACE.value,
        "keep_hours": max(1, options["keep_hours"]),
        "keep_owners": not options["no_owner"],
        "without_safety": options["without_safety_backup"],
    } | _from(backup)
    return _work(database, params, options)


def _bring_tables(backup: Backup, database: Database, options: dict[str, Any]) -> Job:
    tables = tuple(name.strip() for name in options["tables"].split(",") if name.strip())
    with wrong_usage():
        require_tables(backup, database, tables)
    params = {"backup": backup.pk, "mode": RestoreMode.TABLES.value, "tables": tables} | _from(backup)
    if options["in_place"]:
        _require_confirmed(database, options["confirm"])
        params |= in_place(database, tables, keep_hours=max(1, options["keep_hours"]))
        params["without_safety"] = options["without_safety_backup"]
    return _work(database, params, options)


def _from(backup: Backup) -> dict[str, int]:
    return {"from_storage": backup.read_from.pk} if backup.read_from else {}


def _work(database: Database, params: dict[str, Any], options: dict[str, Any]) -> Job:
    return work_on(
        JobKind.RESTORE,
        database,
        actor=audit.from_shell(),
        params=params,
        echo=for_stream(sys.stderr),
        identities=identities(options),
    )


def _require_confirmed(database: Database, typed: str | None) -> None:
    if typed != database.name:
        raise Refused(
            Text("“{name}” would be replaced.", name=database.name),
            Text("Confirm it by its name: --confirm {name}", name=shlex.quote(database.name)),
        )


def _outcome(job: Job, restore: Restore | None = None) -> Outcome:
    restore = restore or Restore.objects.select_related("backup__database").filter(job=job).first()
    told = " ".join(str(part) for part in (job.message, job.hint) if part)
    differences = [f"  {Difference(**each).as_text()}" for each in restore.differences] if restore else []
    code = CRITICAL if job.state != JobState.SUCCEEDED else DONE
    if restore and restore.state == RestoreState.DIFFERENT:
        code = WARNING
    return Outcome(
        results=[job_row(job) | {"restore": restore_row(restore) if restore else None}],
        lines=[told, *differences],
        exit_code=code,
    )


def _line(row: Restore) -> str:
    return f"{row.pk:>6}  {clock(row.started_at)}  {row.get_state_display():<26} {row}"
