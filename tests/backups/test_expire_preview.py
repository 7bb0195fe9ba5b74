"""What retention would do is shown before it does it, and asked for by the clock."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from dbadmin.backups.judging import concerned, judge, preview
from dbadmin.choices import CopyState, JobKind, JobState
from dbadmin.exceptions import ValidationFailed
from dbadmin.jobs.keeping import ask_for_keeping
from dbadmin.models import Backup, Database, Destination, Job, Retention, Storage
from tests.backups.stored import states
from tests.backups.test_expire import backups as backups
from tests.backups.test_expire import database as database
from tests.backups.test_expire import run
from tests.backups.test_expire import storage as storage
from tests.backups.test_expire import two as two
from tests.factories import make_backup, make_retention, make_schedule

pytestmark = pytest.mark.django_db


def test_judging_costs_the_same_for_one_backup_and_for_many(
    database: Database, storage: Storage, django_assert_num_queries: Any
) -> None:
    schedule = make_schedule()
    Destination.objects.create(schedule=schedule, storage=storage, retention=make_retention())
    make_backup(database=database, storage=storage, schedule=schedule)
    with django_assert_num_queries(7):
        judge(database, now=timezone.now())
    for days in range(20):
        make_backup(database=database, storage=storage, schedule=schedule, key=f"shop/{days}")
    with django_assert_num_queries(7):
        judge(database, now=timezone.now())


def test_a_preview_shows_what_a_change_would_do_and_changes_nothing(
    backups: list[Backup], database: Database, two: Retention
) -> None:
    stricter = Retention(pk=two.pk, name="Two", last=1)
    (judgement,) = preview(concerned(two), retention=stricter, now=timezone.now())
    assert [judged.copy.backup for judged in judgement.going] == backups[1:]
    assert judgement.freed == 4000
    assert judgement.going[0].retention is stricter
    assert {states(backup)[0] for backup in backups} == {"available"}
    unsaved = Retention(name="New", last=3)
    assert len(judge(database, now=timezone.now(), retention=unsaved).going) == 3
    assert len(judge(database, now=timezone.now(), retention=unsaved, everywhere=True).going) == 2


def test_a_zone_that_is_none_deletes_nothing(backups: list[Backup], database: Database, two: Retention) -> None:
    Retention.objects.filter(pk=two.pk).update(time_zone="Europe/Atlantis")
    with pytest.raises(ValidationFailed, match="Atlantis"):
        run(database)
    assert {states(backup)[0] for backup in backups} == {"available"}


def test_the_clock_asks_once_a_day_and_for_what_is_left_every_hour(backups: list[Backup], database: Database) -> None:
    now = timezone.now()
    assert {job.kind for job in ask_for_keeping(now)} == {JobKind.EXPIRE, JobKind.RECONCILE}
    assert ask_for_keeping(now) == []
    Job.objects.update(state=JobState.SUCCEEDED)
    assert ask_for_keeping(now + timedelta(hours=2)) == []
    backups[4].copies.update(state=CopyState.EXPIRING)
    (job,) = ask_for_keeping(now + timedelta(hours=2))
    assert job.kind == JobKind.EXPIRE
    Job.objects.update(state=JobState.SUCCEEDED)
    assert len(ask_for_keeping(now + timedelta(hours=30))) == 2
