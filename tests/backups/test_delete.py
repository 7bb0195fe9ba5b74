"""Deleting one backup by hand: a reason, the guards, and the typed name for the only good one."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbadmin import audit
from dbadmin.backups.expire import finish
from dbadmin.backups.pins import delete_backup, pin
from dbadmin.choices import BackupState, CopyState, JobKind
from dbadmin.exceptions import Refused
from dbadmin.models import AuditEvent, Backup, Database, Storage
from dbadmin.progress import Silent
from tests.backups.stored import put, put_copy, states, there
from tests.backups.test_expire import backups as backups
from tests.backups.test_expire import database as database
from tests.backups.test_expire import storage as storage
from tests.backups.test_expire import two as two
from tests.factories import make_copy, make_job, make_storage

pytestmark = pytest.mark.django_db


def test_deleting_by_hand_needs_a_reason_and_takes_all_copies(
    backups: list[Backup], database: Database, storage: Storage, tmp_path: Path
) -> None:
    vault = make_storage(tmp_path / "vault")
    put_copy(backups[0], vault)
    make_copy(backup=backups[0], storage=make_storage(), state=CopyState.FAILED)
    with pytest.raises(Refused, match="for a reason"):
        delete_backup(backups[0], actor=audit.SYSTEM, reason=" ")
    delete_backup(backups[0], actor=audit.SYSTEM, reason="it has personal data")
    assert states(backups[0]) == (BackupState.DELETED, ["expiring", "expiring", "deleted"])
    finish(database=database, progress=Silent())
    assert states(backups[0]) == (BackupState.DELETED, ["deleted"] * 3)
    assert there(backups[0], storage) == there(backups[0], vault) == set()
    assert AuditEvent.objects.filter(action="backup.delete", reason__contains="personal data").count() == 2


@pytest.mark.parametrize("guard", ["pinned", "base", "read"])
def test_deleting_by_hand_respects_the_guards(guard: str, backups: list[Backup], database: Database) -> None:
    if guard == "pinned":
        pin(backups[1], actor=audit.SYSTEM, note="keep")
    elif guard == "base":
        Backup.objects.filter(pk=backups[0].pk).update(base=backups[1])
    else:
        make_job(database=database, kind=JobKind.VERIFY, params={"backup": backups[1].pk})
    with pytest.raises(Refused):
        delete_backup(backups[1], actor=audit.SYSTEM, reason="space")
    assert states(backups[1])[0] == BackupState.AVAILABLE


def test_the_only_good_one_is_deleted_only_with_the_typed_name(database: Database, storage: Storage) -> None:
    only = put(database, storage, days=1)
    put(database, storage, days=2, state="damaged")
    with pytest.raises(Refused, match="No other good backup"):
        delete_backup(only, actor=audit.SYSTEM, reason="space")
    delete_backup(only, actor=audit.SYSTEM, reason="space", confirmed="shop")
    assert states(only)[0] == BackupState.DELETED


def test_one_in_a_storage_that_is_away_is_no_other_good_one(database: Database, storage: Storage) -> None:
    here, vault = put(database, storage, days=2), make_storage(is_away=True)
    put(database, vault, days=1)
    with pytest.raises(Refused, match="No other good backup"):
        delete_backup(here, actor=audit.SYSTEM, reason="space")
    Storage.objects.filter(pk=vault.pk).update(is_away=False)
    delete_backup(here, actor=audit.SYSTEM, reason="space")
    assert states(here)[0] == BackupState.DELETED


# By the clock
