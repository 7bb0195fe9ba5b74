from __future__ import annotations

import pytest
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from dbadmin import audit
from dbadmin.choices import JobKind, JobState
from dbadmin.exceptions import Refused
from dbadmin.jobs import queue
from dbadmin.jobs.lease import Worker
from dbadmin.models import AuditEvent, Database, Job
from tests.factories import make_database, make_job
from tests.jobs.threads import at_once

ANNE = audit.Actor(name="anne")


@pytest.mark.django_db(transaction=True)
def test_a_double_click_makes_one_job_with_one_event_and_one_bell() -> None:
    database = make_database()
    answers = at_once(4, lambda: queue.enqueue(JobKind.BACKUP, database, actor=ANNE))
    assert len({job.pk for job, _ in answers}) == 1 == Job.objects.count()
    assert sorted(created for _, created in answers) == [False, False, False, True]
    assert AuditEvent.objects.filter(action="backup.run").count() == 1
    assert DBTaskResult.objects.filter(queue_name="long").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_job_is_claimed_by_one_worker_only() -> None:
    job = make_job()
    claimed = at_once(4, lambda: queue.claim(job.pk, Worker(name="1/1", host="here")))
    assert len([answer for answer in claimed if answer]) == 1


def test_a_restore_waits_for_no_backup_and_says_what_runs(database: Database) -> None:
    job, _ = queue.enqueue(JobKind.BACKUP, database, actor=ANNE)
    with pytest.raises(Refused, match=rf"A backup of this database is active \(job {job.pk}\)") as refused:
        queue.enqueue(JobKind.RESTORE, database, actor=ANNE)
    assert refused.value.message.params["job"] == job.pk


def test_two_restores_are_not_taken_for_a_double_click(database: Database) -> None:
    queue.enqueue(JobKind.RESTORE, database, actor=ANNE, params={"target_name": "a"})
    with pytest.raises(Refused, match="A restore of this database"):
        queue.enqueue(JobKind.RESTORE, database, actor=ANNE, params={"target_name": "b"})


def test_a_health_check_runs_beside_a_backup(database: Database) -> None:
    queue.enqueue(JobKind.BACKUP, database, actor=ANNE)
    assert queue.enqueue(JobKind.HEALTH, database, actor=ANNE)[1]


def test_a_removed_database_gets_no_job(database: Database) -> None:
    database.removed_at = timezone.now()
    with pytest.raises(Refused, match="removed from the dashboard"):
        queue.enqueue(JobKind.BACKUP, database, actor=ANNE)


def test_a_waiting_job_is_cancelled_at_once(database: Database) -> None:
    job, _ = queue.enqueue(JobKind.BACKUP, database, actor=ANNE)
    assert queue.cancel(job, actor=ANNE).state == JobState.CANCELLED
    assert queue.claim(job.pk, Worker.current()) is None
    assert AuditEvent.objects.filter(action="job.cancel", actor="anne").count() == 1


def test_a_running_job_is_asked_to_stop_once(db: None) -> None:
    job = make_job(state=JobState.RUNNING)
    assert queue.cancel(job, actor=ANNE).cancel_requested_at is not None
    queue.cancel(job, actor=ANNE)
    assert job.state == JobState.RUNNING
    assert AuditEvent.objects.filter(action="job.cancel").count() == 1


def test_a_job_that_is_over_cannot_be_cancelled(db: None) -> None:
    with pytest.raises(Refused, match="over already"):
        queue.cancel(make_job(state=JobState.SUCCEEDED), actor=ANNE)


def test_the_clock_leaves_no_trail(database: Database) -> None:
    queue.enqueue(JobKind.HEALTH, database, actor=audit.SYSTEM)
    assert not AuditEvent.objects.exists()
