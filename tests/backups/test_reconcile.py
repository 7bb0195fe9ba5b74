"""Catalogue and storages compared, on real files: what is found, what is concluded, and that nothing is deleted."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from dbadmin import audit
from dbadmin.backups.expire import expire
from dbadmin.backups.pins import delete_backup
from dbadmin.backups.reconcile import Reconciled, reconcile
from dbadmin.backups.take import take_backup
from dbadmin.choices import BackupState, CopyState, JobKind, JobState, Verdict
from dbadmin.exceptions import StorageError
from dbadmin.health.run import run_checks
from dbadmin.jobs.foreground import work_on
from dbadmin.models import Backup, CheckResult, Copy, Database, Job, Orphan, Storage, StorageSample
from dbadmin.progress import Silent
from tests.backups.files import below
from tests.backups.stored import put, put_copy, states
from tests.factories import make_backup, make_job, make_retention, make_storage
from tests.jobs.test_keys import make_key

pytestmark = pytest.mark.django_db


def look(database: Database) -> Reconciled:
    return reconcile(database=database, progress=Silent())


def root(storage: Storage) -> Path:
    return Path(storage.settings["path"])


def set_aside(backup: Backup, storage: Storage, tmp_path: Path) -> None:
    (root(storage) / backup.key).rename(tmp_path / "aside")


def bring_back(backup: Backup, storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "aside").rename(root(storage) / backup.key)


def verdicts(database: Database) -> dict[str, str]:
    run_checks(database, now=timezone.now())
    return dict(CheckResult.objects.filter(database=database).values_list("check_id", "verdict"))


def test_what_agrees_is_said_and_measured(backup: Backup, database: Database, storage: Storage) -> None:
    assert look(database) == Reconciled()
    sample = StorageSample.objects.get()
    assert (sample.storage, sample.archives, sample.used_bytes) == (storage, 1, backup.copies.get().size)
    assert sample.free_bytes
    look(database)
    assert StorageSample.objects.count() == 1


def test_what_is_gone_has_vanished_and_what_comes_back_is_read_before_it_is_believed(
    backup: Backup, database: Database, storage: Storage, tmp_path: Path
) -> None:
    put(database, storage, days=3)
    set_aside(backup, storage, tmp_path)
    assert [copy.backup for copy in look(database).vanished] == [backup]
    assert states(backup) == (BackupState.VANISHED, [CopyState.VANISHED])
    bring_back(backup, storage, tmp_path)
    assert [copy.backup for copy in look(database).back] == [backup]
    assert states(backup) == (BackupState.AVAILABLE, [CopyState.STORED])


def test_what_comes_back_altered_is_damaged(backup: Backup, database: Database, storage: Storage) -> None:
    put(database, storage, days=3)
    tar = root(storage) / backup.key / "backup.tar"
    content = tar.read_bytes()
    tar.unlink()
    look(database)
    tar.write_bytes(content[:-1] + b"x")
    assert look(database).back == []
    assert states(backup) == (BackupState.DAMAGED, [CopyState.DAMAGED])


def test_one_copy_that_vanished_leaves_the_other_to_be_read(
    backup: Backup, database: Database, storage: Storage, tmp_path: Path
) -> None:
    vault = make_storage(tmp_path / "vault")
    put_copy(backup, vault)
    put(database, storage, days=3)
    set_aside(backup, storage, tmp_path)
    look(database)
    assert states(backup) == (BackupState.AVAILABLE, [CopyState.VANISHED, CopyState.STORED])
    assert backup.storage == vault
    assert backup.missing_copies == 1  # it is made again


def test_a_disk_that_is_not_mounted_is_away_and_nothing_has_vanished(
    backup: Backup, database: Database, storage: Storage, tmp_path: Path
) -> None:
    root(storage).rename(tmp_path / "unplugged")
    root(storage).mkdir()
    with pytest.raises(StorageError, match="Nothing at all is in"):
        look(database)
    assert states(backup) == (BackupState.AVAILABLE, [CopyState.STORED])
    storage.refresh_from_db()
    assert "Nothing at all" in str(storage.problem)
    assert verdicts(database)["archives"] == Verdict.CRITICAL
    root(storage).rmdir()
    (tmp_path / "unplugged").rename(root(storage))
    look(database)
    storage.refresh_from_db()
    assert not storage.problem


def test_one_storage_that_is_away_does_not_hold_up_another(
    backup: Backup, database: Database, storage: Storage, tmp_path: Path
) -> None:
    broken = make_storage(tmp_path / "broken", name="A broken one")
    put_copy(backup, broken)
    (tmp_path / "broken").rename(tmp_path / "gone")
    (tmp_path / "broken").touch()
    put(database, storage, days=3)
    set_aside(backup, storage, tmp_path)
    with pytest.raises(StorageError, match="A broken one"):
        look(database)
    assert states(backup)[1] == [CopyState.VANISHED, CopyState.STORED]


def test_strangers_are_orphans_told_and_never_deleted(backup: Backup, database: Database, storage: Storage) -> None:
    backend = storage.backend()
    for name in ("backup.tar", "manifest.json"):
        backend.write(f"shop/20200101T000000Z-full-0000/{name}", [b"old"])
    backend.write("shop/20200102T000000Z-full-0001/backup.tar", [b"debris"])
    backend.write("another/1/backup.tar", [b"not ours"])
    before = below(root(storage))
    assert [(orphan.key, orphan.complete, orphan.size) for orphan in look(database).orphans] == [
        ("shop/20200101T000000Z-full-0000", True, 6),
        ("shop/20200102T000000Z-full-0001", False, 6),
    ]
    assert below(root(storage)) == before
    found = Orphan.objects.first()
    backend.discard("shop/20200102T000000Z-full-0001")
    look(database)
    assert list(Orphan.objects.all()) == [found]


def test_what_a_job_is_writing_is_no_orphan(backup: Backup, database: Database, storage: Storage) -> None:
    backend = storage.backend()
    backend.write("shop/now/backup.tar", [b"half"])
    job = make_job(database=database, state=JobState.RUNNING, started_at=timezone.now() - timedelta(hours=1))
    assert look(database).orphans == []
    old = time.time() - 7200
    os.utime(root(storage) / "shop/now/backup.tar", (old, old))
    assert len(look(database).orphans) == 1
    job.note(key="shop/now")  # a storage whose clock is wrong
    assert look(database).orphans == []


def test_what_is_waited_for_or_being_deleted_is_no_orphan(
    backup: Backup, database: Database, storage: Storage, tmp_path: Path
) -> None:
    for state in (CopyState.WAITING, CopyState.FAILED, CopyState.EXPIRING):
        put(database, storage, days=3).copies.update(state=state)
    assert look(database) == Reconciled()


def test_what_was_deleted_in_the_catalogue_only_is_an_orphan(database: Database, storage: Storage) -> None:
    put(database, storage, days=1)
    gone = put(database, storage, days=3, state="deleted")
    gone.copies.update(deleted_at=timezone.now() - timedelta(days=1))
    assert [orphan.key for orphan in look(database).orphans] == [gone.key]


def test_a_backup_that_ends_meanwhile_has_neither_vanished_nor_is_it_an_orphan(
    backup: Backup, database: Database, storage: Storage
) -> None:
    class BackupEnds(Silent):
        def update(self, done: int, *, current: str = "") -> None:
            if done == 1:
                make_backup(database=database, storage=storage, key="shop/listed-too-early")
                put(database, storage, days=0)

    assert reconcile(database=database, progress=BackupEnds()) == Reconciled()


def test_what_is_deleted_while_it_is_to_be_read_is_left_out(backup: Backup, database: Database) -> None:
    class Deleting(Silent):
        looked_at = 0

        def check(self) -> None:
            self.looked_at += 1
            if self.looked_at == 2:  # it was chosen to be read
                delete_backup(backup, actor=audit.SYSTEM, reason="wrong data", confirmed="shop")

    Copy.objects.update(verified_at=None)
    assert reconcile(database=database, progress=Deleting()) == Reconciled()
    assert states(backup) == (BackupState.DELETED, [CopyState.EXPIRING])


def test_a_removed_storage_is_left_alone(backup: Backup, database: Database, storage: Storage) -> None:
    Storage.objects.update(removed_at=timezone.now())
    (root(storage) / backup.key / "backup.tar").unlink()
    assert look(database) == Reconciled()


@pytest.mark.django_db(transaction=True)
def test_findings_come_and_go(backup: Backup, database: Database, storage: Storage, tmp_path: Path) -> None:
    assert verdicts(database)["archives"] == Verdict.SKIPPED  # nobody has looked
    work(database)
    assert (verdicts(database)["archives"], verdicts(database)["orphans"]) == (Verdict.OK, Verdict.OK)
    storage.backend().write("shop/unknown/backup.tar", [b"?"])
    vault = make_storage(tmp_path / "vault")
    put_copy(backup, vault)
    put_copy(make_backup(database=database, storage=make_storage(), key="shop/other"), vault)
    (tmp_path / "vault" / backup.key / "manifest.json").unlink()
    set_aside(backup, storage, tmp_path)
    Copy.objects.exclude(storage__in=(vault, storage)).delete()
    work(database)
    found = verdicts(database)
    assert (found["archives"], found["orphans"]) == (Verdict.CRITICAL, Verdict.WARNING)
    storage.backend().discard("shop/unknown")
    bring_back(backup, storage, tmp_path)
    work(database)
    found = verdicts(database)
    assert (found["archives"], found["orphans"]) == (Verdict.WARNING, Verdict.OK)  # one copy is still missing


def work(database: Database) -> Job:
    job = work_on(JobKind.RECONCILE, database, actor=audit.SYSTEM, params={})
    assert job.state == JobState.SUCCEEDED, f"{job.message} {job.traceback}"
    return job


def test_what_is_there_again_after_its_deletion_is_told(database: Database, tmp_path: Path) -> None:
    """A disk came back, or somebody put it there: the catalogue has forgotten it, so somebody has to look."""
    storage = make_storage(tmp_path / "archives", retention=make_retention(last=1, daily=0))
    put(database, storage, days=1)
    old = put(database, storage, days=3)
    expire(database=database, progress=Silent())
    (root(storage) / old.key).mkdir()
    (root(storage) / old.key / "backup.tar").write_bytes(b"back")
    Copy.objects.filter(backup=old).update(deleted_at=timezone.now() - timedelta(days=1))
    assert [orphan.key for orphan in look(database).orphans] == [old.key]


def test_of_encrypted_archives_without_a_private_key_the_same_is_known(
    database: Database, storage: Storage, tmp_path: Path
) -> None:
    make_key(storage, private=False)
    backup = take_backup(database=database, storages=[storage], scope="full", progress=Silent())
    assert [name.rpartition("/")[2] for name in below(root(storage))] == ["backup.tar.age", "manifest.json.age"]
    put(database, make_storage(tmp_path / "clear"), days=3)
    storage.backend().write("shop/unknown/backup.tar", [b"?"])
    assert [orphan.complete for orphan in look(database).orphans] == [False]
    set_aside(backup, storage, tmp_path)
    assert len(look(database).vanished) == 1
    bring_back(backup, storage, tmp_path)
    assert len(look(database).back) == 1
    assert states(backup) == (BackupState.AVAILABLE, [CopyState.STORED])


def test_retention_deletes_encrypted_archives_without_a_private_key(database: Database, storage: Storage) -> None:
    make_key(storage, private=False)
    Storage.objects.update(retention=make_retention(last=1, daily=0))
    put(database, storage, days=3)
    newest = put(database, storage, days=1)
    assert expire(database=database, progress=Silent()).deleted == 1
    assert below(root(storage)) == [f"{newest.key}/backup.tar.age", f"{newest.key}/manifest.json.age"]
