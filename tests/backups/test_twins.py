"""Two storages that are one place: neither loses for the other, and nobody takes them for two copies."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from dbadmin.backups.expire import expire
from dbadmin.backups.missing import ask_for, store_missing
from dbadmin.backups.reconcile import reconcile
from dbadmin.backups.storage_changes import check
from dbadmin.backups.take import take_backup
from dbadmin.backups.twins import require_alone
from dbadmin.backups.verify import verify_backup
from dbadmin.exceptions import Refused, StorageError
from dbadmin.models import Backup, Database, Storage
from dbadmin.progress import Silent
from tests.backups.stored import put, states, there
from tests.factories import make_copy, make_retention, make_storage
from tests.storages.servers import S3Server
from tests.storages.servers import s3_server as s3_server


@pytest.fixture
def alias(storage: Storage, tmp_path: Path) -> Storage:
    """The same folder by another name."""
    Path(storage.settings["path"]).mkdir(exist_ok=True)
    (tmp_path / "alias").symlink_to(storage.settings["path"])
    return make_storage(tmp_path / "alias", name="Alias")


def test_copying_to_the_same_place_leaves_the_archive_alone(backup: Backup, alias: Storage) -> None:
    ask_for(backup, alias)
    for _time in range(2):
        done, failed = store_missing(backup.database, Silent())
        assert not done
        assert "are the same place" in str(failed[0].message)
        ask_for(backup)
    verify_backup(backup, Silent())
    assert states(backup) == ("available", ["stored", "failed"])


def test_a_backup_to_both_stays_in_one(database: Database, storage: Storage, alias: Storage) -> None:
    taken = take_backup(database=database, storages=[storage, alias], scope="full", progress=Silent())
    verify_backup(taken, Silent())
    assert states(taken) == ("available", ["stored", "failed"])
    assert "the same place" in str(taken.copies.get(storage=alias).message)


def test_retention_of_one_name_deletes_nothing_that_the_other_keeps(
    database: Database, storage: Storage, alias: Storage
) -> None:
    alias.retention = make_retention(last=1, daily=0)
    alias.save()
    backups = [put(database, storage, days=days) for days in (1, 2, 3)]
    for each in backups:
        make_copy(backup=each, storage=alias)
    with pytest.raises(StorageError, match="are the same place"):
        expire(database=database, progress=Silent())
    assert all(there(each, storage) for each in backups)


def test_apart_again_retention_goes_on(database: Database, storage: Storage, alias: Storage, tmp_path: Path) -> None:
    alias.retention = make_retention(last=1, daily=0)
    alias.settings = {"path": str(tmp_path / "own")}
    alias.save()
    backups = [put(database, storage, days=days) for days in (1, 2)]
    for each in backups:
        make_copy(backup=each, storage=alias)
        for name in there(each, storage):
            alias.backend().write(f"{each.key}/{name}", storage.backend().open(f"{each.key}/{name}"))
    assert expire(database=database, progress=Silent()).deleted == 1
    assert (there(backups[1], storage), there(backups[1], alias)) == ({"backup.tar", "manifest.json"}, set())


def test_the_daily_look_finds_two_names_of_one_place(backup: Backup, storage: Storage, alias: Storage) -> None:
    make_copy(backup=backup, storage=alias)
    with pytest.raises(StorageError, match="are the same place"):
        reconcile(database=backup.database, progress=Silent())
    problems = [str(each.problem) for each in Storage.objects.order_by("name")]
    assert problems == [
        f"“Alias” and “{storage.name}” are the same place, or one lies in the other; nothing was touched.",
        "",
    ]


def test_the_test_of_a_storage_names_the_other(storage: Storage, alias: Storage) -> None:
    probe = check(alias)
    assert probe.failed is not None
    assert str(probe.failed.message) == f"This is the place of “{storage.name}” already, or one lies in the other."
    assert "one copy" in str(probe.failed.hint)
    assert not [path for path in Path(storage.settings["path"]).iterdir() if "probe" in path.name]


def test_it_is_not_registered_twice(storage: Storage, tmp_path: Path, admin: Client) -> None:
    Path(storage.settings["path"]).mkdir(exist_ok=True)
    (tmp_path / "again").symlink_to(storage.settings["path"])
    page = admin.post("/storages/add/?kind=local", {"name": "Again", "storage-path": str(tmp_path / "again")})
    assert f"This is the place of “{storage.name}” already, or one lies in the other." in page.content.decode()
    assert Storage.objects.count() == 1


def test_a_folder_in_it_is_not_registered_and_a_registered_one_is_named_daily(
    backup: Backup, storage: Storage, admin: Client
) -> None:
    inside = Path(storage.settings["path"], "inside")
    page = admin.post("/storages/add/?kind=local", {"name": "Inside", "storage-path": str(inside)})
    assert f"This is the place of “{storage.name}” already, or one lies in the other." in page.content.decode()
    assert (Storage.objects.count(), inside.exists()) == (1, False)
    nested = make_storage(inside, name="Inside")
    put(backup.database, nested, days=1)
    with pytest.raises(StorageError, match="one lies in the other"):
        reconcile(database=backup.database, progress=Silent())


@pytest.mark.django_db
def test_a_bucket_by_two_names_of_its_server_is_one_place(s3_server: S3Server) -> None:
    settings = s3_server.settings("twins")
    one = Storage(name="One", kind="s3", settings=settings)
    one.secrets = s3_server.secrets
    one.save()
    other = settings | {"endpoint": settings["endpoint"].replace("127.0.0.1", "localhost")}
    assert other != settings
    two = Storage(name="Two", kind="s3", settings=other)
    two.secrets = s3_server.secrets
    with pytest.raises(Refused, match="the place of “One”"):
        require_alone(two.backend())
    two.settings = settings | {"prefix": "twins-2"}
    require_alone(two.backend())
