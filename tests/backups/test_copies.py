"""One dump in several storages: partial, completed by itself, read where it can be read."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from dbadmin import audit
from dbadmin.backups import copies
from dbadmin.backups.missing import ask_for, databases_in_need, store_missing
from dbadmin.backups.reading import unpack
from dbadmin.backups.reconcile import reconcile
from dbadmin.backups.replace import replace_with_backup
from dbadmin.backups.take import take_backup
from dbadmin.backups.twins import same_place
from dbadmin.backups.verify import verify_backup
from dbadmin.choices import BackupState, CopyState, JobKind, JobState, RestoreState
from dbadmin.exceptions import CorruptArchive, Refused, StorageError
from dbadmin.jobs.copying import ask_for_copies
from dbadmin.jobs.foreground import work_on
from dbadmin.models import AuditEvent, Backup, Copy, Database, Storage
from dbadmin.progress import Silent
from tests.backups.files import below, flip_a_byte, spools
from tests.factories import make_backup, make_copy, make_storage
from tests.small_disk import small_disk as small_disk
from tests.sqlite_file import make_large_sqlite_file, sqlite_database

HOUR = timedelta(hours=1)


@pytest.fixture
def other(db: None, tmp_path: Path) -> Storage:
    return make_storage(tmp_path / "elsewhere")


@pytest.fixture
def twice(database: Database, storage: Storage, other: Storage) -> Backup:
    return take_backup(database=database, storages=[storage, other], scope="full", progress=Silent())


def folder(storage: Storage) -> Path:
    return Path(storage.settings["path"])


def away(storage: Storage) -> None:
    """A file lies where its folder should be: nothing can be written or read there."""
    if folder(storage).exists():
        folder(storage).rename(folder(storage).with_suffix(".away"))
    folder(storage).touch()


def back(storage: Storage) -> None:
    folder(storage).unlink()
    if (before := folder(storage).with_suffix(".away")).exists():
        before.rename(folder(storage))


def states(backup: Backup) -> dict[str, str]:
    return {copy.storage.name: copy.state for copy in backup.copies.select_related("storage")}


def test_one_dump_lies_in_both_under_one_key(twice: Backup, storage: Storage, other: Storage) -> None:
    assert below(folder(storage)) == below(folder(other)) == [f"{twice.key}/backup.tar", f"{twice.key}/manifest.json"]
    assert [copy.sha256 for copy in twice.copies.all()] == [twice.sha256] * 2
    assert (twice.missing_copies, twice.storage) == (0, storage)
    assert all(copy.verified_at and copy.stored_at and copy.attempts == 1 for copy in twice.copies.all())


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_storage_that_is_away_does_not_spoil_the_other(
    order: tuple[int, int], database: Database, storage: Storage, other: Storage
) -> None:
    away(other)
    pair = (storage, other)
    backup = take_backup(
        database=database, storages=[pair[number] for number in order], scope="full", progress=Silent()
    )
    failed = Copy.objects.get(backup=backup, storage=other)
    assert states(backup) == {storage.name: CopyState.STORED, other.name: CopyState.FAILED}
    assert (backup.storage, backup.missing_copies, failed.attempts) == (storage, 1, 1)
    assert "could not be stored" in str(failed.message)
    assert failed.retry_at is not None
    assert timedelta(seconds=50) < failed.retry_at - timezone.now() <= timedelta(minutes=1)


def test_when_all_fail_nothing_is_left(database: Database, storage: Storage, other: Storage) -> None:
    away(storage)
    away(other)
    with pytest.raises(StorageError, match="None of 2 storages has got the backup") as caught:
        take_backup(database=database, storages=[storage, other], scope="full", progress=Silent())
    assert all(f"{each.name}: " in str(caught.value.message) for each in (storage, other))
    assert not Backup.objects.exists()
    assert spools() == []


@pytest.mark.django_db(transaction=True)
def test_a_partial_backup_says_so_and_is_completed_by_itself(
    database: Database, storage: Storage, other: Storage
) -> None:
    away(other)
    job = work_on(
        JobKind.BACKUP, database, actor=audit.SYSTEM, params={"storages": [storage.pk, other.pk], "scope": "full"}
    )
    assert job.state == JobState.SUCCEEDED, job.message
    assert "It is stored in 1 of 2 storages; the others are tried again from " in str(job.message)
    assert [line.level for line in job.log_lines.all()].count("warning") == 1
    assert ask_for_copies(timezone.now()) == []
    later = timezone.now() + timedelta(minutes=2)
    Copy.objects.filter(state=CopyState.FAILED).update(retry_at=timezone.now())
    back(other)
    (asked,) = ask_for_copies(later)
    assert ask_for_copies(later) == []
    assert (asked.kind, asked.actor) == (JobKind.COPY, audit.SYSTEM.name)
    done, failed = store_missing(database, Silent())
    backup = Backup.objects.get()
    assert (len(done), failed, backup.missing_copies) == (1, [], 0)
    assert below(folder(storage)) == below(folder(other))
    assert AuditEvent.objects.filter(action="copy.stored").exists()


def test_the_next_try_is_further_away_each_time(twice: Backup, other: Storage) -> None:
    now = timezone.now()
    minutes = [(copies.next_try(attempts, now) - now) / timedelta(minutes=1) for attempts in range(1, 8)]
    assert minutes == [1, 5, 15, 60, 240, 360, 360]


def test_a_copy_that_fails_again_waits_longer(database: Database, storage: Storage, other: Storage) -> None:
    away(other)
    take_backup(database=database, storages=[storage, other], scope="full", progress=Silent())
    Copy.objects.filter(state=CopyState.FAILED).update(retry_at=timezone.now())
    done, (failed,) = store_missing(database, Silent())
    assert (done, failed.attempts) == ([], 2)
    assert failed.retry_at is not None
    assert failed.retry_at > timezone.now() + timedelta(minutes=4)


def test_a_small_disk_fails_and_is_mended_when_there_is_room(
    storage: Storage, small_disk: Path, tmp_path: Path
) -> None:
    database = sqlite_database(make_large_sqlite_file(tmp_path / "large.db", megabytes=3), slug="large")
    (small_disk / "filler").write_bytes(bytes(2 << 20))
    small = make_storage(small_disk)
    backup = take_backup(database=database, storages=[storage, small], scope="full", progress=Silent())
    assert states(backup) == {storage.name: CopyState.STORED, small.name: CopyState.FAILED}
    assert below(small_disk) == ["filler"]
    (small_disk / "filler").unlink()
    ask_for(backup)
    assert store_missing(database, Silent())[1] == []
    assert states(backup)[small.name] == CopyState.STORED


def test_a_damaged_copy_is_passed_over_and_made_again(
    twice: Backup, database: Database, storage: Storage, other: Storage, tmp_path: Path
) -> None:
    flip_a_byte(folder(storage) / twice.key / "backup.tar")
    assert unpack(twice, tmp_path / "out", Silent()).archive_sha256 == twice.sha256
    assert below(tmp_path / "out") == ["database.sqlite3.zst"]
    twice.refresh_from_db()
    assert (twice.state, twice.storage, twice.missing_copies) == (BackupState.AVAILABLE, other, 1)
    assert states(twice)[storage.name] == CopyState.DAMAGED
    store_missing(database, Silent())
    twice.refresh_from_db()
    assert set(states(twice).values()) == {CopyState.STORED}
    assert twice.missing_copies == 0
    assert verify_backup(twice, Silent()).state == BackupState.AVAILABLE


def test_a_storage_that_is_away_is_passed_over_and_its_copy_still_counts(
    twice: Backup, storage: Storage, other: Storage, tmp_path: Path
) -> None:
    away(storage)
    unpack(twice, tmp_path / "out", Silent())
    twice.refresh_from_db()
    assert (twice.storage, states(twice)[storage.name]) == (other, CopyState.STORED)
    assert str(Copy.objects.get(storage=storage).message)
    back(storage)
    verify_backup(twice, Silent())
    assert not str(Copy.objects.get(storage=storage).message)


def test_an_archive_that_vanished_is_passed_over_and_made_again(
    twice: Backup, database: Database, storage: Storage, tmp_path: Path
) -> None:
    take_backup(database=database, storages=[storage], scope="full", progress=Silent())
    shutil.rmtree(folder(storage) / twice.key)
    unpack(twice, tmp_path / "out", Silent())
    assert states(twice)[storage.name] == CopyState.VANISHED
    store_missing(database, Silent())
    assert states(twice)[storage.name] == CopyState.STORED


def test_an_empty_place_where_a_disk_was_mounted_is_no_proof_that_archives_vanished(
    twice: Backup, storage: Storage, tmp_path: Path
) -> None:
    shutil.rmtree(folder(storage))
    folder(storage).mkdir()
    unpack(twice, tmp_path / "out", Silent())
    assert states(twice)[storage.name] == CopyState.STORED


def test_a_backup_is_damaged_only_when_no_good_copy_is_left(
    twice: Backup, storage: Storage, other: Storage, tmp_path: Path
) -> None:
    for place in (storage, other):
        flip_a_byte(folder(place) / twice.key / "backup.tar")
    with pytest.raises(CorruptArchive):
        unpack(twice, tmp_path / "out", Silent())
    twice.refresh_from_db()
    assert twice.state == BackupState.DAMAGED
    assert databases_in_need(timezone.now()) == set()
    assert AuditEvent.objects.filter(action="backup.damaged").count() == 1
    assert AuditEvent.objects.filter(action="copy.damaged").count() == 2


def test_verifying_looks_at_every_copy_and_names_the_bad_one(twice: Backup, other: Storage) -> None:
    flip_a_byte(folder(other) / twice.key / "backup.tar")
    with pytest.raises(CorruptArchive, match=f"1 of 2 copies are not as they were stored. {other.name}"):
        verify_backup(twice, Silent())
    assert states(twice)[other.name] == CopyState.DAMAGED


def test_verifying_tells_what_is_damaged_from_what_was_not_reached(
    twice: Backup, storage: Storage, other: Storage
) -> None:
    flip_a_byte(folder(storage) / twice.key / "backup.tar")
    away(other)
    with pytest.raises(CorruptArchive) as caught:
        verify_backup(twice, Silent())
    said = str(caught.value.message)
    assert f"1 of 2 copies are not as they were stored. {storage.name}: " in said
    assert f"1 of 2 copies could not be read. {other.name}: " in said
    assert "when its storage can be reached" in str(caught.value.hint)
    with pytest.raises(CorruptArchive, match=r"1 of 2 copies are not .* 1 of 2 copies could not be read"):
        verify_backup(twice, Silent())


def test_verifying_names_every_copy_that_was_not_reached(twice: Backup, storage: Storage, other: Storage) -> None:
    for place in (storage, other):
        away(place)
    with pytest.raises(StorageError) as caught:
        verify_backup(twice, Silent())
    said = str(caught.value)
    assert not isinstance(caught.value, CorruptArchive)
    assert "2 of 2 copies could not be read." in said
    assert "not as they were stored" not in said
    assert f"{storage.name}: " in said
    assert f"{other.name}: " in said


def test_a_chosen_storage_is_read_and_no_other(twice: Backup, storage: Storage, other: Storage, tmp_path: Path) -> None:
    away(other)
    twice.read_from = other
    with pytest.raises(StorageError):
        unpack(twice, tmp_path / "out", Silent())
    twice.read_from = make_storage(tmp_path / "third")
    with pytest.raises(Refused, match="has no copy of this backup"):
        unpack(twice, tmp_path / "out", Silent())


def test_a_damaged_copy_is_not_thrown_away_for_another_that_is_damaged(
    twice: Backup, database: Database, storage: Storage, other: Storage
) -> None:
    flip_a_byte(folder(other) / twice.key / "backup.tar")
    with pytest.raises(CorruptArchive):
        verify_backup(twice, Silent())
    flip_a_byte(folder(storage) / twice.key / "backup.tar")
    assert len(store_missing(database, Silent())[1]) == 1
    assert len(below(folder(other))) == 2
    twice.refresh_from_db()
    assert twice.state == BackupState.DAMAGED


def test_a_storage_or_a_database_that_was_removed_gets_nothing_more(twice: Backup, other: Storage) -> None:
    Copy.objects.filter(storage=other).update(state=CopyState.FAILED, retry_at=timezone.now())
    Storage.objects.filter(pk=other.pk).update(removed_at=timezone.now())
    assert databases_in_need(timezone.now()) == set()


def test_asking_for_what_is_due_costs_the_same_for_one_and_for_many(
    database: Database, django_assert_max_num_queries: object
) -> None:
    with django_assert_max_num_queries(2):  # type: ignore[operator]
        databases_in_need(timezone.now())
    for _ in range(20):
        backup = make_backup()
        make_copy(backup=backup, storage=make_storage(), state=CopyState.FAILED, retry_at=timezone.now())
    with django_assert_max_num_queries(2):  # type: ignore[operator]
        assert len(databases_in_need(timezone.now())) == 20


def test_a_safety_backup_goes_elsewhere_when_the_storage_of_the_backup_is_away(
    twice: Backup, database: Database, storage: Storage, other: Storage
) -> None:
    away(storage)
    row = replace_with_backup(backup=twice, database=database, progress=Silent())
    assert row.state == RestoreState.EXACT
    assert row.safety_backup is not None
    assert row.safety_backup.storage == other
    assert states(row.safety_backup)[storage.name] == CopyState.FAILED


def test_a_copy_can_be_asked_for_in_one_more_storage(backup: Backup, other: Storage) -> None:
    ask_for(backup, other)
    assert (backup.missing_copies, states(backup)[other.name]) == (1, CopyState.WAITING)
    store_missing(backup.database, Silent())
    assert states(backup)[other.name] == CopyState.STORED
    with pytest.raises(Refused, match="has, or had, a copy"):
        ask_for(backup, other)


def test_a_write_that_succeeds_takes_the_problem_back(
    database: Database, storage: Storage, other: Storage, backup: Backup
) -> None:
    away(storage)
    with pytest.raises(StorageError):
        reconcile(database=database, progress=Silent())
    assert Storage.objects.get(pk=storage.pk).problem
    Storage.objects.filter(pk=other.pk).update(problem=same_place(other.name, storage).message)
    back(storage)
    take_backup(database=database, storages=[storage, other], scope="full", progress=Silent())
    assert not Storage.objects.get(pk=storage.pk).problem
    # nobody has looked whether they are apart by now
    assert Storage.objects.get(pk=other.pk).problem
