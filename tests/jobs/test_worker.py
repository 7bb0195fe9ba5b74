"""What happens when processes are killed: the real supervisor and workers, in processes of their own."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from django.utils import timezone

from dbadmin import audit
from dbadmin.choices import JobKind, JobState, RestoreState
from dbadmin.jobs import queue
from dbadmin.jobs.foreground import work_on
from dbadmin.jobs.reaper import reap
from dbadmin.jobs.supervisor import FINISH_SECONDS
from dbadmin.models import Backup, Database, Job, Restore, Storage
from tests.backups.files import below, spools
from tests.factories import make_storage
from tests.jobs.workers import children, frozen_in_the_middle, is_alive, over, supervised, until
from tests.sqlite_file import make_large_sqlite_file, sqlite_database

pytestmark = pytest.mark.django_db(transaction=True)
ANNE = audit.Actor(name="anne")
MEGABYTES = 150


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_large_sqlite_file(tmp_path_factory.mktemp("large") / "large.db", megabytes=MEGABYTES)


@pytest.fixture
def database(db: None, large: Path) -> Database:
    return sqlite_database(large, slug="large")


@pytest.fixture
def storage(db: None, tmp_path: Path) -> Storage:
    """So slow that a backup to it takes half an hour, and is not over before something happens to it."""
    return make_storage(tmp_path / "archives", is_default=True, bandwidth_kilobytes=100)


def speed_up(storage: Storage) -> None:
    Storage.objects.filter(pk=storage.pk).update(bandwidth_kilobytes=0)


@pytest.fixture
def job(database: Database, storage: Storage) -> Job:
    return queue.enqueue(JobKind.BACKUP, database, actor=ANNE)[0]


def nothing_is_left(storage: Storage) -> bool:
    return not below(Path(storage.settings["path"])) and not spools()


def test_kill_9_of_a_worker_loses_the_job_which_is_repeated_and_succeeds(job: Job, storage: Storage) -> None:
    with supervised("worker", "--workers", "1", "--tick", "1"):
        worker = frozen_in_the_middle(job)
        speed_up(storage)
        os.kill(worker, signal.SIGKILL)
        until(over(job))
        assert job.state == JobState.LOST
        again = until(lambda: Job.objects.filter(retry_of=job).first())
        until(over(again))
    assert again.state == JobState.SUCCEEDED, again.message
    backup = Backup.objects.get()
    assert below(Path(storage.settings["path"])) == [f"{backup.key}/backup.tar", f"{backup.key}/manifest.json"]
    assert spools() == []


def test_kill_9_of_the_supervisor_takes_the_children_along(job: Job, storage: Storage) -> None:
    with supervised("worker", "--workers", "1", "--tick", "1") as supervisor:
        worker = frozen_in_the_middle(job)
        os.kill(worker, signal.SIGCONT)
        started = until(lambda: children(supervisor.pid))
        assert worker in started
        supervisor.kill()
        until(lambda: not any(is_alive(pid) for pid in started))
    assert job in reap(timezone.now())  # a health check may have been running, too
    assert nothing_is_left(storage)


def test_ctrl_c_ends_everything_and_the_job_goes_on_next_time(job: Job, storage: Storage) -> None:
    with supervised("worker", "--workers", "1", "--tick", "60") as supervisor:
        until(lambda: below(Path(storage.settings["path"])))
        started = children(supervisor.pid)
        began = time.monotonic()
        os.kill(supervisor.pid, signal.SIGINT)
        assert supervisor.wait(120) == 0
        assert time.monotonic() - began >= FINISH_SECONDS  # it was asked to finish before it was told to break off
        assert not any(is_alive(pid) for pid in started)
    job.refresh_from_db()
    assert job.state == JobState.LOST, job.message
    assert Job.objects.get(retry_of=job).state == JobState.QUEUED
    assert nothing_is_left(storage)


def test_a_cancelled_backup_leaves_no_file(job: Job, storage: Storage) -> None:
    with supervised("worker", "--workers", "1", "--tick", "60"):
        worker = frozen_in_the_middle(job)
        queue.cancel(job, actor=ANNE)
        os.kill(worker, signal.SIGCONT)
        until(over(job))
        assert job.state == JobState.CANCELLED, job.message
        assert is_alive(worker)
    assert nothing_is_left(storage)


def test_kill_9_during_a_restore_leaves_no_half_made_file(database: Database, storage: Storage, tmp_path: Path) -> None:
    speed_up(storage)
    made = work_on(JobKind.BACKUP, database, actor=ANNE, params={})
    target = tmp_path / "copy.db"
    params = {"backup": made.backup.pk, "target_name": str(target)}
    with supervised("worker", "--workers", "1", "--tick", "1"):
        job, _ = queue.enqueue(JobKind.RESTORE, database, actor=audit.from_shell(), params=params)
        until(lambda: list(tmp_path.glob(".dbadmin-*")))
        os.kill(int(Job.objects.get(pk=job.pk).worker.partition("/")[0]), signal.SIGKILL)
        until(over(job))
        until(lambda: Restore.objects.get().state == RestoreState.FAILED)
    assert job.state == JobState.LOST
    assert spools() == []
    assert not target.exists()
    assert not list(tmp_path.glob(".dbadmin-*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_interrupted_cancels_its_job(number: int, database: Database, storage: Storage) -> None:
    with supervised("backup", "run", "large") as command:
        job = until(lambda: Job.objects.filter(state=JobState.RUNNING).first())
        until(lambda: any(path.stat().st_size for path in spools()[0].glob("*")) if spools() else False)
        command.send_signal(number)
        assert command.wait(120) == 128 + number
    job.refresh_from_db()
    assert job.state == JobState.CANCELLED
    assert nothing_is_left(storage)


def test_long_work_does_not_block_short_work(job: Job, database: Database) -> None:
    with supervised("worker", "--workers", "1", "--tick", "60"):
        worker = frozen_in_the_middle(job)
        check, _ = queue.enqueue(JobKind.HEALTH, database, actor=ANNE)
        until(over(check))
        assert check.state == JobState.SUCCEEDED, check.message
        job.refresh_from_db()
        assert job.state == JobState.RUNNING
        os.kill(worker, signal.SIGKILL)
    reap(timezone.now())


def test_a_worker_that_dies_is_started_again(db: None) -> None:
    with supervised("worker", "--workers", "1", "--tick", "60") as supervisor:
        first = until(lambda: len(found := children(supervisor.pid)) == 3 and found)
        os.kill(min(first), signal.SIGKILL)
        until(lambda: len(now := children(supervisor.pid)) == 3 and now != first)
