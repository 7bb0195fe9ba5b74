"""A storage that is full and can be read is not one that is away: what lies in it counts, and can be restored."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from django.apps import apps
from django.utils import timezone

from dbadmin.backups.readiness import Place, Readiness, assess
from dbadmin.backups.reconcile import reconcile
from dbadmin.backups.storage_changes import check
from dbadmin.backups.take import take_backup
from dbadmin.backups.twins import same_place
from dbadmin.backups.verify import verify_backup
from dbadmin.choices import Verdict
from dbadmin.exceptions import StorageError
from dbadmin.health.run import run_checks
from dbadmin.models import Backup, CheckResult, Database, Storage
from dbadmin.progress import Silent
from dbadmin.storages.local import LocalStorage
from dbadmin.storages.probe import READ, probe_storage
from dbadmin.text import Text
from tests.factories import make_storage
from tests.small_disk import small_disk as small_disk

pytestmark = pytest.mark.django_db

set_away = import_module("dbadmin.migrations.0020_storage_is_away").set_away


@pytest.fixture
def storage(db: None, small_disk: Path) -> Storage:
    return make_storage(small_disk)


def root(storage: Storage) -> Path:
    return Path(storage.settings["path"])


def fill(storage: Storage) -> None:
    (root(storage) / "filling").write_bytes(bytes(storage.backend().free_bytes() or 0))


def unplug(storage: Storage) -> None:
    storage.settings = {"path": f"{root(storage)}-unplugged"}
    storage.save()


def tried(storage: Storage) -> Storage:
    check(storage)
    storage.refresh_from_db()
    return storage


def said(database: Database) -> tuple[str, str]:
    """Return the verdict on its archives, and all that is said of them."""
    run_checks(database, now=timezone.now())
    found = CheckResult.objects.get(database=database, check_id="archives")
    return found.verdict, f"{found.message} {found.hint}"


def readiness() -> tuple[Readiness, Place]:
    [ready] = assess(timezone.now())
    [place] = ready.places
    return ready, place


def test_a_full_disk_is_no_disk_that_is_away(database: Database, backup: Backup, storage: Storage) -> None:
    fill(storage)
    assert [(bool(tried(storage).problem), storage.is_away)] == [(True, False)]
    verdict, words = said(database)
    assert verdict == Verdict.WARNING
    assert f"cannot be relied on for new backups: {storage.name}." in words
    assert "can be restored" in words
    assert "cannot be restored" not in words
    ready, place = readiness()
    assert (place.counts, place.is_ill, ready.storages) == (True, False, 1)
    verify_backup(backup, Silent())


def test_a_folder_that_is_gone_is_away(database: Database, backup: Backup, storage: Storage) -> None:
    unplug(storage)
    assert tried(storage).is_away
    verdict, words = said(database)
    assert verdict == Verdict.CRITICAL
    assert f"All its backups are where they cannot be read now: {storage.name}." in words
    ready, place = readiness()
    assert (place.counts, place.is_ill) == (False, True)
    assert "No storage has a recent backup" in str(ready.missing)


def test_while_an_older_backup_can_be_read_it_is_a_warning(
    database: Database, backup: Backup, storage: Storage, tmp_path: Path
) -> None:
    other = make_storage(tmp_path / "other", name="Other")
    at_hand = take_backup(database=database, storages=[other], scope="full", progress=Silent())
    unplug(storage)
    assert tried(storage).is_away
    verdict, words = said(database)
    assert verdict == Verdict.WARNING
    assert f"could not be looked into: {storage.name}." in words
    Backup.objects.filter(pk=at_hand.pk).update(state="damaged")
    assert said(database)[0] == Verdict.CRITICAL
    Backup.objects.filter(pk=at_hand.pk).update(state="available", scope="schema")
    assert said(database)[0] == Verdict.CRITICAL


def test_a_look_that_fails_says_away_and_one_that_succeeds_takes_it_back(
    database: Database, backup: Backup, storage: Storage
) -> None:
    there = storage.settings
    unplug(storage)
    with pytest.raises(StorageError):
        reconcile(database=database, progress=Silent())
    assert Storage.objects.get().is_away
    Storage.objects.update(settings=there)
    reconcile(database=database, progress=Silent())
    assert not Storage.objects.get().is_away
    assert not Storage.objects.get().problem


def test_a_copy_that_was_read_is_not_away(database: Database, backup: Backup, storage: Storage) -> None:
    Storage.objects.update(problem=Text("The disk is gone."), is_away=True)
    verify_backup(backup, Silent())
    assert [(str(each.problem), each.is_away) for each in Storage.objects.all()] == [("", False)]


def test_what_hinders_writing_is_not_ended_by_reading(database: Database, backup: Backup, storage: Storage) -> None:
    fill(storage)
    problem, found_at = tried(storage).problem, storage.checked_at
    verify_backup(backup, Silent())
    reconcile(database=database, progress=Silent())
    assert [(each.problem, each.checked_at) for each in Storage.objects.all()] == [(problem, found_at)]
    (root(storage) / "filling").unlink()
    reconcile(database=database, progress=Silent())
    assert Storage.objects.get().problem == problem
    assert not tried(storage).problem


def test_what_can_be_listed_and_not_read_stays_away(
    database: Database, backup: Backup, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(self: LocalStorage, key: str, *, offset: int = 0) -> Iterator[bytes]:
        raise StorageError(Text("Nobody may read here."))

    Storage.objects.update(is_away=True, problem=Text("Nobody may read here."))
    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "open", closed)
        with pytest.raises(StorageError, match="Nobody may read"):
            reconcile(database=database, progress=Silent())
        assert Storage.objects.get().is_away
    reconcile(database=database, progress=Silent())
    assert not Storage.objects.get().is_away


def test_a_look_ends_that_a_place_is_shared_when_it_is_not(
    database: Database, backup: Backup, storage: Storage, tmp_path: Path
) -> None:
    (tmp_path / "alias").symlink_to(root(storage))
    alias = make_storage(tmp_path / "alias", name="Alias")
    problem = tried(storage).problem
    assert problem
    reconcile(database=database, progress=Silent())
    assert Storage.objects.get(pk=storage.pk).problem == problem
    alias.delete()
    reconcile(database=database, progress=Silent())
    assert not Storage.objects.get().problem


def test_a_copy_that_was_written_takes_both_back(database: Database, storage: Storage) -> None:
    Storage.objects.update(problem=Text("The disk is gone."), is_away=True)
    take_backup(database=database, storages=[storage], scope="full", progress=Silent())
    assert [(str(each.problem), each.is_away) for each in Storage.objects.all()] == [("", False)]


def test_what_is_another_storage_is_no_copy_and_can_be_read(
    database: Database, backup: Backup, storage: Storage, tmp_path: Path
) -> None:
    (tmp_path / "alias").symlink_to(root(storage))
    make_storage(tmp_path / "alias", name="Alias")
    assert [(bool(tried(storage).problem), storage.is_away)] == [(True, False)]
    assert "can be restored" in said(database)[1]
    assert not readiness()[1].counts
    Storage.objects.filter(name="Alias").delete()
    Storage.objects.update(problem=same_place(storage.name, storage).message)
    assert not readiness()[1].counts


def test_what_reads_back_wrongly_cannot_be_read(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = storage.backend().inner
    monkeypatch.setattr(type(backend), "open", lambda self, key: iter([b"other"]))
    probe = probe_storage(backend)
    assert probe.failed is not None
    assert (probe.failed.name, probe.is_away) == (READ, True)


def test_storages_with_a_problem_of_before_are_away_until_they_are_looked_into(tmp_path: Path) -> None:
    well, gone = make_storage(), make_storage(problem=Text("The disk is gone."))
    shared = make_storage(problem=same_place("One", well).message)
    set_away(apps, None)
    found = dict(Storage.objects.values_list("pk", "is_away"))
    assert found == {well.pk: False, gone.pk: True, shared.pk: False}
