"""Keys in a browser: the private key is saved from the one page that shows it, and a restore takes the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from dbadmin.archives.age import read_key_file, recipient_of
from dbadmin.backups.take import take_backup
from dbadmin.jobs.queue import identities_of
from dbadmin.models import Backup, EncryptionKey, Job
from dbadmin.progress import Silent
from tests.browser.layout import overflow_on_a_phone
from tests.factories import make_storage
from tests.sqlite_file import make_sqlite_file, sqlite_database

pytestmark = pytest.mark.django_db(transaction=True)


def look(page: Page, name: str, scheme: str) -> None:
    """Keep a picture when DBADMIN_TEST_PICTURES names a folder, also of a narrow window."""
    if not (folder := os.environ.get("DBADMIN_TEST_PICTURES")):
        return
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.screenshot(path=f"{folder}/{name}-{scheme}-{width}.png", full_page=True)
    page.set_viewport_size({"width": 1280, "height": 900})


def sealed_backup(tmp_path: Path, key: EncryptionKey) -> Backup:
    storage = make_storage(tmp_path / "archives")
    storage.keys.add(key)
    database = sqlite_database(make_sqlite_file(tmp_path / "shop.db"), slug="shop")
    return take_backup(database=database, storages=[storage], scope="full", progress=Silent())


def test_the_key_that_was_saved_opens_what_only_it_can_open(page: Page, tmp_path: Path, scheme: str) -> None:
    page.goto("/keys/")
    look(page, "keys-empty", scheme)
    page.get_by_role("link", name="Add a key").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Add a key")
    look(page, "key-add", scheme)
    assert overflow_on_a_phone(page) == 0
    page.fill("#id_name", "Only with me")
    page.select_option("#id_how", "once")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Keep this private key")
    look(page, "key-made", scheme)
    assert overflow_on_a_phone(page) == 0
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the key file").click()
    saved = tmp_path / "only.key.txt"
    download.value.save_as(saved)
    (identity,) = read_key_file(saved.read_bytes())
    key = EncryptionKey.objects.get()
    assert (key.recipient, key.encrypted_identity) == (recipient_of(identity), "")

    backup = sealed_backup(tmp_path, key)
    page.get_by_role("link", name="I have kept it").click()
    expect(page.get_by_text("Only with you")).to_be_visible()
    look(page, "keys", scheme)
    assert overflow_on_a_phone(page) == 0
    page.goto(backup.get_absolute_url())
    look(page, "backup", scheme)
    page.goto(f"/backups/{backup.pk}/restore/?server=shop&target=copy.db")
    look(page, "restore", scheme)
    assert overflow_on_a_phone(page) == 0
    page.set_input_files("#key_file", saved)
    page.get_by_role("button", name="Restore into").click()
    page.wait_for_url("**/jobs/*/")
    assert identities_of(Job.objects.get()) == (identity,)


def test_the_kit_is_shown_and_handed_out(page: Page, tmp_path: Path, scheme: str) -> None:
    key = EncryptionKey(name="Kept", recipient="age1kept")
    key.identity = "AGE-SECRET-KEY-1KEPT"
    key.save()
    page.goto("/keys/recovery-kit/")
    look(page, "kit", scheme)
    assert overflow_on_a_phone(page) == 0
    assert "AGE-SECRET-KEY-1KEPT" not in page.content()
    page.fill("#password", "correct horse battery")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download with private keys").click()
    assert "AGE-SECRET-KEY-1KEPT" in download.value.path().read_text()
    page.goto(f"/keys/{key.pk}/private/")
    look(page, "private", scheme)
    assert overflow_on_a_phone(page) == 0
