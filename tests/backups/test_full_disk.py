"""A disk that fills up while a backup or a restore writes to it, seen through a job."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from dbadmin import audit
from dbadmin.backups.storing import require_room
from dbadmin.choices import JobKind, JobState, RestoreState
from dbadmin.exceptions import Refused
from dbadmin.jobs.foreground import work_on
from dbadmin.models import Backup, Database, Job, Restore
from tests.backups.files import below
from tests.factories import make_backup, make_storage
from tests.small_disk import small_disk as small_disk
from tests.sqlite_file import make_large_sqlite_file, sqlite_database

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def database(db: None, tmp_path: Path) -> Database:
    return sqlite_database(make_large_sqlite_file(tmp_path / "large.db", megabytes=6))


def work(kind: JobKind, database: Database, **params: object) -> Job:
    return work_on(kind, database, actor=audit.from_shell(), params=params)


def test_a_full_storage_fails_with_a_sentence_and_leaves_nothing(database: Database, small_disk: Path) -> None:
    job = work(JobKind.BACKUP, database, storage=make_storage(small_disk).pk)
    assert (job.state, job.error_class) == (JobState.FAILED, "Refused"), job.traceback
    assert "MB are needed" in str(job.message)
    assert below(small_disk) == []


def test_a_storage_that_fills_up_meanwhile_fails_with_a_sentence_and_leaves_nothing(
    database: Database, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = make_storage(small_disk)
    monkeypatch.setattr(type(storage.backend()), "free_bytes", lambda self: None)
    job = work(JobKind.BACKUP, database, storage=storage.pk)
    assert (job.state, job.error_class) == (JobState.FAILED, "StorageError"), job.traceback
    assert "No space left on device" in str(job.message)
    assert below(small_disk) == []
    assert not Backup.objects.exists()


def test_a_full_working_folder_fails_with_a_sentence_and_leaves_nothing(
    database: Database, small_disk: Path, tmp_path: Path, settings: Settings
) -> None:
    settings.HOME = small_disk
    job = work(JobKind.BACKUP, database, storage=make_storage(tmp_path / "archives").pk)
    assert job.state == JobState.FAILED, job.traceback
    assert str(job.hint)
    assert below(small_disk) == [] == below(tmp_path / "archives")


def test_an_archive_that_cannot_be_unpacked_for_lack_of_space_leaves_no_target(
    database: Database, small_disk: Path, tmp_path: Path, settings: Settings
) -> None:
    work(JobKind.BACKUP, database, storage=make_storage(tmp_path / "archives").pk)
    settings.HOME = small_disk
    job = work(JobKind.RESTORE, database, backup=Backup.objects.get().pk, target_name="copy.db")
    assert job.state == JobState.FAILED, job.traceback
    assert "MB free" in str(job.message)
    assert Restore.objects.get().state == RestoreState.FAILED
    assert below(small_disk) == []
    assert not (tmp_path / "copy.db").exists()


def test_a_target_on_a_full_disk_is_not_left_half_made(database: Database, small_disk: Path, tmp_path: Path) -> None:
    work(JobKind.BACKUP, database, storage=make_storage(tmp_path / "archives").pk)
    job = work(JobKind.RESTORE, database, backup=Backup.objects.get().pk, target_name=str(small_disk / "copy.db"))
    assert job.state == JobState.FAILED, job.traceback
    assert below(small_disk) == []


def test_a_newest_backup_that_would_not_fit_again_stops_work_before_it_begins(
    database: Database, small_disk: Path
) -> None:
    storage = make_storage(small_disk)
    make_backup(database=database, storage=storage, size=5_000_000)
    job = work(JobKind.BACKUP, database, storage=storage.pk)
    assert re.search(rf"“{storage.name}” has 4\.\d MB free; about 5.0 MB are needed\.", str(job.message))
    assert not job.log_lines.exists()


def test_little_room_is_told_in_small_units(db: None, small_disk: Path) -> None:
    backend = make_storage(small_disk).backend()
    free = backend.free_bytes() or 0
    (small_disk / "filling").write_bytes(bytes(free - 300_000))
    free = backend.free_bytes() or 0
    require_room(backend, free, "Vault")
    with pytest.raises(Refused, match=r"“Vault” has \d{3}\.\d KB free; about 400\.1 KB are needed\."):
        require_room(backend, 400_050, "Vault")
    with pytest.raises(Refused, match=r"about 2\.0 GB are needed"):
        require_room(backend, 2_000_000_000, "Vault")
