"""Storing the copies of a backup is broken off: nothing half is left, and what is missing is made later."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from dbadmin.backups.missing import ask_for, databases_in_need, store_missing
from dbadmin.backups.take import take_backup
from dbadmin.choices import CopyState, JobState
from dbadmin.exceptions import Cancelled
from dbadmin.models import Backup, Database, Job, Storage
from dbadmin.progress import Silent
from dbadmin.text import Text
from tests.backups.files import below
from tests.backups.test_copies import folder, states
from tests.backups.test_copies import other as other
from tests.factories import make_backup, make_copy, make_job, make_storage
from tests.small_disk import small_disk as small_disk

HOUR = timedelta(hours=1)


class Interrupted(Silent):
    """Ends the program, or cancels, when the archive is stored for the n-th time."""

    def __init__(self, error: BaseException, *, at: int) -> None:
        self.error, self.at = error, at

    def phase(self, name: Text, *, total: int | None = None, unit: str = "bytes") -> None:
        self.at -= name.msgid == "Storing the archive"
        if not self.at:
            raise self.error


@pytest.mark.parametrize("error", [SystemExit(1), Cancelled()])
def test_what_is_broken_off_after_the_first_copy_is_completed_later(
    error: BaseException, database: Database, storage: Storage, other: Storage
) -> None:
    with pytest.raises(type(error)):
        take_backup(database=database, storages=[storage, other], scope="full", progress=Interrupted(error, at=2))
    backup = Backup.objects.get()
    assert states(backup) == {storage.name: CopyState.STORED, other.name: CopyState.WAITING}
    assert (backup.missing_copies, below(folder(other))) == (1, [])
    needed = {database.pk}
    assert databases_in_need(timezone.now()) == (set() if isinstance(error, Cancelled) else needed)
    assert databases_in_need(timezone.now() + HOUR) == needed
    ask_for(backup)
    store_missing(database, Silent())
    assert set(states(backup).values()) == {CopyState.STORED}


class CancelledWhile(Silent):
    """Somebody presses Cancel in the middle of a phase."""

    def __init__(self, phase: str) -> None:
        self.phase_name, self.now = phase, ""

    def phase(self, name: Text, *, total: int | None = None, unit: str = "bytes") -> None:
        self.now = name.msgid

    def check(self) -> None:
        if self.now == self.phase_name:
            raise Cancelled


@pytest.mark.parametrize("phase", ["Storing the archive", "Checking the archive"])
def test_storing_and_reading_back_can_be_cancelled_in_the_middle(
    phase: str, database: Database, storage: Storage
) -> None:
    with pytest.raises(Cancelled):
        take_backup(database=database, storages=[storage], scope="full", progress=CancelledWhile(phase))
    assert below(folder(storage)) == []


def test_a_backup_whose_job_still_stores_it_is_left_to_the_job(database: Database, storage: Storage) -> None:
    job = make_job(database=database, state=JobState.RUNNING)
    backup = make_backup(database=database, storage=storage, job=job)
    make_copy(backup=backup, storage=make_storage(), state=CopyState.WAITING, retry_at=timezone.now())
    assert databases_in_need(timezone.now()) == set()
    Job.objects.update(state=JobState.LOST)
    assert databases_in_need(timezone.now()) == {database.pk}


def test_what_a_failed_job_could_not_clear_away_is_removed_later(database: Database, storage: Storage) -> None:
    (folder(storage) / "shop" / "half").mkdir(parents=True)
    (folder(storage) / "shop" / "half" / "backup.tar").touch()
    params = {"key": "shop/half", "storing": [storage.pk]}
    make_job(database=database, state=JobState.FAILED, finished_at=timezone.now(), params=params)
    assert databases_in_need(timezone.now()) == {database.pk}
    store_missing(database, Silent())
    assert below(folder(storage)) == []
    assert databases_in_need(timezone.now()) == set()
