"""Copies that are encrypted: with the private key at hand, and on a server that can only write."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from dbadmin.archives.age import new_identity
from dbadmin.archives.encryption import offered
from dbadmin.backups import copies
from dbadmin.backups.download import archive
from dbadmin.backups.keys import needed, needed_by, require_key
from dbadmin.backups.missing import ask_for, store_missing
from dbadmin.backups.preflight import look_ahead
from dbadmin.backups.reading import unpack
from dbadmin.backups.take import take_backup
from dbadmin.backups.verify import verify_backup
from dbadmin.choices import CopyState
from dbadmin.exceptions import CorruptArchive, KeyMissing
from dbadmin.models import Backup, Copy, Database, EncryptionKey, Storage
from dbadmin.models.keys import closed_newest
from dbadmin.progress import Silent
from tests.backups.files import below, flip_a_byte
from tests.factories import make_storage


@pytest.fixture
def pair() -> tuple[str, str]:
    """A private and a public key."""
    return new_identity()


def key(recipient: str, identity: str = "") -> EncryptionKey:
    row = EncryptionKey(name=recipient[:20], recipient=recipient)
    row.identity = identity
    row.save()
    return row


def sealed(path: Path, *keys: EncryptionKey) -> Storage:
    storage = make_storage(path)
    storage.keys.set(keys)
    return storage


def take(database: Database, *storages: Storage) -> Backup:
    return take_backup(database=database, storages=storages, scope="full", progress=Silent())


def test_size_and_hash_of_a_copy_are_those_of_what_is_stored(
    database: Database, pair: tuple[str, str], tmp_path: Path
) -> None:
    storage = sealed(tmp_path / "sealed", key(pair[1], pair[0]))
    backup = take(database, storage)
    copy = backup.copies.get()
    assert below(tmp_path / "sealed") == [f"{backup.key}/backup.tar.age", f"{backup.key}/manifest.json.age"]
    assert copy.size == (tmp_path / "sealed" / backup.key / "backup.tar.age").stat().st_size > backup.size
    assert copy.recipients == [pair[1]]
    assert copy.sha256 != backup.sha256
    assert look_ahead(backup=backup, beside=database, target_name="copy.db", keep_owners=True).may_start
    assert len(b"".join(archive(backup).chunks)) == backup.size == archive(backup).size


def test_a_server_that_can_only_write_verifies_what_it_cannot_read(
    database: Database, pair: tuple[str, str], tmp_path: Path
) -> None:
    backup = take(database, sealed(tmp_path / "sealed", key(pair[1])))
    assert verify_backup(backup, Silent()).verified_at is not None
    with pytest.raises(KeyMissing):
        unpack(backup, tmp_path / "out", Silent())
    assert backup.copies.get().state == CopyState.STORED
    with offered([pair[0]]):
        unpack(backup, tmp_path / "out", Silent())
    flip_a_byte(tmp_path / "sealed" / backup.key / "backup.tar.age")
    with pytest.raises(CorruptArchive):
        verify_backup(backup, Silent())


def test_a_copy_in_clear_is_read_when_the_key_is_not_here(
    database: Database, pair: tuple[str, str], tmp_path: Path
) -> None:
    closed, clear = sealed(tmp_path / "sealed", key(pair[1])), make_storage(tmp_path / "clear")
    backup = take(database, closed, clear)
    assert backup.storage == closed
    assert unpack(backup, tmp_path / "out", Silent()).archive_sha256 == backup.sha256
    assert {copy.state for copy in backup.copies.all()} == {CopyState.STORED}


def test_what_cannot_be_opened_is_copied_as_it_is_for_the_same_keys_only(
    database: Database, pair: tuple[str, str], tmp_path: Path
) -> None:
    own = key(pair[1])
    backup = take(database, sealed(tmp_path / "one", own))
    same, other = sealed(tmp_path / "two", own), sealed(tmp_path / "three", key(new_identity()[1]))
    for storage in (same, other, make_storage(tmp_path / "clear")):
        ask_for(backup, storage)
    done, failed = store_missing(database, Silent())
    assert [copy.storage for copy in done] == [same]
    assert all("No private key here opens the copy" in str(copy.message) for copy in failed)
    assert all("or encrypt both storages for the same keys" in str(copy.message) for copy in failed)
    name = f"{backup.key}/backup.tar.age"
    assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    assert below(tmp_path / "three") == below(tmp_path / "clear") == []
    verify_backup(backup, Silent(), copy=Copy.objects.get(storage=same))


def test_what_can_be_opened_is_sealed_for_the_keys_of_its_new_place(
    database: Database, pair: tuple[str, str], tmp_path: Path
) -> None:
    backup = take(database, sealed(tmp_path / "one", key(pair[1], pair[0])))
    identity, recipient = new_identity()
    other = sealed(tmp_path / "two", key(recipient, identity))
    ask_for(backup, other)
    assert store_missing(database, Silent())[1] == []
    assert Copy.objects.get(storage=other).recipients == [recipient]
    backup.read_from = other
    unpack(backup, tmp_path / "out", Silent())


def test_a_damaged_sealed_copy_is_made_again_from_another(
    database: Database, pair: tuple[str, str], tmp_path: Path
) -> None:
    own = key(pair[1])
    backup = take(database, sealed(tmp_path / "one", own), sealed(tmp_path / "two", own))
    flip_a_byte(tmp_path / "one" / backup.key / "backup.tar.age")
    with pytest.raises(CorruptArchive):
        verify_backup(backup, Silent())
    backup.refresh_from_db()
    assert backup.missing_copies == 1
    assert copies.due_of(database.pk, timezone.now())
    store_missing(database, Silent())
    assert {copy.state for copy in backup.copies.all()} == {CopyState.STORED}
    verify_backup(backup, Silent())


def test_a_good_copy_that_is_locked_is_named_with_its_key_when_the_other_is_damaged(
    database: Database, pair: tuple[str, str], tmp_path: Path
) -> None:
    away = key(new_identity()[1])
    here, vault = sealed(tmp_path / "one", key(pair[1], pair[0])), sealed(tmp_path / "two", away)
    backup = take(database, here, vault)
    flip_a_byte(tmp_path / "one" / backup.key / "backup.tar.age")
    require_key(backup)
    with pytest.raises(KeyMissing) as caught:
        unpack(backup, tmp_path / "out", Silent())
    assert f"A good copy is in “{vault.name}”, but its private key is not here: “{away.name}”" in str(caught.value)
    assert f"The copy in {here.name} cannot be read: " in str(caught.value)
    assert "Choose another backup" not in str(caught.value)
    assert needed(backup) == (away.recipient,)
    with pytest.raises(KeyMissing, match=rf"A good copy is in “{vault.name}”, but .*“{away.name}”"):
        require_key(backup)
    assert closed_newest(Database.objects.all(), most=1) == [(database, (away.recipient,))]


def test_a_damaged_copy_in_clear_opens_no_backup(database: Database, pair: tuple[str, str], tmp_path: Path) -> None:
    own, clear = key(pair[1], pair[0]), make_storage(tmp_path / "clear")
    backup = take(database, sealed(tmp_path / "sealed", own), clear)
    assert needed_by(own) == 0
    backup.copies.filter(storage=clear).update(state=CopyState.DAMAGED)
    assert needed_by(own) == 1
    backup.read_from = clear  # somebody may look at it all the same
    assert needed(backup) == ()
    backup.read_from = None
    EncryptionKey.objects.update(encrypted_identity="")
    assert needed(backup) == (pair[1],)
    with pytest.raises(KeyMissing, match=r"A good copy is in .* holds another key"):
        require_key(backup, offered=[new_identity()[0]])


def test_what_to_do_about_other_keys_is_told_by_the_command_and_on_the_page(
    database: Database, pair: tuple[str, str], tmp_path: Path, viewer: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    backup = take(database, sealed(tmp_path / "one", key(pair[1])))
    other = sealed(tmp_path / "two", key(new_identity()[1]))
    with pytest.raises(SystemExit):
        call_command("backup", "copy", str(backup.pk), "--storage", other.name)
    hint = "Add its private key on the page of the keys, or encrypt both storages for the same keys."
    assert hint in capsys.readouterr().out
    assert hint in viewer.get(backup.get_absolute_url()).content.decode()
