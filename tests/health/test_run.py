"""Gathering from real files, and findings that open and resolve."""

from __future__ import annotations

import os
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from dbadmin.backups.readiness import assess
from dbadmin.choices import BackupState, Verdict
from dbadmin.health import findings
from dbadmin.health.findings import Happened
from dbadmin.health.registry import Result
from dbadmin.health.run import run_checks
from dbadmin.models import AppliedMigration, Backup, CheckResult, Database, Drill, Finding, MigrationStatus
from dbadmin.text import Text
from tests.factories import make_backup, make_job, make_schedule
from tests.jobs.threads import between
from tests.sqlite_file import make_sqlite_file, sqlite_database

pytestmark = pytest.mark.django_db


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = sqlite_database(make_sqlite_file(tmp_path / "anime.sqlite3"))
    make_backup(database=database)
    make_schedule(next_due_at=timezone.now() + timedelta(days=99))
    return database


def run(database: Database, **later: Any) -> dict[str, CheckResult]:
    now = timezone.now() + timedelta(**later)
    return {result.check_id: result for result in run_checks(database, now=now)}


def path_of(database: Database) -> Path:
    return Path(database.settings["path"])


def test_a_sound_file_with_a_fresh_backup_is_well(database: Database) -> None:
    verdicts = {result.verdict for result in run(database).values()}
    assert verdicts == {Verdict.OK, Verdict.SKIPPED}
    assert not Finding.objects.exists()


def test_a_backup_that_is_dated_in_the_future_is_not_fresh(database: Database) -> None:
    later = timezone.now() + timedelta(days=90)
    Backup.objects.update(started_at=later, finished_at=later)
    assert run(database)["backup_freshness"].verdict == Verdict.CRITICAL
    assert [(found.held, found.rpo) for found in assess(timezone.now())] == [(None, None)]


def drilled(backup: Backup, state: str, *, minutes: int, kind: str = "full") -> None:
    at = timezone.now() + timedelta(minutes=minutes)
    Drill.objects.create(backup=backup, kind=kind, state=state, started_at=at, finished_at=at, restore_seconds=1)


def test_what_a_drill_found_holds_until_that_backup_or_a_newer_one_is_proven(database: Database) -> None:
    now = timezone.now()
    old = make_backup(database=database, proven_at=now, finished_at=now - timedelta(days=1))
    newer = make_backup(database=database, finished_at=now)
    drilled(newer, "different", minutes=1)
    drilled(old, "proven", minutes=2)
    assert run(database)["drill"].verdict == Verdict.CRITICAL
    drilled(newer, "proven", minutes=3, kind="partial")
    assert run(database)["drill"].verdict == Verdict.CRITICAL
    drilled(newer, "proven", minutes=4)
    assert run(database)["drill"].verdict == Verdict.OK
    drilled(old, "failed", minutes=5)
    assert run(database)["drill"].verdict == Verdict.OK
    drilled(newer, "different", minutes=6, kind="partial")
    assert run(database)["drill"].verdict == Verdict.CRITICAL
    Backup.objects.filter(pk=newer.pk).update(state=BackupState.DELETED)
    drilled(old, "proven", minutes=7)
    assert run(database)["drill"].verdict == Verdict.OK


@pytest.mark.parametrize(
    ("job_state", "verdict"),
    [("failed", Verdict.CRITICAL), ("cancelled", Verdict.OK), ("lost", Verdict.OK)],
)
def test_a_drill_that_somebody_broke_off_says_nothing(database: Database, job_state: str, verdict: Verdict) -> None:
    now = timezone.now()
    backup = make_backup(database=database, proven_at=now)
    Drill.objects.create(backup=backup, state="proven", started_at=now, finished_at=now, restore_seconds=1)
    later = now + timedelta(minutes=1)
    job = make_job(database=database, kind="drill", state=job_state)
    Drill.objects.create(backup=backup, job=job, state="failed", started_at=later, finished_at=later)
    assert run(database)["drill"].verdict == verdict


def test_results_are_stored_once_for_each_check(database: Database) -> None:
    first, second = run(database), run(database, hours=1)
    stored = CheckResult.objects.filter(database=database)
    assert {row.check_id for row in stored} == set(first) == set(second)
    database.refresh_from_db()
    assert {row.checked_at for row in stored} == {database.checked_at}


def test_a_check_that_no_longer_exists_leaves_no_result(database: Database) -> None:
    CheckResult.objects.create(database=database, check_id="gone", verdict="ok", checked_at=timezone.now())
    run(database)
    assert not CheckResult.objects.filter(check_id="gone").exists()


def test_a_file_of_zero_bytes_is_critical(tmp_path: Path) -> None:
    (tmp_path / "empty.sqlite3").touch()
    results = run(sqlite_database(tmp_path / "empty.sqlite3"))
    assert results["sqlite_content"].verdict == Verdict.CRITICAL


def test_a_file_without_tables_is_critical(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "bare.sqlite3") as db:
        db.execute("PRAGMA user_version = 1")
    assert run(sqlite_database(tmp_path / "bare.sqlite3"))["sqlite_content"].verdict == Verdict.CRITICAL


def test_a_damaged_file_is_critical(tmp_path: Path) -> None:
    path = make_sqlite_file(tmp_path / "damaged.sqlite3", rows=5000)
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(4096))
    assert run(sqlite_database(path))["quick_check"].verdict == Verdict.CRITICAL


def test_a_file_that_is_no_database_is_never_green(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but longer than its header would be" * 10)
    results = run(sqlite_database(path))
    assert Verdict.CRITICAL in {result.verdict for result in results.values()}
    assert results["sqlite_content"].verdict == Verdict.UNKNOWN


def test_the_third_failure_in_a_row_is_critical_and_the_finding_stays_the_same(database: Database) -> None:
    path_of(database).unlink()
    seen = [run(database, minutes=minute)["reachable"].verdict for minute in range(3)]
    assert seen == [Verdict.WARNING, Verdict.WARNING, Verdict.CRITICAL]
    finding = Finding.objects.get(check_id="reachable")
    assert (finding.verdict, finding.resolved_at) == (Verdict.CRITICAL, None)
    assert finding.last_seen_at - finding.opened_at > timedelta(minutes=1)


def test_while_it_is_down_the_other_checks_are_unknown(database: Database) -> None:
    path_of(database).unlink()
    results = run(database)
    assert {results[name].verdict for name in ("size", "quick_check", "sqlite_content", "migrations")} == {
        Verdict.UNKNOWN
    }


def test_it_answers_again_and_the_count_starts_anew(database: Database) -> None:
    path_of(database).rename(path_of(database).with_suffix(".away"))
    run(database)
    path_of(database).with_suffix(".away").rename(path_of(database))
    assert run(database, minutes=1)["reachable"].verdict == Verdict.OK
    database.refresh_from_db()
    assert database.failed_probes == 0
    assert Finding.objects.get(check_id="reachable").resolved_at is not None


def test_a_finding_that_comes_back_is_a_new_one(database: Database) -> None:
    database.backups.update(state=BackupState.DAMAGED)
    run(database)
    database.backups.update(state=BackupState.AVAILABLE)
    run(database, minutes=1)
    database.backups.update(state=BackupState.DELETED)
    run(database, minutes=2)
    found = Finding.objects.filter(check_id="backup_freshness")
    assert sorted(finding.resolved_at is None for finding in found) == [False, True]


def test_unknown_does_not_resolve_what_was_found(tmp_path: Path) -> None:
    path = tmp_path / "empty.sqlite3"
    path.touch()
    database = sqlite_database(path)
    run(database)
    path.unlink()
    assert run(database, minutes=1)["sqlite_content"].verdict == Verdict.UNKNOWN
    assert Finding.objects.get(check_id="sqlite_content").resolved_at is None


@pytest.mark.parametrize("overrides", [{"scope": "schema"}, {"scope": "data"}, {"state": "damaged"}])
def test_only_whole_and_sound_backups_count(tmp_path: Path, overrides: dict[str, str]) -> None:
    database = sqlite_database(make_sqlite_file(tmp_path / "anime.sqlite3"))
    make_backup(database=database, **overrides)
    assert run(database)["backup_freshness"].verdict == Verdict.CRITICAL


def remember(database: Database, state: str, now: datetime) -> None:
    MigrationStatus.objects.create(database=database, tool="prisma", head="1_init", pending=0, read_at=now)
    AppliedMigration.objects.create(
        database=database, tool="prisma", revision="1_init", state=state, first_seen_at=now, last_seen_at=now
    )


def test_a_failed_migration_of_the_last_reading_is_critical(database: Database) -> None:
    remember(database, "failed", timezone.now())
    assert run(database)["migrations"].verdict == Verdict.CRITICAL


def test_the_number_of_queries_is_small(database: Database, django_assert_max_num_queries: Any) -> None:
    remember(database, "modified", timezone.now())
    run(database)
    with django_assert_max_num_queries(20):
        run(database, minutes=1)


@pytest.mark.django_db(transaction=True)
def test_a_check_goes_on_with_what_is_told_at_the_same_moment(database: Database) -> None:
    """A run ends without success while a health check that sees it already is writing."""
    run(database)
    Database.objects.update(settings={"path": "/nowhere/anime.sqlite3"})
    bad = Result(verdict=Verdict.CRITICAL, message=Text("away"))
    told = Happened(database_id=database.pk, check_id="reachable", result=bad)
    between(
        lambda: findings.tell([told], now=timezone.now()),
        lambda: run(Database.objects.get()),
        lambda: None,
    )
    assert Finding.objects.open().filter(check_id="reachable").count() == 1
