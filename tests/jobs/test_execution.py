from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from dbadmin import audit
from dbadmin.choices import JobKind, JobState
from dbadmin.exceptions import Cancelled, DeadlinePassed, Refused
from dbadmin.jobs import execution, handlers, queue
from dbadmin.jobs.bell import execute_job
from dbadmin.jobs.lease import Worker
from dbadmin.jobs.progress import WRITE_SECONDS
from dbadmin.models import Backup, Database, Job, Storage
from dbadmin.progress import Progress
from dbadmin.text import Text
from tests.backups.files import below, spools
from tests.clock import Clock
from tests.factories import make_storage
from tests.jobs.workers import until

pytestmark = pytest.mark.django_db(transaction=True)
ANNE = audit.Actor(name="anne")


@pytest.fixture
def job(database: Database) -> Job:
    return queue.enqueue(JobKind.BACKUP, database, actor=ANNE, ring=False)[0]


def is_told(progress: Progress) -> bool:
    """Say whether the lease, which looks every second, has told the job to stop."""
    try:
        progress.check()
    except (Cancelled, DeadlinePassed):
        return True
    return False


def does(monkeypatch: pytest.MonkeyPatch, handler: handlers.Handler) -> None:
    monkeypatch.setitem(handlers.HANDLERS, JobKind.BACKUP, handler)


def test_the_bell_makes_a_backup(job: Job, storage: Storage) -> None:
    execute_job.func(job.pk)
    job.refresh_from_db()
    assert job.state == JobState.SUCCEEDED
    size = Backup.objects.get(job=job).size
    assert str(job.message) == f"Backed up 3 rows; the archive has {size / 1000:.1f} KB."
    assert job.backup == Backup.objects.get()
    assert str(job.log_lines.first()) == "Copying the database"


def test_a_bell_that_rings_twice_is_harmless(job: Job, storage: Storage) -> None:
    execute_job.func(job.pk)
    execute_job.func(job.pk)
    assert Backup.objects.count() == 1


def test_an_expected_failure_is_a_sentence(job: Job, storage: Storage, database: Database) -> None:
    Path(database.settings["path"]).unlink()
    execute_job.func(job.pk)
    job.refresh_from_db()
    assert job.state == JobState.FAILED
    assert "shop.db" in str(job.message)
    assert job.error_class
    assert job.traceback == ""


def test_without_any_storage_one_is_made_in_the_home_folder(job: Job) -> None:
    execute_job.func(job.pk)
    assert Backup.objects.get(job=job).storage.settings == {"path": str(settings.HOME / "archives")}


def test_without_a_default_storage_the_sentence_says_so(job: Job, tmp_path: Path) -> None:
    make_storage(tmp_path)
    execute_job.func(job.pk)
    job.refresh_from_db()
    assert (job.state, str(job.hint)) == (JobState.FAILED, "Add a storage, or make one default.")


def test_a_bug_is_an_internal_error_with_a_traceback_that_tells_no_secret(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(job: Job, progress: Progress) -> Text:
        password = "s3cret-in-a-local"
        return Text(str(1 / (len(password) - 17)))

    does(monkeypatch, broken)
    execute_job.func(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error_class) == (JobState.ERRORED, "ZeroDivisionError")
    assert "dbadmin/jobs/execution.py" in job.traceback
    assert str(settings.BASE_DIR) not in job.traceback


def test_a_catalogue_that_goes_away_meanwhile_does_not_stop_a_backup(
    job: Job, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(job: Job, progress: Progress) -> Text:
        if connection.vendor == "postgresql":  # a file has no connection that could break
            connection.connection.pgconn.finish()
        time.sleep(WRITE_SECONDS + 0.1)  # what is noted becomes due
        progress.check()  # as every engine does several times a second
        return handlers.back_up(job, progress)

    does(monkeypatch, cut_off)
    execute_job.func(job.pk)
    job.refresh_from_db()
    assert job.state == JobState.SUCCEEDED, job.traceback


def test_a_cancelled_job_stops_and_leaves_nothing(job: Job, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    def cancelled_meanwhile(job: Job, progress: Progress) -> Text:
        queue.cancel(job, actor=ANNE)
        until(lambda: is_told(progress))
        return handlers.back_up(job, progress)

    does(monkeypatch, cancelled_meanwhile)
    execute_job.func(job.pk)
    job.refresh_from_db()
    assert job.state == JobState.CANCELLED
    assert below(Path(storage.settings["path"])) == [] == spools()


def test_a_job_over_its_deadline_stops_has_failed_and_says_so(
    job: Job, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(job: Job, progress: Progress) -> Text:
        until(lambda: is_told(progress))
        return handlers.back_up(job, progress)

    does(monkeypatch, slow)
    Job.objects.update(params={"deadline_minutes": 0.01}, created_at=datetime(2026, 1, 1, tzinfo=UTC))
    execute_job.func(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error_class) == (JobState.FAILED, "DeadlinePassed")
    assert "took longer than 0.01 min" in str(job.message)
    assert str(job.deadline_at) > str(job.started_at)  # waiting for a worker did not count
    assert below(Path(storage.settings["path"])) == [] == spools()


def test_a_job_that_was_given_up_writes_no_result(job: Job, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken_for_dead(job: Job, progress: Progress) -> Text:
        queue.lose(Job.objects.get(pk=job.pk), Text("Lost."), hint=Text(""))
        return handlers.back_up(job, progress)

    does(monkeypatch, taken_for_dead)
    execute_job.func(job.pk)
    job.refresh_from_db()
    assert (job.state, str(job.message)) == (JobState.LOST, "Lost.")
    assert not Backup.objects.exists()
    assert below(Path(storage.settings["path"])) == [] == spools()


def test_a_worker_told_to_end_repeats_the_job_later(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(job: Job, progress: Progress) -> Text:
        raise SystemExit(1)

    does(monkeypatch, told)
    with pytest.raises(SystemExit):
        execute_job.func(job.pk)
    job.refresh_from_db()
    assert (job.state, str(job.message)) == (JobState.LOST, "The worker was stopped while it worked on this job.")
    assert (job.retried_by.state, job.retried_by.attempt) == (JobState.QUEUED, 2)


def test_ctrl_c_in_a_command_cancels(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(job: Job, progress: Progress) -> Text:
        raise KeyboardInterrupt

    does(monkeypatch, interrupted)
    with pytest.raises(KeyboardInterrupt):
        execution.run_now(job)
    job.refresh_from_db()
    assert job.state == JobState.CANCELLED


def test_a_job_taken_by_a_worker_is_not_run_again(job: Job) -> None:
    queue.claim(job.pk, Worker.current())
    with pytest.raises(Refused, match="Another process"):
        execution.run_now(job)


def test_progress_is_written_at_most_once_a_second(
    job: Job, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: object
) -> None:
    clock = Clock()
    monkeypatch.setattr("dbadmin.jobs.progress.time", clock)

    def busy(job: Job, progress: Progress) -> Text:
        progress.phase(Text("Counting"), total=1_000_000)
        with django_assert_max_num_queries(8):  # type: ignore[operator]
            for step in range(1, 251):
                progress.update(1000 * step, current="table")
                progress.log(Text("A line"))
                clock.sleep(0.01)
        job.refresh_from_db()
        assert 200_000 <= job.done <= 250_000
        assert 95_000 < job.rate < 105_000
        return Text("Done.")

    does(monkeypatch, busy)
    execute_job.func(job.pk)
    job.refresh_from_db()
    assert job.state == JobState.SUCCEEDED, job.traceback
    assert job.log_lines.count() > 100


def test_cancelled_comes_out_of_progress_only_after_it_was_asked(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def patient(job: Job, progress: Progress) -> Text:
        progress.check()
        queue.cancel(job, actor=ANNE)
        until(lambda: is_told(progress))
        with pytest.raises(Cancelled):
            progress.check()
        return Text("Looked.")

    does(monkeypatch, patient)
    execute_job.func(job.pk)
    job.refresh_from_db()
    assert str(job.message) == "Looked."
