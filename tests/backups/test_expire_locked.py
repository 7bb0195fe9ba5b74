"""A storage that keeps what is locked: retention waits, says why, and goes on when the lock has ended."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from dbadmin.backups.expire import Expired, expire
from dbadmin.backups.going import note_removals
from dbadmin.choices import CopyState, JobKind, JobState, Verdict
from dbadmin.exceptions import StorageError
from dbadmin.health.run import run_checks
from dbadmin.jobs.execution import run_now
from dbadmin.jobs.keeping import ask_for_keeping
from dbadmin.models import Backup, Copy, Database, Finding, Job, Storage
from dbadmin.progress import Silent
from tests.backups.stored import put, there
from tests.factories import make_database, make_retention
from tests.storages.google import GoogleServer
from tests.storages.google import google_server as google_server

pytestmark = pytest.mark.django_db


@pytest.fixture
def storage(db: None, google_server: GoogleServer) -> Storage:
    return Storage.objects.create(
        name="Locked",
        kind="gcs",
        settings=google_server.settings(secrets.token_hex(4)),
        secrets=google_server.secrets,
        retention=make_retention(name="One", last=1, daily=0),
    )


@pytest.fixture
def database(db: None) -> Database:
    return make_database(slug="shop")


@pytest.fixture
def old(database: Database, storage: Storage) -> Backup:
    put(database, storage, days=1)
    return put(database, storage, days=9)


def tick(at: datetime) -> list[Job]:
    """Do what the clock would ask for at that moment, of retention alone."""
    jobs = [job for job in ask_for_keeping(at) if job.kind == JobKind.EXPIRE]
    for job in jobs:
        Job.objects.filter(pk=job.pk).update(created_at=at)
        run_now(job)
        job.refresh_from_db()
    return jobs


def test_what_is_locked_waits_and_goes_when_the_lock_ends(
    old: Backup, database: Database, storage: Storage, google_server: GoogleServer
) -> None:
    with google_server.locked(), pytest.raises(StorageError, match="cannot be deleted before the lock ends"):
        expire(database=database, progress=Silent())
    assert old.copies.get().state == CopyState.EXPIRING
    assert there(old, storage) == {"backup.tar", "manifest.json"}
    assert expire(database=database, progress=Silent()) == Expired(deleted=1, freed=1000, left=0)
    assert there(old, storage) == set()


def test_it_is_tried_every_hour_and_no_more_often(old: Backup, database: Database, google_server: GoogleServer) -> None:
    begun = timezone.now() - timedelta(hours=3)
    with google_server.locked():
        assert [job.state for job in tick(begun)] == [JobState.FAILED]
        for minutes in (1, 10, 59):
            assert tick(begun + timedelta(minutes=minutes)) == []
        assert [job.state for job in tick(begun + timedelta(minutes=61))] == [JobState.FAILED]
        (shown,) = note_removals([old])
        assert "lock ends" in str(shown.removals[0].because)
        assert "every hour" in str(shown.removals[0].because)
    assert [job.state for job in tick(begun + timedelta(minutes=122))] == [JobState.SUCCEEDED]
    assert not Copy.objects.filter(state=CopyState.EXPIRING).exists()


def test_a_finding_tells_of_it_after_a_day_until_it_is_gone(
    old: Backup, database: Database, google_server: GoogleServer
) -> None:
    def check(at: datetime) -> tuple[str, str]:
        result = {one.check_id: one for one in run_checks(database, now=at)}["released"]
        return result.verdict, str(result.message)

    now = timezone.now()
    with google_server.locked():
        tick(now)
        assert check(now + timedelta(hours=1))[0] == Verdict.SKIPPED
        verdict, message = check(now + timedelta(days=3))
    assert verdict == Verdict.WARNING
    assert "could not be deleted for 3 days" in message
    assert "lock ends" in message
    assert Finding.objects.open().filter(check_id="released").exists()
    tick(now + timedelta(days=3, hours=1))
    assert check(now + timedelta(days=3, hours=2))[0] == Verdict.SKIPPED
    assert not Finding.objects.open().filter(check_id="released").exists()
