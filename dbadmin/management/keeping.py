"""The verbs of `backup` that say what stays: expire, pin, unpin, delete, reconcile."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from typing import Any

from django.utils import timezone

from dbadmin import audit
from dbadmin.backups import expire, pins
from dbadmin.backups.judging import Judged, preview
from dbadmin.backups.sparing import pending
from dbadmin.choices import BackupState, JobKind, JobState
from dbadmin.exceptions import Refused
from dbadmin.jobs.foreground import work_on
from dbadmin.jobs.keeping import LOST
from dbadmin.management.command import CRITICAL, DONE, REFUSED, WARNING, Outcome, find_database
from dbadmin.management.progress import for_stream
from dbadmin.management.rows import backup_row, clock, job_row, require
from dbadmin.models import Backup, Copy, Database, Job, Orphan
from dbadmin.text import Text

KEEPING = {
    "expire": "delete what retention releases; with --dry-run only say what, and why",
    "pin": "keep a backup whatever the retentions say",
    "unpin": "let the retentions decide again",
    "delete": "delete one backup, from every storage",
    "reconcile": "look what the storages have; exit code 0 when all agrees, 1 or 2 when not",
}


class KeepingVerbs:
    """Methods for a ``VerbCommand``."""

    def add_expire(self, parser: ArgumentParser) -> None:
        """Add which, and whether in earnest."""
        parser.add_argument("--database", metavar="SLUG", help="only this one (default: all that have a retention)")
        parser.add_argument("--dry-run", action="store_true", help="list every copy, whether it stays, and why")

    def do_expire(self, options: dict[str, Any]) -> Outcome:
        """Apply retention here, or only judge."""
        databases = [find_database(options["database"])] if options["database"] else list(expire.in_need())
        if options["dry_run"]:
            now = timezone.now()
            judged = [copy for judgement in preview(databases, now=now) for copy in judgement.copies]
            judged += [copy for database in databases for copy in pending(database, now=now)]
            return Outcome(results=[_judged_row(copy) for copy in judged], lines=_judged_lines(judged))
        return _worked(JobKind.EXPIRE, databases)

    def add_pin(self, parser: ArgumentParser) -> None:
        """Add which, and why."""
        parser.add_argument("id", type=int)
        parser.add_argument("--note", default="", help="why it is kept")

    def do_pin(self, options: dict[str, Any]) -> Outcome:
        """Pin it."""
        backup = pins.pin(_backup(options["id"]), actor=audit.from_shell(), note=options["note"])
        return _told(backup, Text("{backup}: pinned.", backup=backup))

    def add_unpin(self, parser: ArgumentParser) -> None:
        """Add which."""
        parser.add_argument("id", type=int)

    def do_unpin(self, options: dict[str, Any]) -> Outcome:
        """Unpin it."""
        backup = pins.unpin(_backup(options["id"]), actor=audit.from_shell())
        return _told(backup, Text("{backup}: not pinned any more.", backup=backup))

    def add_delete(self, parser: ArgumentParser) -> None:
        """Add which, why, and the name that has to be typed for the only good one."""
        parser.add_argument("id", type=int)
        parser.add_argument("--reason", required=True, help="kept in the audit trail")
        parser.add_argument(
            "--confirm", metavar="SLUG", default="", help="short name of the database, for its only good backup"
        )

    def do_delete(self, options: dict[str, Any]) -> Outcome:
        """Release it and delete its files."""
        backup = _backup(options["id"])
        pins.delete_backup(backup, actor=audit.from_shell(), reason=options["reason"], confirmed=options["confirm"])
        expire.finish(database=backup.database, progress=for_stream(sys.stderr))
        return _told(backup, Text("{backup}: deleted.", backup=backup))

    def add_reconcile(self, parser: ArgumentParser) -> None:
        """Add which."""
        parser.add_argument("--database", metavar="SLUG", help="only this one (default: all that have backups)")

    def do_reconcile(self, options: dict[str, Any]) -> Outcome:
        """Look into the storages here, and list everything that is wrong now."""
        with_backups = Database.objects.registered().filter(backups__isnull=False).distinct()
        databases = [find_database(options["database"])] if options["database"] else list(with_backups)
        done = _worked(JobKind.RECONCILE, databases)
        wrong = [*_lost(databases), *_orphans(databases)]
        lost = any(row.get("backup_state") in (BackupState.VANISHED, BackupState.DAMAGED) for row in wrong)
        return Outcome(
            results=[*done.results, *wrong],
            lines=[*done.lines, *(f"{row['what']}: {row['key']} ({row['storage']})" for row in wrong)],
            exit_code=done.exit_code or (CRITICAL if lost else WARNING if wrong else DONE),
        )


def _worked(kind: JobKind, databases: Iterable[Database]) -> Outcome:
    """Work on a job for each database here; one that cannot begin does not hold up the others."""
    rows: list[dict[str, Any]] = []
    lines: list[str] = []
    worst = DONE
    for database in databases:
        try:
            job = work_on(kind, database, actor=audit.from_shell(), params={}, echo=for_stream(sys.stderr))
        except Refused as refused:
            rows.append({"database": database.slug, "state": "refused", "message": refused.message})
            lines.append(f"{database.slug}: {refused}")
            worst = worst or REFUSED
            continue
        rows.append(job_row(job))
        lines.append(_job_line(job))
        worst = worst if job.state == JobState.SUCCEEDED else CRITICAL
    return Outcome(results=rows, lines=lines, exit_code=worst)


def _job_line(job: Job) -> str:
    told = " ".join(str(part) for part in (job.message, job.hint) if part)
    return f"{job.database.slug}: {job.get_state_display()} (job {job.pk}) {told}".rstrip()


def _judged_row(judged: Judged) -> dict[str, Any]:
    copy = judged.copy
    return {
        "database": copy.backup.database.slug,
        "backup": copy.backup_id,
        "key": copy.backup.key,
        "storage": copy.storage.name,
        "schedule": copy.backup.schedule.name if copy.backup.schedule else None,
        "retention": judged.retention.name if judged.retention else None,
        "taken_at": copy.backup.started_at,
        "size": copy.size,
        "state": copy.state,
        "keep": judged.keep,
        "reasons": list(judged.reasons),
    }


def _judged_lines(judged: Iterable[Judged]) -> Iterator[str]:
    count = freed = 0
    for each in judged:
        copy = each.copy
        count, freed = (count, freed) if each.keep else (count + 1, freed + copy.size)
        why = " ".join(str(reason) for reason in each.reasons)
        what = Text("stays") if each.keep else Text("GOES")
        yield (
            f"{what!s:<6} {copy.backup_id:>6}  {clock(copy.backup.started_at)}  "
            f"{copy.backup.database.slug:<20} {copy.storage.name:<16} {copy.size / 1e6:>9.1f} MB  {why}"
        )
    yield str(Text("To be deleted: {count} copies, {size} MB.", count=count, size=f"{freed / 1e6:.1f}"))


def _lost(databases: Iterable[Database]) -> Iterator[dict[str, Any]]:
    copies = Copy.objects.filter(backup__database__in=databases, state__in=LOST)
    for copy in copies.select_related("backup__database", "storage"):
        yield {
            "what": copy.state,
            "database": copy.backup.database.slug,
            "backup": copy.backup_id,
            "backup_state": copy.backup.state,
            "storage": copy.storage.name,
            "key": copy.backup.key,
            "size": copy.size,
        }


def _orphans(databases: Iterable[Database]) -> Iterator[dict[str, Any]]:
    for database in databases:
        for orphan in Orphan.objects.filter(key__startswith=f"{database.slug}/").select_related("storage"):
            yield {
                "what": "orphan",
                "database": database.slug,
                "storage": orphan.storage.name,
                "key": orphan.key,
                "size": orphan.size,
                "complete": orphan.complete,
                "found_at": orphan.found_at,
            }


def _backup(pk: int) -> Backup:
    return require(Backup.objects.listed(), pk, what=Text("backup"))


def _told(changed: Backup, sentence: Text) -> Outcome:
    backup = _backup(changed.pk)
    row = backup_row(backup) | {"pinned_at": backup.pinned_at, "pin_note": backup.pin_note}
    return Outcome(results=[row], lines=[sentence])
