"""Take, list, show, verify, copy, compare, keep and delete backups."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from django.utils import timezone

from dbadmin import audit
from dbadmin.archives.encryption import offered
from dbadmin.backups.going import note_removals
from dbadmin.backups.missing import ask_for
from dbadmin.backups.verify import verify_backup
from dbadmin.choices import ComparisonState, JobKind, JobState, Scope
from dbadmin.exceptions import UsageError
from dbadmin.jobs.foreground import work_on
from dbadmin.jobs.queue import enqueue
from dbadmin.jobs.workers import nobody_takes
from dbadmin.management.command import CRITICAL, DONE, UNKNOWN, WARNING, Outcome, VerbCommand, find_database
from dbadmin.management.comparisons import comparison_lines, comparison_row
from dbadmin.management.in_turn import in_turn
from dbadmin.management.keeping import KEEPING, KeepingVerbs
from dbadmin.management.key_files import add_key_file, identities
from dbadmin.management.mirroring import MIRRORING, MirroringVerbs
from dbadmin.management.progress import for_stream
from dbadmin.management.rows import (
    backup_line,
    backup_row,
    copy_line,
    copy_row,
    find_storage,
    job_line,
    job_row,
    require,
)
from dbadmin.management.statistics import STATISTICS, StatisticsVerbs
from dbadmin.management.values import whole
from dbadmin.models import Backup, Comparison, Copy, Database, Job, Storage
from dbadmin.text import Text

COMPARED = {
    ComparisonState.EQUAL: DONE,
    ComparisonState.DIFFERENT: WARNING,
    ComparisonState.INCOMPLETE: UNKNOWN,
}


class Command(KeepingVerbs, StatisticsVerbs, MirroringVerbs, VerbCommand):
    """``backup run|list|show|verify|copy|compare|expire|pin|unpin|delete|reconcile``."""

    help = "Take, list, show, verify, copy, compare, keep and delete backups."
    verbs = {
        "run": "back up one database, an application's, or all, now",
        "list": "list backups, newest first",
        "show": "show all about one backup",
        "verify": "compare every stored byte of every copy with its manifest",
        "copy": "make the copies that are missing now, or one in another storage",
        "compare": "compare with what is live or another backup; exit code 0 when nothing differs, 1 when not",
        **KEEPING,
        **STATISTICS,
        **MIRRORING,
    }

    def add_run(self, parser: ArgumentParser) -> None:
        """Add what to back up, and how."""
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("database", nargs="?", metavar="SLUG", help="short name of the database")
        what.add_argument("--all", action="store_true", help="every registered database")
        what.add_argument("--application", metavar="SLUG", help="every database of this application")
        parser.add_argument("--scope", choices=Scope.values, default=Scope.FULL.value)
        parser.add_argument(
            "--storage", metavar="NAME", action="append", default=[],
            help="where to keep it; several times for several copies (default: the default storage)",
        )  # fmt: skip
        parser.add_argument("--queue", action="store_true", help="let a worker do it and return at once")

    def do_run(self, options: dict[str, Any]) -> Outcome:
        """Back up here, or queue."""
        params: dict[str, Any] = {"scope": options["scope"]}
        if storages := [find_storage(name).pk for name in options["storage"]]:
            params["storages"] = storages
        done = in_turn(
            JobKind.BACKUP, _databases(options), lambda each: self._run(each, params, queue=options["queue"])
        )
        jobs = done.jobs
        bad = [job for job in jobs if not job.is_active and job.state != JobState.SUCCEEDED]
        return Outcome(
            results=[*map(_result, jobs), *done.rows(JobKind.BACKUP)],
            lines=[*map(job_line, jobs), *done.lines(), *_untaken(jobs)],
            exit_code=done.exit_code or (CRITICAL if bad else WARNING if _is_partial(jobs) else DONE),
        )

    def _run(self, database: Database, params: dict[str, Any], *, queue: bool) -> Job:
        actor = audit.from_shell()
        if queue:
            return enqueue(JobKind.BACKUP, database, actor=actor, params=params)[0]
        return work_on(JobKind.BACKUP, database, actor=actor, params=params, echo=for_stream(sys.stderr))

    def add_list(self, parser: ArgumentParser) -> None:
        """Add filters."""
        parser.add_argument("--database", metavar="SLUG")
        parser.add_argument("--limit", type=whole(1), default=50, help="default: %(default)s")

    def do_list(self, options: dict[str, Any]) -> Outcome:
        """List the newest."""
        backups = Backup.objects.listed()
        if options["database"]:
            backups = backups.filter(database=find_database(options["database"], with_backups=True))
        found = note_removals(backups[: options["limit"]])
        return Outcome(results=[backup_row(backup) for backup in found], lines=map(backup_line, found))

    def add_show(self, parser: ArgumentParser) -> None:
        """Add which."""
        parser.add_argument("id", type=int)

    def do_show(self, options: dict[str, Any]) -> Outcome:
        """Show one with facts and origin."""
        backup = require(Backup.objects.listed().defer(None), options["id"], what=Text("backup"))
        note_removals([backup])
        copies = [copy_row(copy) for copy in backup.copies.select_related("storage")]
        row = backup_row(backup) | {"copies": copies, "facts": backup.facts, "origin": backup.origin}
        lines = [f"{name}: {value}" for name, value in row.items() if name != "copies"]
        return Outcome(results=[row], lines=[*lines, *map(copy_line, copies)])

    def add_verify(self, parser: ArgumentParser) -> None:
        """Add which."""
        parser.add_argument("id", type=int)
        parser.add_argument("--storage", metavar="NAME", help="only the copy there (default: every copy)")
        add_key_file(parser)

    def do_verify(self, options: dict[str, Any]) -> Outcome:
        """Re-read every copy of the archive, or one."""
        backup = require(Backup.objects.listed(), options["id"], what=Text("backup"))
        copy = _copy(backup, find_storage(options["storage"])) if options["storage"] else None
        with offered(identities(options)):
            verify_backup(backup, for_stream(sys.stderr), copy=copy)
        told = Text("{backup}: every byte is as it was stored.", backup=backup)
        return Outcome(results=[backup_row(backup)], lines=[told])

    def add_copy(self, parser: ArgumentParser) -> None:
        """Add which, and where to."""
        parser.add_argument("id", type=int)
        parser.add_argument("--storage", metavar="NAME", help="one more storage; without, those that lack it")

    def do_copy(self, options: dict[str, Any]) -> Outcome:
        """Make missing copies here."""
        backup = require(Backup.objects.listed(), options["id"], what=Text("backup"))
        ask_for(backup, find_storage(options["storage"]) if options["storage"] else None)
        job = work_on(
            JobKind.COPY, backup.database, actor=audit.from_shell(), params={"backup": backup.pk},
            echo=for_stream(sys.stderr),
        )  # fmt: skip
        backup.refresh_from_db()
        copies = [copy_row(copy) for copy in backup.copies.select_related("storage")]
        return Outcome(
            results=[job_row(job) | {"backup": backup_row(backup) | {"copies": copies}}],
            lines=[job_line(job), *map(copy_line, copies)],
            exit_code=CRITICAL if backup.missing_copies else DONE,
        )

    def add_compare(self, parser: ArgumentParser) -> None:
        """Add what with, and how thoroughly."""
        parser.add_argument("id", type=int)
        parser.add_argument("--with", default="live", metavar="ID|live", help="default: the live database, now")
        parser.add_argument("--quick", action="store_true", help="numbers of rows, sequences and schema; no rows")
        add_key_file(parser)

    def do_compare(self, options: dict[str, Any]) -> Outcome:
        """Compare here."""
        backup = require(Backup.objects.listed(), options["id"], what=Text("backup"))
        params = {"backup": backup.pk, "content": not options["quick"]} | _other(options["with"])
        job = work_on(
            JobKind.COMPARE,
            backup.database,
            actor=audit.from_shell(),
            params=params,
            echo=for_stream(sys.stderr),
            identities=identities(options),
        )
        row = Comparison.objects.select_related("left", "right").filter(job=job).first()
        return Outcome(
            results=[job_row(job) | {"comparison": comparison_row(row) if row else None}],
            lines=comparison_lines(row) if row else [job_line(job)],
            exit_code=COMPARED[ComparisonState(row.state)] if row else CRITICAL,
        )


def _other(asked: str) -> dict[str, Any]:
    if asked == "live":
        return {}
    if not asked.isdecimal():
        raise UsageError(Text("“{asked}” is neither the number of a backup nor “live”.", asked=asked))
    return {"with": require(Backup.objects.listed(), int(asked), what=Text("backup")).pk}


def _databases(options: dict[str, Any]) -> Iterable[Database]:
    if options["database"]:
        return [find_database(options["database"])]
    registered = Database.objects.registered().select_related("application")
    if not options["all"]:
        registered = registered.filter(application__slug=options["application"])
    if not registered:
        raise UsageError(Text("There is no database to back up."), Text("`databases list` shows what is registered."))
    return registered


def _copy(backup: Backup, storage: Storage) -> Copy:
    copy = backup.copies.filter(storage=storage).first()
    if copy is None:
        raise UsageError(Text("“{storage}” has no copy of this backup.", storage=storage.name))
    return copy


def _untaken(jobs: list[Job]) -> list[str]:
    """Say of what was queued why nobody takes it."""
    now = timezone.now()
    return list(dict.fromkeys(str(why) for job in jobs if (why := nobody_takes(job, now))))


def _is_partial(jobs: list[Job]) -> bool:
    return Backup.objects.filter(job__in=jobs, missing_copies__gt=0).exists()


def _result(job: Job) -> dict[str, Any]:
    backup = Backup.objects.listed().filter(job=job).first()
    return job_row(job) | {"backup": backup_row(backup) if backup else None}
