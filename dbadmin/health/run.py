"""Check one database now: gather once, judge, and keep what was found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from dbadmin.choices import BackupState, DrillKind, DrillState, Environment, JobState, MigrationState, Scope, Verdict
from dbadmin.exceptions import DbadminError
from dbadmin.health import checks as checks  # registers them
from dbadmin.health.archives import archives
from dbadmin.health.findings import opened
from dbadmin.health.plans import plans
from dbadmin.health.registry import Migrations, Observation, Proof, Result, Thresholds, evaluate
from dbadmin.models import AppliedMigration, Backup, CheckResult, Database, Drill, Finding, MigrationStatus

_JUDGED = (MigrationState.FAILED, MigrationState.FILE_MISSING, MigrationState.MODIFIED)


def run_checks(database: Database, *, now: datetime) -> list[CheckResult]:
    """Run every check of the database's engine and store results and findings; returns the results in order.

    A database that cannot be reached is a result, not an exception. The database is asked outside the transaction
    in which the answers are written.
    """
    seen = _gather(database, now)
    with transaction.atomic():
        current = Database.objects.select_for_update(no_key=True).get(pk=database.pk)
        failures = current.failed_probes + 1 if seen.failure else 0
        results = evaluate(database.engine, replace(seen, failed_probes=failures))
        database.failed_probes, database.checked_at = failures, now
        database.save(update_fields=["failed_probes", "checked_at"])
        _keep_findings(database, results, now)
        return _keep_results(database, results, now)


def _gather(database: Database, now: datetime) -> Observation:
    known = Observation(
        now=now,
        newest_backup=_newest_backup(database),
        proof=_proof(database),
        migrations=_migrations(database),
        archives=archives(database),
        plans=plans(database),
        is_production=database.environment == Environment.PRODUCTION,
        thresholds=Thresholds(backup_age_hours=database.backup_age_hours, restore_minutes=database.restore_minutes),
    )
    try:
        return replace(known, snapshot=database.adapter.snapshot(database.connection()))
    except DbadminError as failure:
        return replace(known, failure=failure)


def _newest_backup(database: Database) -> datetime | None:
    # What was written while the backup ran is not in it, so its age counts from its beginning.
    newest = Backup.objects.read_whole().past().filter(database=database, scope=Scope.FULL).order_by("-finished_at")
    return newest.values_list("started_at", flat=True).first()


def _proof(database: Database) -> Proof | None:
    drills = Drill.objects.filter(backup__database=database, finished_at__isnull=False)
    # One that somebody broke off says nothing, one whose worker died is said by its job; a partial one proves nothing,
    # but finds differences. What a drill found of a newer backup holds until another one of that backup, or a newer.
    telling = drills.exclude(state=DrillState.FAILED, job__state__in=(JobState.CANCELLED, JobState.LOST))
    telling = telling.filter(Q(kind=DrillKind.FULL) | Q(state=DrillState.DIFFERENT))
    there = telling.exclude(backup__state=BackupState.DELETED)
    newest = there.order_by("-backup__finished_at", "-finished_at").only("state", "finished_at").first()
    if newest is None or newest.finished_at is None:
        return None
    proven = Backup.objects.available().filter(database=database, proven_at__isnull=False).order_by("-proven_at")
    timed = drills.filter(state=DrillState.PROVEN, kind=DrillKind.FULL).order_by("-finished_at")
    return Proof(
        state=newest.state,
        finished_at=newest.finished_at,
        restore_seconds=timed.values_list("restore_seconds", flat=True).first(),
        proven_at=proven.values_list("proven_at", flat=True).first(),
    )


def _migrations(database: Database) -> tuple[Migrations, ...]:
    revisions: dict[tuple[str, str], list[str]] = defaultdict(list)
    judged = AppliedMigration.objects.filter(database=database, disappeared_at=None, state__in=_JUDGED)
    for tool, state, revision in judged.order_by("position").values_list("tool", "state", "revision"):
        revisions[tool, state].append(revision)
    return tuple(
        Migrations(
            tool=status.tool,
            head=status.head,
            pending=status.pending,
            problem=status.problem,
            read_at=status.read_at,
            failed=tuple(revisions[status.tool, MigrationState.FAILED]),
            file_missing=tuple(revisions[status.tool, MigrationState.FILE_MISSING]),
            modified=tuple(revisions[status.tool, MigrationState.MODIFIED]),
        )
        for status in MigrationStatus.objects.filter(database=database)
    )


def _keep_results(database: Database, results: Mapping[str, Result], now: datetime) -> list[CheckResult]:
    rows = [
        CheckResult(
            database=database,
            check_id=check_id,
            verdict=result.verdict,
            message=result.message,
            hint=result.hint,
            value=result.value,
            checked_at=now,
        )
        for check_id, result in results.items()
    ]
    CheckResult.objects.filter(database=database).exclude(check_id__in=results).delete()
    CheckResult.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["database", "check_id"],
        update_fields=["verdict", "message", "hint", "value", "checked_at"],
    )
    return rows


def _keep_findings(database: Database, results: Mapping[str, Result], now: datetime) -> None:
    """Open what is new, follow what goes on, resolve what is well. Unknown does neither: nobody saw it get well."""
    bad = {key: result for key, result in results.items() if result.verdict in (Verdict.WARNING, Verdict.CRITICAL)}
    unseen = {key for key, result in results.items() if result.verdict == Verdict.UNKNOWN}
    found = {finding.check_id: finding for finding in Finding.objects.open().filter(database=database)}
    for check_id, finding in found.items():
        if result := bad.get(check_id):
            finding.verdict, finding.message, finding.hint = result.verdict, result.message, result.hint
            finding.last_seen_at = now
        elif check_id not in unseen:
            finding.resolved_at = now
    Finding.objects.bulk_update(found.values(), ["verdict", "message", "hint", "last_seen_at", "resolved_at"])
    Finding.objects.bulk_create(
        (opened(database.pk, check_id, result, now=now) for check_id, result in bad.items() if check_id not in found),
        ignore_conflicts=True,  # what has just been told is there already
    )
