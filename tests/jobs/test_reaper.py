from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from dbadmin.backups import spool
from dbadmin.choices import JobKind, JobState, RestoreState
from dbadmin.jobs.lease import LEASE, Worker, this_host
from dbadmin.jobs.reaper import reap
from dbadmin.models import Database, Job, Restore, Storage
from dbadmin.process import Command, start_time
from tests.backups.files import below, spools
from tests.factories import make_backup, make_job
from tests.jobs.threads import at_once

DEAD = "999999999/1"


def running(database: Database, **overrides: object) -> Job:
    now = timezone.now()
    defaults = {"state": JobState.RUNNING, "worker": DEAD, "host": this_host(), "lease_until": now + LEASE}
    return make_job(database=database, started_at=now, **defaults | overrides)


def test_a_worker_that_died_on_this_machine_is_noticed_at_once(database: Database) -> None:
    job = running(database)
    assert reap(timezone.now()) == [job]
    job.refresh_from_db()
    assert (job.state, str(job.message)) == (JobState.LOST, "The worker that did this job has died.")
    assert (job.retried_by.state, job.retried_by.attempt) == (JobState.QUEUED, 2)


def test_a_worker_on_another_machine_has_until_its_lease_ends(database: Database) -> None:
    job = running(database, host="elsewhere")
    assert reap(timezone.now()) == []
    assert reap(timezone.now() + LEASE + timedelta(seconds=1)) == [job]


def test_a_living_worker_is_left_alone(database: Database) -> None:
    running(database, worker=Worker.current().name)
    assert reap(timezone.now()) == []


def test_a_job_is_repeated_once(database: Database) -> None:
    job = running(database, attempt=2)
    reap(timezone.now())
    assert not Job.objects.filter(retry_of=job).exists()


@pytest.mark.django_db(transaction=True)
def test_several_reapers_repeat_a_job_once(database: Database) -> None:
    job = running(database)
    at_once(3, lambda: reap(timezone.now()))
    assert Job.objects.filter(retry_of=job).count() == 1


def test_a_reaper_that_died_itself_is_made_up_for(database: Database) -> None:
    job = running(database, state=JobState.LOST, finished_at=timezone.now() - timedelta(minutes=2))
    (spool.make(job) / "dump").touch()
    reap(timezone.now())
    assert spools() == []
    assert Job.objects.get(retry_of=job).attempt == 2


def test_the_recorded_program_is_ended(database: Database) -> None:
    program = Command(argv=("sleep", "60")).start()
    running(database, process_id=program.pid, process_started=start_time(program.pid))
    reap(timezone.now())
    assert program.wait(120) == -9


def test_a_stranger_with_the_same_pid_is_left_alone(database: Database) -> None:
    stranger = Command(argv=("sleep", "60")).start()
    running(database, process_id=stranger.pid, process_started="1")
    reap(timezone.now())
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_spool_and_half_stored_archive_are_removed(database: Database, storage: Storage) -> None:
    job = running(
        database, params={"scope": "full", "storages": [storage.pk], "key": "shop/half", "storing": [storage.pk]}
    )
    (spool.make(job) / "dump").touch()
    archives = Path(storage.settings["path"])
    (archives / "shop" / "half").mkdir(parents=True)
    (archives / "shop" / "half" / ".partial-1").touch()
    (archives / "shop" / "half" / "backup.tar").touch()
    reap(timezone.now())
    assert below(archives) == [] == spools()
    assert Job.objects.get(retry_of=job).params == {"scope": "full", "storages": [storage.pk]}


def test_a_backup_that_was_complete_is_kept(database: Database, storage: Storage) -> None:
    running(database, params={"storing": [storage.pk], "key": "shop/done"})
    make_backup(database=database, storage=storage, key="shop/done")
    archives = Path(storage.settings["path"])
    (archives / "shop" / "done").mkdir(parents=True)
    (archives / "shop" / "done" / "backup.tar").touch()
    reap(timezone.now())
    assert below(archives) == ["shop/done/backup.tar"]


@pytest.mark.parametrize(("traces", "remains"), [({"creating": True}, False), ({}, True)])
def test_a_half_made_target_is_removed_and_a_restore_never_repeated(
    traces: dict[str, bool], remains: bool, database: Database, tmp_path: Path
) -> None:
    backup = make_backup(database=database)
    params = {"backup": backup.pk, "target_name": "copy.db"} | traces
    job = running(database, kind=JobKind.RESTORE, params=params)
    row = Restore.objects.create(backup=backup, job=job, target="copy.db", started_at=timezone.now())
    (tmp_path / "copy.db").touch()
    reap(timezone.now())
    row.refresh_from_db()
    assert row.state == RestoreState.FAILED
    assert (tmp_path / "copy.db").exists() is remains
    assert not Job.objects.filter(retry_of=job).exists()


def test_what_cannot_be_removed_is_told_in_the_log(database: Database, storage: Storage) -> None:
    job = running(database, params={"storing": [storage.pk], "key": "../outside"})
    reap(timezone.now())
    assert "Removing what was half done failed" in str(job.log_lines.get())
