from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from dbadmin import audit
from dbadmin.backups import spool
from dbadmin.choices import JobKind, JobState
from dbadmin.cron import tick
from dbadmin.jobs import clock
from dbadmin.jobs.queue import enqueue
from dbadmin.models import Database, Job
from tests.backups.files import spools
from tests.factories import make_database, make_job
from tests.jobs.threads import at_once, between
from tests.jobs.workers import environment


@pytest.mark.django_db(transaction=True)
def test_two_ticks_make_one_job_of_each_kind() -> None:
    make_database()
    at_once(3, tick)
    assert sorted(Job.objects.values_list("kind", flat=True)) == [JobKind.HEALTH, JobKind.HISTORY]
    assert DBTaskResult.objects.filter(queue_name="short").count() == 2


@pytest.mark.parametrize(("minutes", "made"), [(4, 0), (6, 1)])
def test_health_is_checked_every_five_minutes(minutes: int, made: int, database: Database) -> None:
    now = timezone.now()
    make_job(database=database, kind="health", state="succeeded", created_at=now - timedelta(minutes=minutes))
    assert len(clock.ask_for_due(JobKind.HEALTH, now)) == made


def test_nothing_is_asked_while_the_last_is_not_done(database: Database) -> None:
    now = timezone.now()
    make_job(database=database, kind="health", created_at=now - timedelta(hours=1))
    assert clock.ask_for_due(JobKind.HEALTH, now) == []


def test_removed_databases_are_left_alone(db: None) -> None:
    make_database(removed_at=timezone.now())
    assert clock.tick(timezone.now()) == []


def test_a_job_whose_bell_was_lost_is_rung_for_once(db: None) -> None:
    now = timezone.now()
    make_job(created_at=now - timedelta(minutes=2))
    clock.ring_again(now)
    clock.ring_again(now)
    assert DBTaskResult.objects.count() == 1


def test_a_worker_that_cannot_run_a_job_is_told_of(db: None, caplog: pytest.LogCaptureFixture, viewer: Client) -> None:
    now = timezone.now()
    job = make_job(created_at=now - timedelta(minutes=2))
    clock.ring_again(now)
    assert "could not run it" not in viewer.get(job.get_absolute_url()).content.decode()
    DBTaskResult.objects.get().set_failed(ImportError("secret words"))
    clock.ring_again(now)
    assert "Restart dbadmin after an update" in caplog.text
    assert "builtins.ImportError" in caplog.text
    assert "secret words" not in caplog.text
    assert "could not run it: restart dbadmin" in viewer.get(job.get_absolute_url()).content.decode()


def test_a_worker_imports_what_it_needs_before_its_first_job() -> None:
    loads = (
        "import sys, django; django.setup(); from django.core.management import get_commands, load_command_class; "
        "load_command_class(get_commands()['db_worker'], 'db_worker'); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", loads], env=environment(), cwd=settings.BASE_DIR, stdout=subprocess.PIPE, check=True
    )
    assert {"dbadmin.jobs.handlers", "dbadmin.engines.postgresql.restore"} <= set(done.stdout.decode().split())


def test_old_looks_are_forgotten_and_old_backups_jobs_kept(database: Database) -> None:
    old = timezone.now() - timedelta(days=2)
    make_job(database=database, kind="health", state=JobState.SUCCEEDED, finished_at=old)
    failed = make_job(database=database, kind="history", state=JobState.FAILED, finished_at=old)
    backup = make_job(database=database, state=JobState.SUCCEEDED, finished_at=old)
    clock.prune(timezone.now())
    assert set(Job.objects.all()) == {failed, backup}


def test_stray_spools_are_removed_when_nobody_works_in_them(database: Database) -> None:
    job = make_job(database=database, state=JobState.RUNNING)
    busy, stray, fresh = spool.make(job), spool.make(), spool.make()
    long_ago = (timezone.now() - timedelta(days=1)).timestamp()
    for folder in (busy, stray):
        os.utime(folder, (long_ago, long_ago))
    clock.remove_strays(timezone.now())
    assert set(spools()) == {busy, fresh}
    for folder in (busy, fresh):
        folder.rmdir()


@pytest.mark.django_db(transaction=True)
def test_a_tick_and_a_request_do_not_wait_for_each_other_in_a_circle(database: Database) -> None:
    """A job that is queued refers to its database's row, and another one of its kind waits for it."""
    between(
        lambda: enqueue(JobKind.HEALTH, database, actor=audit.SYSTEM),
        lambda: clock.tick(timezone.now()),
        lambda: None,
    )
    assert list(Job.objects.values_list("kind", flat=True).order_by("kind")) == [JobKind.HEALTH, JobKind.HISTORY]
