"""What happened to one database, in one line of time: backups, restores, failed jobs, migrations, findings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest
from itertools import chain

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from dbadmin.choices import (
    BackupState,
    ColouredChoices,
    DrillState,
    JobState,
    MigrationState,
    RestoreState,
    Verdict,
)
from dbadmin.models import AppliedMigration, Backup, Database, Drill, Finding, Job, Restore

LENGTH = 40


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened. ``url`` is empty where there is no page for it."""

    at: datetime
    icon: str
    words: str
    state: ColouredChoices
    url: str = ""
    detail: str = ""


def timeline(database: Database) -> list[Event]:
    """Return the newest events, newest first. Six queries, each of at most ``LENGTH`` rows."""
    sources = (_backups, _restores, _drills, _jobs, _migrations, _findings)
    events = chain.from_iterable(source(database) for source in sources)
    return nlargest(LENGTH, events, key=lambda event: event.at)


def _backups(database: Database) -> Iterator[Event]:
    rows = Backup.objects.filter(database=database, state__in=BackupState).defer("facts", "origin")
    for backup in rows.order_by("-finished_at")[:LENGTH]:
        yield Event(
            at=backup.finished_at,
            icon="archive",
            words=_("Backup, {scope}").format(scope=backup.get_scope_display()),
            state=BackupState(backup.state),
            url=backup.get_absolute_url(),
            detail=filesizeformat(backup.size),
        )


def _restores(database: Database) -> Iterator[Event]:
    rows = Restore.objects.filter(backup__database=database).defer("lines", "differences")
    for restore in rows[:LENGTH]:
        yield Event(
            at=restore.finished_at or restore.started_at,
            icon="database-import",
            words=_("Restore to {target}").format(target=restore.target),
            state=RestoreState(restore.state),
            url=restore.get_absolute_url(),
        )


def _drills(database: Database) -> Iterator[Event]:
    rows = Drill.objects.filter(backup__database=database).defer("checks", "differences")
    for drill in rows[:LENGTH]:
        yield Event(
            at=drill.finished_at or drill.started_at,
            icon="shield-check",
            words=_("Drill, {kind}").format(kind=drill.get_kind_display()),
            state=DrillState(drill.state),
            url=drill.get_absolute_url(),
        )


def _jobs(database: Database) -> Iterator[Event]:
    """Only what has left nothing else to show: jobs that wait, run or did not succeed."""
    rows = Job.objects.filter(database=database).exclude(state=JobState.SUCCEEDED).defer("traceback", "params")
    for job in rows[:LENGTH]:
        yield Event(
            at=job.finished_at or job.created_at,
            icon="list-check",
            words=job.get_kind_display(),
            state=JobState(job.state),
            url=job.get_absolute_url(),
            detail=str(job.message),
        )


def _migrations(database: Database) -> Iterator[Event]:
    rows = AppliedMigration.objects.filter(database=database, applied_at__isnull=False)
    for migration in rows.order_by("-applied_at")[:LENGTH]:
        assert migration.applied_at
        yield Event(
            at=migration.applied_at,
            icon="versions",
            words=_("Migration {revision} ({tool})").format(revision=migration.revision, tool=migration.tool),
            state=MigrationState(migration.state),
            detail=migration.description,
        )


def _findings(database: Database) -> Iterator[Event]:
    for finding in Finding.objects.filter(database=database)[:LENGTH]:
        yield Event(at=finding.opened_at, icon="heartbeat", words=str(finding.message), state=Verdict(finding.verdict))
        if finding.resolved_at:
            words = _("Well again: {finding}").format(finding=finding.message)
            yield Event(at=finding.resolved_at, icon="heartbeat", words=words, state=Verdict.OK)
