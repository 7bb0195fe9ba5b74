"""What was mended before a health check looked is told nevertheless."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dbadmin import audit
from dbadmin.choices import JobKind, Verdict
from dbadmin.health.run import run_checks
from dbadmin.jobs.copying import ask_for_copies
from dbadmin.jobs.execution import run_now
from dbadmin.jobs.foreground import work_on
from dbadmin.jobs.schedules import evaluate, save_schedule
from dbadmin.models import Backup, Copy, Database, Finding, Job, Schedule, Storage
from dbadmin.text import Text
from tests.factories import make_backup, make_storage

pytestmark = pytest.mark.django_db

NIGHT = datetime(2026, 3, 2, 3, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def schedule(database: Database) -> Schedule:
    schedule = Schedule(name="nightly", target="all", expression="0 3 * * *", retries=0)
    save_schedule(schedule, NIGHT - HOUR)
    return schedule


def told() -> list[tuple[str, str, bool]]:
    found = Finding.objects.order_by("pk")
    return [(each.check_id, each.verdict, each.resolved_at is None) for each in found]


def pause(schedule: Schedule, now: datetime) -> None:
    schedule.refresh_from_db()
    schedule.enabled = False
    save_schedule(schedule, now)


@pytest.mark.usefixtures("schedule")
def test_missed_nights_are_told_although_the_run_after_them_succeeds(database: Database) -> None:
    now = NIGHT + 2 * DAY + HOUR
    evaluate(now)
    assert told() == [("schedule_runs", Verdict.CRITICAL, True)]
    assert str(Finding.objects.get().message).startswith("“nightly” was missed on 2026-03-03 03:00 UTC: ")
    make_backup(database=database, started_at=now, finished_at=now)
    run_checks(database, now=now + MINUTE)
    assert ("schedule_runs", Verdict.CRITICAL, False) in told()


@pytest.mark.usefixtures("schedule")
def test_a_night_that_failed_is_told_once_from_the_moment_it_is_given_up() -> None:
    for night in (NIGHT, NIGHT + DAY):
        [job] = evaluate(night)
        Job.objects.filter(pk=job.pk).update(state="failed", finished_at=night, message=Text("The disk is full."))
        evaluate(night + MINUTE)
    assert told() == [("schedule_runs", Verdict.CRITICAL, True)]
    assert str(Finding.objects.get().message) == "“nightly” failed on 2026-03-02 03:00 UTC: The disk is full."


@pytest.mark.parametrize("is_paused_first", [True, False])
def test_what_fails_before_or_after_its_schedule_is_paused_is_told(schedule: Schedule, is_paused_first: bool) -> None:
    Schedule.objects.update(retries=1)
    [job] = evaluate(NIGHT)
    if is_paused_first:
        pause(schedule, NIGHT + MINUTE)
    Job.objects.filter(pk=job.pk).update(state="failed", finished_at=NIGHT, message=Text("The disk is full."))
    evaluate(NIGHT + MINUTE)
    if not is_paused_first:
        pause(schedule, NIGHT + 2 * MINUTE)
    evaluate(NIGHT + HOUR)
    assert told() == [("schedule_runs", Verdict.CRITICAL, True)]
    said = "“nightly”, which is paused, failed on 2026-03-02 03:00 UTC: The disk is full."
    assert str(Finding.objects.get().message) == said


def test_a_copy_that_somebody_deleted_is_told_although_it_is_made_again(
    database: Database, storage: Storage, tmp_path: Path
) -> None:
    vault = make_storage(tmp_path / "vault")
    storages = {"storages": [storage.pk, vault.pk]}
    for _each in range(2):
        work_on(JobKind.BACKUP, database, actor=audit.SYSTEM, params=storages)
    backup = Backup.objects.first()
    assert backup is not None
    shutil.rmtree(tmp_path / "vault" / backup.key)
    looked = work_on(JobKind.RECONCILE, database, actor=audit.SYSTEM, params={})
    assert told() == [("archives", Verdict.WARNING, True)]
    [copying] = ask_for_copies(looked.finished_at or looked.created_at)
    run_now(copying)
    assert set(Copy.objects.values_list("state", flat=True)) == {"stored"}
    run_checks(database, now=looked.created_at)
    assert ("archives", Verdict.WARNING, False) in told()
