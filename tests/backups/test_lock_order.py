"""Whoever locks copies and backups does it in one order: otherwise two wait for each other, and PostgreSQL ends one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dbadmin import audit
from dbadmin.backups import expire as expiring
from dbadmin.backups.adopt import adopt
from dbadmin.backups.copies import is_sound, lock_copies, settle
from dbadmin.backups.missing import ask_for
from dbadmin.backups.pins import delete_backup, pin
from dbadmin.backups.reconcile import reconcile
from dbadmin.backups.take import take_backup
from dbadmin.choices import CopyState
from dbadmin.models import Backup, Copy, Database, Storage
from dbadmin.progress import Silent
from tests.factories import make_storage
from tests.jobs.threads import between

pytestmark = pytest.mark.django_db(transaction=True)


def vanishes(backup: Backup, storage: Storage) -> None:
    shutil.rmtree(Path(storage.settings["path"]) / backup.key)
    (Path(storage.settings["path"]) / "something").touch()
    assert reconcile(database=backup.database, progress=Silent()).vanished


def comes_back(backup: Backup, storage: Storage) -> None:
    expiring.finish(database=backup.database, progress=Silent())
    assert set(backup.copies.values_list("state", flat=True)) == {CopyState.STORED}


def is_adopted(backup: Backup, storage: Storage) -> None:
    assert adopt(storage, backup.key, actor=audit.SYSTEM) == backup


def is_asked_for(backup: Backup, storage: Storage) -> None:
    ask_for(backup)


def is_read(backup: Backup, storage: Storage) -> None:
    is_sound(backup.copies.get(storage=storage))


def is_pinned(backup: Backup, storage: Storage) -> None:
    pin(backup, actor=audit.SYSTEM, note="")


def is_deleted(backup: Backup, storage: Storage) -> None:
    delete_backup(backup, actor=audit.SYSTEM, reason="wrong data", confirmed="shop")


@pytest.mark.parametrize(
    ("other", "state"),
    [
        (vanishes, CopyState.STORED),
        (comes_back, CopyState.EXPIRING),
        (is_adopted, CopyState.STORED),
        (is_asked_for, CopyState.DAMAGED),
        (is_read, CopyState.STORED),
        (is_pinned, CopyState.STORED),
        (is_deleted, CopyState.STORED),
    ],
)
@pytest.mark.parametrize("held", [0, 1])
def test_nobody_waits_in_a_circle(
    database: Database, storage: Storage, other: Callable[[Backup, Storage], None], state: CopyState, held: int,
    tmp_path: Path,
) -> None:  # fmt: skip
    """The transaction writes to a copy and then to its backup, as whoever has read it does."""
    places = [storage, make_storage(tmp_path / "elsewhere")]
    backup = take_backup(database=database, storages=places, scope="full", progress=Silent())
    backup.copies.update(state=state)
    between(
        lambda: lock_copies(Copy.objects.filter(backup=backup, storage=places[held])),
        lambda: other(Backup.objects.get(), Storage.objects.get(pk=storage.pk)),
        lambda: settle(Backup.objects.get()),
    )
