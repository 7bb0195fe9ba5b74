"""The pages of encryption keys and the Recovery Kit: a private key is shown once, and to nobody else."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from dbadmin import crypto
from dbadmin.archives.age import new_identity
from dbadmin.archives.encryption import decrypt
from dbadmin.backups.take import take_backup
from dbadmin.jobs.queue import identities_of
from dbadmin.models import AuditEvent, Backup, EncryptionKey, Job, Storage
from dbadmin.progress import Silent
from tests.factories import make_storage
from tests.sqlite_file import make_sqlite_file, sqlite_database

PASSWORD = "correct horse battery"


def file_of(*identities: str) -> SimpleUploadedFile:
    return SimpleUploadedFile("key.txt", "\n".join(identities).encode())


def make_key(name: str = "key", *, private: bool = True, **fields: Any) -> tuple[EncryptionKey, str]:
    identity, recipient = new_identity()
    key = EncryptionKey(name=name, recipient=recipient, **fields)
    key.identity = identity if private else ""
    key.save()
    return key, identity


@pytest.fixture
def sealed(db: None, tmp_path: Path) -> tuple[Backup, str]:
    """A backup that this server cannot read, and the private key that opens it."""
    key, identity = make_key("only mine", private=False)
    storage = make_storage(tmp_path / "archives")
    storage.keys.add(key)
    database = sqlite_database(make_sqlite_file(tmp_path / "shop.db"), slug="shop")
    return take_backup(database=database, storages=[storage], scope="full", progress=Silent()), identity


@pytest.mark.parametrize(("how", "kept"), [("kept", True), ("once", False)])
def test_a_new_pair_is_shown_once(how: str, kept: bool, admin: Client) -> None:
    page = admin.post("/keys/add/", {"name": "first", "how": how})
    key = EncryptionKey.objects.get()
    identity = re.findall(r"AGE-SECRET-KEY-1[0-9A-Z]+", page.content.decode())[0]
    assert "no-store" in page.headers["Cache-Control"]
    assert key.identity == (identity if kept else "")
    others = b"".join(admin.get(path).content for path in ("/keys/", f"/keys/{key.pk}/private/", "/keys/recovery-kit/"))
    assert b"AGE-SECRET-KEY" not in others
    assert "AGE-SECRET-KEY" not in repr(list(AuditEvent.objects.values())) + repr(key)


def test_halves_from_elsewhere_are_taken(admin: Client) -> None:
    identity, recipient = new_identity()
    admin.post("/keys/add/", {"name": "public", "how": "public", "public": recipient})
    other, _other_recipient = new_identity()
    admin.post("/keys/add/", {"name": "private", "how": "private", "key_file": file_of(other)})
    assert [key.identity for key in EncryptionKey.objects.order_by("pk")] == ["", other]
    public = EncryptionKey.objects.get(name="public")
    page = admin.post(f"/keys/{public.pk}/private/", {"key_file": file_of(other)}, follow=True)
    assert "holds another key" in page.content.decode()
    admin.post(f"/keys/{public.pk}/private/", {"key_file": file_of(other, identity)})
    public.refresh_from_db()
    assert public.identity == identity


@pytest.mark.parametrize(
    "sent",
    [
        {"how": "public", "public": "junk"},
        {"how": "public"},
        {"how": "public", "public": "AGE-SECRET-KEY-1JUNK"},
        {"how": "private"},
        {"how": "private", "key_file": SimpleUploadedFile("k", b"")},
        {"how": "private", "key_file": SimpleUploadedFile("k", b"junk \xff")},
        {"how": "nothing"},
        {"how": "kept", "name": "two\nlines"},
    ],
)
def test_junk_is_refused_in_words(sent: dict[str, Any], admin: Client) -> None:
    page = admin.post("/keys/add/", {"name": "junk"} | sent)
    assert page.status_code == 422
    assert not EncryptionKey.objects.exists()


def test_of_several_keys_in_one_file_none_is_forgotten(admin: Client) -> None:
    both = [new_identity()[0], new_identity()[0]]
    page = admin.post("/keys/add/", {"name": "both", "how": "private", "key_file": file_of(*both)})
    assert page.status_code == 422
    assert "The file holds 2 private keys. Add them one by one" in page.content.decode()
    assert not EncryptionKey.objects.exists()
    admin.post("/keys/add/", {"name": "one", "how": "private", "key_file": file_of(both[0], both[0])})
    assert EncryptionKey.objects.get().identity == both[0]


def test_the_same_key_is_not_taken_twice(admin: Client) -> None:
    key, _identity = make_key()
    page = admin.post("/keys/add/", {"name": "again", "how": "public", "public": key.recipient})
    assert "here already" in page.content.decode()


def test_the_only_key_of_a_storage_is_not_retired(admin: Client) -> None:
    key, _identity = make_key()
    storage = make_storage()
    storage.keys.add(key)
    path = f"/keys/{key.pk}/retire/"
    page = admin.post(path, {"retired": "1"}, follow=True)
    assert "only key" in page.content.decode()
    storage.keys.add(make_key("second")[0])
    admin.post(path, {"retired": "1"})
    key.refresh_from_db()
    assert key.retired_at
    admin.post(path, {"retired": "0"})
    key.refresh_from_db()
    assert not key.retired_at


def test_a_storage_does_not_come_back_with_a_retired_key_alone(admin: Client) -> None:
    key, _identity = make_key("K")
    storage = make_storage(name="Vault", removed_at=timezone.now())
    storage.keys.add(key)
    admin.post(f"/keys/{key.pk}/retire/", {"retired": "1"})
    page = admin.post(f"/storages/{storage.pk}/return/", follow=True).content.decode()
    assert "All keys of “Vault” are retired: K." in page
    assert not Storage.objects.registered().exists()
    storage.keys.add(make_key("second")[0])
    admin.post(f"/storages/{storage.pk}/return/")
    assert Storage.objects.registered().exists()


def test_a_retired_key_is_marked_and_not_chosen_alone(admin: Client) -> None:
    key, _identity = make_key("K", retired_at=timezone.now())
    storage = make_storage()
    storage.keys.add(key)
    assert "All its keys are retired" in admin.get(storage.get_absolute_url()).content.decode()
    form = {"name": storage.name, "storage-path": storage.settings["path"], "keys": [key.pk]}
    page = admin.post(f"/storages/{storage.pk}/edit/", form).content.decode()
    assert "K (retired)" in page
    assert "The keys that are chosen are retired" in page
    with pytest.raises(SystemExit):
        call_command("storages", "edit", storage.name, "--key", "K", "--offsite")
    storage.refresh_from_db()
    assert not storage.is_offsite
    admin.post(f"/storages/{storage.pk}/edit/", form | {"keys": [make_key("second")[0].pk]})
    assert [str(each) for each in storage.keys.all()] == ["second"]
    assert "All its keys are retired" not in admin.get(storage.get_absolute_url()).content.decode()


def test_what_two_tabs_ask_for_is_done_once_and_told(admin: Client) -> None:
    key, _identity = make_key()
    pressed = re.findall(r'name="(retired)" value="(\d)"', admin.get("/keys/").content.decode())
    said = [admin.post(f"/keys/{key.pk}/retire/", dict(pressed), follow=True).content.decode() for _tab in range(2)]
    key.refresh_from_db()
    assert key.retired_at
    assert "key is retired: new archives are not encrypted for it." in said[0]
    assert "key was retired already. Nothing was changed." in said[1]
    pressed = re.findall(r'name="(retired)" value="(\d)"', said[0])
    said = [admin.post(f"/keys/{key.pk}/retire/", dict(pressed), follow=True).content.decode() for _tab in range(2)]
    key.refresh_from_db()
    assert not key.retired_at
    assert "key is used again." in said[0]
    assert "key was in use already. Nothing was changed." in said[1]
    assert AuditEvent.objects.filter(action__in=("key.retire", "key.use_again")).count() == 2


def test_a_private_half_goes_only_when_the_name_is_typed(admin: Client) -> None:
    key, _identity = make_key()
    admin.post(f"/keys/{key.pk}/private/", {"confirm": "another"})
    key.refresh_from_db()
    assert key.identity
    admin.post(f"/keys/{key.pk}/private/", {"confirm": "key"})
    key.refresh_from_db()
    assert not key.identity
    assert AuditEvent.objects.filter(action="key.remove_private", object_label="key").exists()


def test_a_viewer_and_an_operator_see_no_keys(viewer: Client, operator: Client) -> None:
    key, _identity = make_key()
    for client in (viewer, operator):
        for path in ("/keys/", "/keys/add/", f"/keys/{key.pk}/private/", "/keys/recovery-kit/"):
            assert client.get(path).status_code == 403


def test_the_kit_tells_everything_but_secrets(admin: Client, sealed: tuple[Backup, str]) -> None:
    backup, _identity = sealed
    kept, identity = make_key("kept")
    backup.storage.secrets = {"token": "of the storage"}
    backup.storage.save()
    text = admin.post("/keys/recovery-kit/").content.decode()
    for wanted in (backup.key, backup.sha256, backup.storage.name, kept.recipient, "age -d -i key.txt", "only mine"):
        assert wanted in text
    for secret in (identity, *crypto.keys(), "of the storage"):
        assert secret not in text + admin.get("/keys/recovery-kit/").content.decode()
    event = AuditEvent.objects.get(action="recovery_kit.download")
    assert event.details == {"with_secrets": False}


def test_secrets_are_in_the_kit_only_after_the_password(admin: Client) -> None:
    _kept, identity = make_key("kept")
    wrong = admin.post("/keys/recovery-kit/", {"with_secrets": "on", "password": "guess"}, follow=True)
    assert identity not in wrong.content.decode()
    assert AuditEvent.objects.filter(action="login.failed").count() == 1
    assert not AuditEvent.objects.filter(action="recovery_kit.download").exists()
    right = admin.post("/keys/recovery-kit/", {"with_secrets": "on", "password": PASSWORD})
    text = right.content.decode()
    assert identity in text
    assert "DBADMIN_ENCRYPTION_KEY=" + crypto.keys()[0] in text
    assert "attachment" in right.headers["Content-Disposition"]
    assert "no-store" in right.headers["Cache-Control"]
    assert AuditEvent.objects.get(action="recovery_kit.download").details == {"with_secrets": True}


def test_ten_wrong_passwords_shut_the_kit(admin: Client) -> None:
    _kept, identity = make_key("kept")
    for _guess in range(10):
        admin.post("/keys/recovery-kit/", {"with_secrets": "on", "password": "guess"})
    page = admin.post("/keys/recovery-kit/", {"with_secrets": "on", "password": PASSWORD}, follow=True)
    assert identity not in page.content.decode()


def test_a_restore_asks_for_the_key_file_and_takes_it(admin: Client, sealed: tuple[Backup, str]) -> None:
    backup, identity = sealed
    looked = admin.get(f"/backups/{backup.pk}/restore/", {"server": "shop", "target": "copy.db"})
    assert b'name="key_file"' in looked.content
    asked = {"server": "shop", "target": "copy.db"}
    path = f"/backups/{backup.pk}/restore/"
    for sent in ({}, {"key_file": file_of("junk")}, {"key_file": file_of(new_identity()[0])}):
        admin.post(path, asked | sent)
        assert not Job.objects.exists()
    admin.post(path, asked | {"key_file": file_of(identity)})
    job = Job.objects.get()
    assert identities_of(job) == (identity,)
    assert identity not in job.encrypted_identities + repr(job.params) + repr(list(AuditEvent.objects.values()))
    assert identity not in admin.get(f"/jobs/{job.pk}/").content.decode()


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("replace", {"database": "shop", "keep_hours": "1", "confirm": "shop"}),
        ("tables", {"tables": ["releases"]}),
        ("compare", {"with": "live"}),
        ("drill", {}),
    ],
)
def test_other_pages_refuse_without_it(
    path: str, sent: dict[str, Any], admin: Client, sealed: tuple[Backup, str]
) -> None:
    backup, identity = sealed
    sent = sent | ({"confirm": backup.database.name} if "confirm" in sent else {})
    if "tables" in sent:
        sent["tables"] = list(backup.measured().tables)
    admin.post(f"/backups/{backup.pk}/{path}/", sent)
    assert not Job.objects.exists()
    admin.post(f"/backups/{backup.pk}/{path}/", sent | {"key_file": file_of(identity)})
    assert identities_of(Job.objects.get()) == (identity,)


def test_a_download_without_the_key_is_what_is_stored(
    admin: Client, sealed: tuple[Backup, str], tmp_path: Path
) -> None:
    backup, identity = sealed
    answer = admin.get(f"/backups/{backup.pk}/archive/")
    assert ".tar.age" in answer.headers["Content-Disposition"]
    content = b"".join(answer.streaming_content)  # type: ignore[arg-type]
    assert len(content) == int(answer.headers["Content-Length"])
    assert hashlib.sha256(b"".join(decrypt([content], [identity]))).hexdigest() == backup.sha256
    key = EncryptionKey.objects.get()
    key.identity = identity
    key.save()
    clear = b"".join(admin.get(f"/backups/{backup.pk}/archive/").streaming_content)  # type: ignore[arg-type]
    assert hashlib.sha256(clear).hexdigest() == backup.sha256


def test_the_page_of_a_backup_asks_for_the_key(admin: Client, sealed: tuple[Backup, str]) -> None:
    page = admin.get(f"/backups/{sealed[0].pk}/").content.decode()
    assert "only mine" in page
    assert 'name="key_file"' in page
