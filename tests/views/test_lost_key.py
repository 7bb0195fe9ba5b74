"""Pages where what is stored cannot be read: they open, say so, and take it again."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from dbadmin.archives.age import new_identity
from dbadmin.models import Database, EncryptionKey, Storage
from dbadmin.templatetags.keys import key_wanted
from tests.factories import make_backup, make_copy, make_database, make_storage
from tests.lost_key import SECRET, lose_key, make_cloud

PASSWORD = "correct horse battery"
CANNOT = "cannot be read with the present encryption key"
S3 = {
    "name": "Cloud",
    "storage-bucket": "archives",
    "storage-endpoint": "https://s3.example.org",
    "storage-access_key_id": "AKIA",
}
FORGET = {"storage-forget_all_that_cannot_be_read": "on"}


def text(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.fixture
def locked(db: None, settings: Any) -> Storage:
    """A storage whose secrets were stored with another key."""
    storage = make_cloud()
    lose_key(settings)
    return storage


def edited(client: Client, storage: Storage, form: dict[str, str]) -> str:
    page = client.post(f"/storages/{storage.pk}/edit/", form, follow=True).content.decode()
    storage.refresh_from_db()
    return page


def test_the_form_opens_and_says_that_secrets_are_wanted_again(admin: Client, locked: Storage) -> None:
    page = text(admin, f"/storages/{locked.pk}/edit/")
    assert CANNOT in page
    assert 'name="storage-secret_access_key"' in page
    assert "Leave it empty to keep it" not in page


def test_what_is_entered_again_takes_the_place_of_all(admin: Client, locked: Storage) -> None:
    assert "Cloud is saved." in edited(admin, locked, S3 | {"storage-secret_access_key": "new"})
    assert locked.secrets == {"secret_access_key": "new"}
    for path in (f"/storages/{locked.pk}/", f"/storages/{locked.pk}/edit/", "/storages/"):
        assert CANNOT not in text(admin, path)


@pytest.mark.parametrize("entered", [{}, {"storage-session_token": "new"}])
def test_what_is_needed_and_not_entered_is_named(admin: Client, locked: Storage, entered: dict[str, str]) -> None:
    before = locked.encrypted_secrets
    assert "Enter it again: the stored one cannot be read." in edited(admin, locked, S3 | entered)
    assert locked.encrypted_secrets == before


def test_nothing_is_forgotten_that_nobody_chose_to_forget(admin: Client, locked: Storage) -> None:
    before, by_role = locked.encrypted_secrets, S3 | {"storage-access_key_id": ""}
    assert "choose to forget" in edited(admin, locked, by_role)
    assert locked.encrypted_secrets == before
    assert "Cloud is saved." in edited(admin, locked, by_role | FORGET)
    assert locked.encrypted_secrets == ""


def test_one_locked_storage_takes_no_page_along(admin: Client, locked: Storage) -> None:
    vault = make_storage(name="Vault")
    backup = make_backup(storage=vault)
    make_copy(backup=backup, storage=locked)
    for path in ("/storages/", f"/storages/{locked.pk}/"):
        assert CANNOT in text(admin, path)
    assert "Vault" in text(admin, "/storages/")
    for path in ("/", "/backups/", "/backups/statistics/", "/backups/readiness/", "/keys/", "/keys/recovery-kit/"):
        text(admin, path)


def make_locked_database(settings: Any) -> Database:
    database = make_database(engine="postgresql", settings={"name": "orders"})
    database.password = SECRET
    database.save()
    lose_key(settings)
    return database


def test_a_password_is_entered_again(admin: Client, settings: Any) -> None:
    database = make_locked_database(settings)
    path = f"/databases/{database.slug}/"
    assert CANNOT in text(admin, path + "edit/")
    assert "Leave the field empty to keep it" not in text(admin, path + "edit/")
    assert "stored, cannot be read" in text(admin, path + "?tab=settings")
    assert CANNOT in text(admin, "/databases/")
    text(admin, path)
    form = {
        "name": database.name,
        "application": str(database.application_id),
        "environment": "staging",
        "backup_age_hours": "30",
        "connection-name": "orders",
    }
    page = admin.post(path + "edit/", form, follow=True).content.decode()
    assert "the stored one cannot be read" in page
    admin.post(path + "edit/", form | {"connection-password": "new"})
    database.refresh_from_db()
    assert database.password == "new"


@pytest.fixture
def shut(db: None, settings: Any) -> tuple[EncryptionKey, str]:
    """A key whose private half was stored with another encryption key, and that half."""
    identity, recipient = new_identity()
    key = EncryptionKey(name="shut", recipient=recipient)
    key.identity = identity
    key.save()
    lose_key(settings)
    return key, identity


def test_a_private_key_that_cannot_be_read_is_given_again(admin: Client, shut: tuple[EncryptionKey, str]) -> None:
    key, identity = shut
    page = text(admin, "/keys/")
    assert "Cannot be read" in page
    assert "On this server" not in page
    path = f"/keys/{key.pk}/private/"
    assert CANNOT in text(admin, path)
    admin.post(path, {"key_file": SimpleUploadedFile("key.txt", identity.encode())})
    key.refresh_from_db()
    assert key.identity == identity
    assert "On this server" in text(admin, "/keys/")


def test_a_backup_wants_the_file_of_a_private_key_that_cannot_be_read(shut: tuple[EncryptionKey, str]) -> None:
    key, identity = shut
    backup = make_backup()
    backup.copies.update(recipients=[key.recipient])
    assert "“shut”" in str(key_wanted(backup))
    key.identity = identity
    key.save()
    assert not key_wanted(backup)


def test_the_kit_says_which_private_key_it_cannot_hold(admin: Client, shut: tuple[EncryptionKey, str]) -> None:
    identity, recipient = new_identity()
    other = EncryptionKey(name="other", recipient=recipient)
    other.identity = identity
    other.save()
    for form in ({}, {"with_secrets": "on", "password": PASSWORD}):
        kit = admin.post("/keys/recovery-kit/", form).content.decode()
        assert "CANNOT BE READ there" in kit
    assert identity in kit


def test_without_any_key_pages_open_and_what_is_sent_is_refused(
    admin: Client, shut: tuple[EncryptionKey, str], settings: Any
) -> None:
    key, identity = shut
    storage, database = make_cloud(), make_locked_database(settings)
    settings.ENCRYPTION_KEY = ""
    for path in ("/", "/storages/", f"/storages/{storage.pk}/edit/", "/keys/", f"/databases/{database.slug}/edit/"):
        text(admin, path)
    missing = "not its encryption key"
    assert missing in edited(admin, storage, S3 | {"storage-secret_access_key": "new"})
    file = SimpleUploadedFile("key.txt", identity.encode())
    assert missing in admin.post(f"/keys/{key.pk}/private/", {"key_file": file}, follow=True).content.decode()
    assert missing in admin.post("/keys/add/", {"name": "new", "how": "kept"}).content.decode()
    form = {"connection-name": "orders", "connection-password": "new"}
    assert missing in admin.post(f"/databases/{database.slug}/edit/", form).content.decode()
