"""What was released does not go when what should have stayed in its place is lost, or not seen."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from django.utils import timezone

from dbadmin import audit
from dbadmin.backups import expire as expiring
from dbadmin.backups.expire import finish
from dbadmin.backups.judging import judge
from dbadmin.backups.pins import delete_backup
from dbadmin.backups.reconcile import reconcile
from dbadmin.choices import BackupState, CopyState
from dbadmin.exceptions import StorageError
from dbadmin.models import AuditEvent, Backup, Copy, Database, Retention, Storage
from dbadmin.progress import Silent
from tests.backups.stored import put, release, states, there
from tests.backups.test_expire import backups as backups
from tests.backups.test_expire import database as database
from tests.backups.test_expire import run
from tests.backups.test_expire import storage as storage
from tests.backups.test_expire import two as two

pytestmark = pytest.mark.django_db


def test_what_was_released_is_taken_back_when_what_should_have_stayed_is_lost(
    backups: list[Backup], database: Database, storage: Storage
) -> None:
    release(database)
    for kept in backups[:2]:
        shutil.rmtree(Path(storage.settings["path"]) / kept.key)
    with pytest.raises(StorageError, match="none of the archives that should be there"):
        run(database)  # nobody has looked since: the catalogue believes that they are
    Copy.objects.filter(backup__in=backups[:2]).update(state=CopyState.VANISHED)
    Backup.objects.filter(pk__in=[kept.pk for kept in backups[:2]]).update(state=BackupState.VANISHED)
    assert run(database) == expiring.Expired(deleted=0, freed=0, left=0)
    assert [states(backup)[0] for backup in backups] == ["vanished"] * 2 + ["available"] * 3
    assert all(there(backup, storage) for backup in backups[2:])
    assert AuditEvent.objects.filter(action="backup.taken_back").count() == 3
    assert run(database).deleted == 0


@pytest.mark.parametrize("broken", [1, 3])
def test_of_what_is_taken_back_the_newest_that_is_whole_stays(
    backups: list[Backup], database: Database, storage: Storage, broken: int
) -> None:
    """Half of some released ones went already, and what should have stayed was deleted by somebody."""
    release(database)
    for kept in backups[:2]:
        delete_backup(kept, actor=audit.SYSTEM, reason="wrong data", confirmed="shop")
    for halved in backups[2 : 2 + broken]:
        (Path(storage.settings["path"]) / halved.key / "manifest.json").unlink()
    run(database)
    whole = 3 - broken
    assert [states(backup)[0] for backup in backups] == ["deleted"] * (5 - whole) + ["available"] * whole
    assert [bool(there(backup, storage)) for backup in backups] == [False] * (5 - whole) + [True] * whole


def test_nothing_is_released_when_the_newest_is_lost(
    backups: list[Backup], database: Database, storage: Storage
) -> None:
    """What is released can neither be restored nor pinned: it is looked before."""
    shutil.rmtree(Path(storage.settings["path"]) / backups[0].key)
    with pytest.raises(StorageError, match="was not found where it should be; nothing older is deleted"):
        run(database)
    assert [states(backup) for backup in backups] == [("available", ["stored"])] * 5
    reconcile(database=database, progress=Silent())
    assert not judge(database, now=timezone.now()).going
    assert run(database).deleted == 0
    assert [states(backup)[0] for backup in backups] == ["vanished"] + ["available"] * 4


def test_what_a_person_deleted_is_not_taken_back(database: Database, storage: Storage) -> None:
    only = put(database, storage, days=1)
    delete_backup(only, actor=audit.SYSTEM, reason="wrong data", confirmed="shop")
    assert finish(database=database, progress=Silent()).deleted == 1
    assert not there(only, storage)


def test_nothing_older_goes_while_the_newest_is_not_seen(database: Database, storage: Storage, two: Retention) -> None:
    """Of three neighbours one is there, so the storage answers; the newest good one is not."""
    newest, second, third, fourth = (put(database, storage, days=days) for days in range(1, 5))
    two.last = 3
    two.save()
    shutil.rmtree(Path(storage.settings["path"]) / newest.key)
    with pytest.raises(StorageError, match="nothing older is deleted"):
        run(database)
    assert all(there(each, storage) for each in (second, third, fourth))
