"""Single tables and single files put back in a real browser, without an accessibility complaint."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from dbadmin.backups.take import take_backup
from dbadmin.models import Backup, Database, Job, Restore
from dbadmin.progress import Silent
from tests.browser.test_chrome import violations
from tests.browser.test_operations import worker
from tests.factories import make_database, make_storage
from tests.sqlite_file import make_sqlite_file, sqlite_database

pytestmark = pytest.mark.browser


def take(database: Database, tmp_path: Path) -> Backup:
    storage = make_storage(tmp_path / "archives", is_default=True)
    return take_backup(database=database, storages=[storage], scope="full", progress=Silent())


def put_back(page: Page, backup: Backup, name: str) -> Restore:
    """Go from the backup to the report, as somebody would."""
    page.goto(f"/backups/{backup.pk}/restore/")
    page.get_by_role("link", name="Only some").click()
    page.get_by_label(name).check()
    assert violations(page) == []
    page.get_by_role("button", name="Replace the live ones").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Ready to replace")
    assert violations(page) == []
    page.get_by_label("to replace what is listed").fill(backup.database.name)
    page.get_by_role("button", name="Replace them").click()
    expect(page).to_have_url(Job.objects.get(kind="restore").get_absolute_url(), timeout=60_000)
    with worker(Job.objects.get(kind="restore")):
        expect(page.get_by_text("Succeeded").first).to_be_visible(timeout=60_000)
    row = Restore.objects.get()
    page.goto(row.get_absolute_url())
    expect(page.get_by_role("heading", level=1)).to_have_text("Restored; what was chosen is equal to the backup")
    assert violations(page) == []
    return row


def test_rows_of_a_table_are_put_back(page: Page, transactional_db: None, tmp_path: Path) -> None:
    path = make_sqlite_file(tmp_path / "shop.db", rows=40)
    with sqlite3.connect(path) as db:
        db.executescript(
            "CREATE TABLE prices (id INTEGER PRIMARY KEY, of REFERENCES releases);"
            "CREATE VIEW known AS SELECT title FROM releases;"
            "CREATE TRIGGER noted AFTER DELETE ON releases BEGIN SELECT 1; END"
        )
    database = sqlite_database(path, name="Shop", slug="shop")
    backup = take(database, tmp_path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE releases SET title = 'broken'")
    put_back(page, backup, "releases")
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM releases WHERE title = 'broken'").fetchone() == (0,)
    expect(page.get_by_role("link", name="Replace them from the safety backup")).to_be_visible()


def test_a_file_is_put_back(page: Page, transactional_db: None, tmp_path: Path) -> None:
    root = tmp_path / "config"
    root.mkdir()
    for name in ("a.json", "b.json"):
        (root / name).write_text('{"limit": 5, "token": "abc"}')
    settings = {"folder": str(root), "required": ["*.json"]}
    backup = take(make_database(engine="files", settings=settings, slug="config", name="Config"), tmp_path)
    (root / "a.json").write_text('{"limit": 9, "token": "def"}')
    put_back(page, backup, "a.json")
    assert '"limit": 5' in (root / "a.json").read_text()
    expect(page.get_by_text("Can be undone until")).to_be_visible()
