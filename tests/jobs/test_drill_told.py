"""What a drill found is looked at by the health check at once, and what was broken off is not."""

from __future__ import annotations

import pytest

from dbadmin.audit import Actor
from dbadmin.backups.take import take_backup
from dbadmin.choices import JobKind, JobState
from dbadmin.exceptions import Cancelled, DeadlinePassed
from dbadmin.jobs import queue
from dbadmin.jobs.execution import run_now
from dbadmin.models import Database, Job, Storage
from dbadmin.progress import Silent
from dbadmin.text import Text
from tests.backups.files import flip_a_byte, stored

ANNE = Actor(name="anne")


class EndedAtOnce(Silent):
    """Ends the job as soon as anything begins."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def phase(self, name: Text, *, total: int | None = None, unit: str = "bytes") -> None:
        raise self._error


def drilled(database: Database, storage: Storage, *, damaged: bool = False, ended: Exception | None = None) -> Job:
    backup = take_backup(database=database, storages=[storage], scope="full", progress=Silent())
    if damaged:
        flip_a_byte(stored(backup, "backup.tar"))
    job, _ = queue.enqueue(JobKind.DRILL, database, actor=ANNE, params={"backup": backup.pk}, ring=False)
    return run_now(job, echo=EndedAtOnce(ended) if ended else Silent())


def is_looked_at(database: Database) -> bool:
    return Job.objects.filter(database=database, kind=JobKind.HEALTH, state=JobState.QUEUED).exists()


def test_a_proven_one_is_looked_at(database: Database, storage: Storage) -> None:
    assert drilled(database, storage).state == JobState.SUCCEEDED
    assert is_looked_at(database)


def test_one_that_could_not_be_restored_is_looked_at(database: Database, storage: Storage) -> None:
    assert drilled(database, storage, damaged=True).state == JobState.FAILED
    assert is_looked_at(database)


@pytest.mark.parametrize(
    ("error", "state"), [(DeadlinePassed(60), JobState.FAILED), (ZeroDivisionError(), JobState.ERRORED)]
)
def test_one_that_could_not_end_is_looked_at(
    error: Exception, state: JobState, database: Database, storage: Storage
) -> None:
    assert drilled(database, storage, ended=error).state == state
    assert is_looked_at(database)


def test_one_that_was_broken_off_says_nothing(database: Database, storage: Storage) -> None:
    assert drilled(database, storage, ended=Cancelled()).state == JobState.CANCELLED
    assert not is_looked_at(database)
