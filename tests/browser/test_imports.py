"""A file from the reader's disk becomes a database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from dbadmin.backups import spool
from dbadmin.models import Database, Import, Job
from tests.browser.layout import overflow_on_a_phone
from tests.browser.test_chrome import violations
from tests.browser.test_operations import worker
from tests.factories import make_application
from tests.sqlite_file import make_sqlite_file, sqlite_database

pytestmark = pytest.mark.browser


@pytest.fixture
def shop(transactional_db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    for name in ("data", "found"):
        (tmp_path / name).mkdir()
    make_sqlite_file(tmp_path / "found" / "members.db")
    (tmp_path / "found" / "notes.txt").write_text("hello")
    monkeypatch.setattr(settings, "IMPORT_FOLDERS", [str(tmp_path / "found")])
    path = make_sqlite_file(tmp_path / "data" / "shop.db")
    yield sqlite_database(path, name="Shop", slug="shop", application=make_application(name="Store"))
    for folder in spool.root().glob("upload-*"):
        shutil.rmtree(folder)


def looks_right(page: Page) -> None:
    """On a wide screen and on a phone."""
    assert violations(page) == []
    assert overflow_on_a_phone(page) == 0


def test_a_file_is_uploaded_looked_at_and_imported(page: Page, shop: Database, tmp_path: Path) -> None:
    old = make_sqlite_file(tmp_path / "old shop.db", rows=7)
    page.goto("/backups/")
    page.get_by_role("link", name="Import").click()
    expect(page.get_by_label("File")).to_be_visible()
    looks_right(page)
    page.get_by_label("File").set_input_files(old)
    page.get_by_role("button", name="Upload and look at it").click()
    expect(page.get_by_text("A SQLite database.")).to_be_visible()
    looks_right(page)
    page.get_by_label("Name of the new database").fill("copy.db")
    page.get_by_role("button", name="Look ahead").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Ready to import")
    looks_right(page)
    page.get_by_role("button", name="Import into copy.db").click()
    page.wait_for_url("**/jobs/*/")
    with worker(Job.objects.get()):
        expect(page.get_by_role("link", name="Show the report")).to_be_visible()
    page.get_by_role("link", name="Show the report").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Imported: 1 table, 7 rows")
    looks_right(page)
    page.get_by_role("link", name="Register this database").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Add a database")


def test_what_cannot_be_imported_is_said_where_the_file_was_chosen(page: Page, shop: Database, tmp_path: Path) -> None:
    (tmp_path / "backup.dump").write_bytes(b"hello")
    page.goto("/imports/")
    page.get_by_label("File").set_input_files(tmp_path / "backup.dump")
    page.get_by_role("button", name="Upload and look at it").click()
    expect(page.get_by_role("alert").first).to_contain_text("no database dump that dbadmin knows")
    assert not Import.objects.exists()


def test_a_found_file_is_chosen(page: Page, shop: Database) -> None:
    page.goto("/imports/")
    expect(page.get_by_text("This is no database dump that dbadmin knows.")).to_be_visible()
    page.get_by_role("button", name="Choose members.db").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Where shall it go?")
    page.goto("/imports/")
    looks_right(page)
