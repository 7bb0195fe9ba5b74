"""Encrypted storages in real jobs: with the key, without it, with another, and with one that is offered once."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from dbadmin import audit
from dbadmin.archives.age import new_identity
from dbadmin.backups.keys import needed, needed_by, require_not_the_last
from dbadmin.backups.missing import ask_for, store_missing
from dbadmin.choices import CopyState, JobKind, JobState
from dbadmin.exceptions import Refused
from dbadmin.jobs import queue
from dbadmin.jobs.foreground import work_on
from dbadmin.jobs.lease import LEASE
from dbadmin.jobs.reaper import reap
from dbadmin.models import AuditEvent, Backup, Database, EncryptionKey, Job, JobLogLine, Storage
from dbadmin.progress import Silent
from tests.backups.files import flip_a_byte
from tests.factories import make_storage

pytestmark = pytest.mark.django_db


def make_key(storage: Storage | None = None, *, name: str = "key", private: bool = True) -> tuple[EncryptionKey, str]:
    identity, recipient = new_identity()
    key = EncryptionKey(name=name, recipient=recipient)
    key.identity = identity if private else ""
    key.save()
    if storage is not None:
        storage.keys.add(key)
    return key, identity


def run(kind: str, database: Database, *identities: str, **params: Any) -> Job:
    actor = audit.Actor(user=None, name="tester")
    job = work_on(JobKind(kind), database, actor=actor, params=params, identities=identities)
    assert job.encrypted_identities == ""
    return job


def back_up(database: Database, storage: Storage) -> Backup:
    job = run("backup", database, storage=storage.pk)
    assert job.state == JobState.SUCCEEDED, job.message
    return Backup.objects.get(job=job)


def restore(backup: Backup, *identities: str, name: str = "copy.db") -> Job:
    return run("restore", backup.database, *identities, backup=backup.pk, target_name=name)


def test_with_the_key_everything_works_and_nothing_lies_in_clear(database: Database, storage: Storage) -> None:
    key, _identity = make_key(storage)
    backup = back_up(database, storage)
    folder = Path(storage.settings["path"]) / backup.key
    assert sorted(path.name for path in folder.iterdir()) == ["backup.tar.age", "manifest.json.age"]
    assert all(path.read_bytes().startswith(b"age-encryption.org/v1\n") for path in folder.iterdir())
    (copy,) = backup.copies.all()
    assert copy.recipients == [key.recipient]
    assert (copy.size, copy.sha256 == backup.sha256) == ((folder / "backup.tar.age").stat().st_size, False)
    assert needed(backup) == ()
    for job in (restore(backup), run("drill", database, backup=backup.pk), run("verify", database, backup=backup.pk)):
        assert job.state == JobState.SUCCEEDED, job.message


def test_without_the_private_key_backups_go_on_and_restores_ask(
    database: Database, storage: Storage, tmp_path: Path
) -> None:
    key, identity = make_key(storage, private=False)
    backup = back_up(database, storage)
    assert run("verify", database, backup=backup.pk).state == JobState.SUCCEEDED
    assert needed(backup) == (key.recipient,)
    before = sorted(tmp_path.rglob("*"))
    refused = restore(backup)
    assert (refused.state, refused.error_class) == (JobState.FAILED, "KeyMissing")
    assert "“key”" in str(refused.message)
    assert key.recipient[:12] in str(refused.message)
    assert sorted(tmp_path.rglob("*")) == before
    assert restore(backup, identity).state == JobState.SUCCEEDED
    backup.refresh_from_db()
    assert backup.copies.get().state == CopyState.STORED


@pytest.mark.parametrize("kind", ["drill", "compare"])
def test_others_that_read_ask_too(kind: str, database: Database, storage: Storage) -> None:
    _key, identity = make_key(storage, private=False)
    backup = back_up(database, storage)
    assert run(kind, database, backup=backup.pk).error_class == "KeyMissing"
    assert run(kind, database, identity, backup=backup.pk).state == JobState.SUCCEEDED


def test_replacing_in_place_is_refused_before_the_safety_backup(database: Database, storage: Storage) -> None:
    make_key(storage, private=False)
    backup = back_up(database, storage)
    content = Path(database.settings["path"]).read_bytes()
    job = run("restore", database, backup=backup.pk, mode="replace")
    assert job.error_class == "KeyMissing"
    assert Backup.objects.count() == 1
    assert Path(database.settings["path"]).read_bytes() == content


def test_another_key_than_the_one_needed_is_refused(database: Database, storage: Storage, tmp_path: Path) -> None:
    make_key(storage, private=False)
    backup = back_up(database, storage)
    job = restore(backup, new_identity()[0])
    assert job.error_class == "KeyMissing"
    assert "another key" in str(job.hint)
    assert not (tmp_path / "copy.db").exists()


@pytest.mark.parametrize("private", [True, False])
def test_one_flipped_byte_is_found_with_and_without_the_private_key(
    private: bool, database: Database, storage: Storage
) -> None:
    make_key(storage, private=private)
    backup = back_up(database, storage)
    flip_a_byte(Path(storage.settings["path"]) / backup.key / "backup.tar.age")
    job = run("verify", database, backup=backup.pk)
    assert job.error_class == "CorruptArchive"
    assert backup.copies.get().state == CopyState.DAMAGED


def test_a_truncated_ciphertext_is_damaged_and_restores_nothing(
    database: Database, storage: Storage, tmp_path: Path
) -> None:
    make_key(storage)
    backup = back_up(database, storage)
    stored = Path(storage.settings["path"]) / backup.key / "backup.tar.age"
    stored.write_bytes(stored.read_bytes()[:-100])
    assert restore(backup).error_class == "CorruptArchive"
    assert not (tmp_path / "copy.db").exists()


def test_keys_rotate_and_old_archives_stay_readable(database: Database, storage: Storage) -> None:
    clear = back_up(database, storage)
    old, _identity = make_key(storage, name="old")
    first = back_up(database, storage)
    new, _identity = make_key(storage, name="new")
    old.retired_at = timezone.now()
    old.save()
    second = back_up(database, storage)
    assert [copy.recipients for copy in (first.copies.get(), second.copies.get())] == [[old.recipient], [new.recipient]]
    storage.keys.clear()
    last = back_up(database, storage)
    for number, backup in enumerate((clear, first, second, last)):
        assert restore(backup, name=f"copy-{number}.db").state == JobState.SUCCEEDED
    assert (needed_by(old), needed_by(new)) == (1, 1)


def test_a_storage_whose_keys_are_all_retired_still_encrypts(database: Database, storage: Storage) -> None:
    key, _identity = make_key(storage)
    with pytest.raises(Refused, match="only key"):
        require_not_the_last(key)
    key.retired_at = timezone.now()
    key.save()
    assert back_up(database, storage).copies.get().recipients == [key.recipient]


def test_a_second_copy_is_made_without_the_private_key(database: Database, storage: Storage, tmp_path: Path) -> None:
    key, _identity = make_key(storage, private=False)
    other = make_storage(tmp_path / "other")
    other.keys.add(key)
    backup = back_up(database, storage)
    ask_for(backup, other)
    done, failed = store_missing(database, Silent())
    assert (len(done), failed) == (1, [])
    first, second = backup.copies.order_by("pk")
    assert (first.sha256, first.recipients) == (second.sha256, second.recipients)


@pytest.mark.parametrize("ending", ["cancelled", "lost"])
def test_offered_keys_are_forgotten_however_the_job_ends(ending: str, database: Database) -> None:
    identity, _recipient = new_identity()
    job, _new = queue.enqueue("verify", database, actor=audit.SYSTEM, identities=[identity], ring=False)
    assert identity not in job.encrypted_identities
    assert queue.identities_of(job) == (identity,)
    if ending == "cancelled":
        queue.cancel(job, actor=audit.SYSTEM)
    else:
        long_ago = timezone.now() - 2 * LEASE - timedelta(hours=1)
        Job.objects.filter(pk=job.pk).update(state="running", worker="gone", host="gone", lease_until=long_ago)
        reap(timezone.now())
    job.refresh_from_db()
    assert (job.state, job.encrypted_identities) == (ending, "")


def test_no_private_key_is_in_any_row_in_clear(database: Database, storage: Storage) -> None:
    key, identity = make_key(storage, private=False)
    kept, kept_identity = make_key(storage, name="kept")
    restore(back_up(database, storage), identity)
    rows = [list(model.objects.values()) for model in (Job, JobLogLine, AuditEvent, EncryptionKey, Backup)]
    stored = json.dumps(rows, default=str) + repr(storage.backend()) + repr(kept) + repr(vars(key))
    assert identity not in stored
    assert kept_identity not in stored
    assert "AGE-SECRET-KEY" not in stored


def test_a_backend_costs_one_query(storage: Storage, django_assert_num_queries: Any) -> None:
    make_key(storage, name="a")
    make_key(storage, name="b")
    with django_assert_num_queries(1):
        assert len(storage.backend().recipients) == 2
