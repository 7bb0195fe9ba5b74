"""The comparison in a real browser: from the backup's page to what differs, without an accessibility complaint."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from dbadmin.backups.compare import compare_backup
from dbadmin.backups.take import take_backup
from dbadmin.models import Comparison, Database
from dbadmin.progress import Silent
from tests.browser.layout import overflow
from tests.browser.test_chrome import violations
from tests.factories import make_application, make_database, make_storage
from tests.sqlite_file import make_sqlite_file, sqlite_database

pytestmark = pytest.mark.browser


@pytest.fixture
def shop(transactional_db: None, tmp_path: Path) -> Database:
    path = make_sqlite_file(tmp_path / "shop.db", rows=40)
    with sqlite3.connect(path) as db:
        db.executescript(
            "CREATE TABLE prices (id INTEGER PRIMARY KEY, yen INT, note TEXT); CREATE INDEX yen ON prices (yen)"
        )
        db.executemany("INSERT INTO prices (yen, note) VALUES (?, ?)", [(n * 100, f"n{n}") for n in range(30)])
        db.execute("CREATE TABLE same (id INTEGER PRIMARY KEY)")
    return sqlite_database(path, name="Shop", slug="shop", application=make_application(name="Store"))


def change(database: Database) -> None:
    with sqlite3.connect(database.settings["path"]) as db:
        db.executescript(
            "DROP INDEX yen; CREATE INDEX yen ON prices (yen DESC); ALTER TABLE prices DROP COLUMN note;"
            "DELETE FROM releases WHERE id < 4; UPDATE releases SET title = 'x' WHERE id = 9;"
            "INSERT INTO releases (title) VALUES ('new'); CREATE VIEW cheap AS SELECT * FROM prices WHERE yen < 500"
        )


def compared(database: Database, tmp_path: Path) -> Comparison:
    backup = take_backup(
        database=database, storages=[make_storage(tmp_path / "archives")], scope="full", progress=Silent()
    )
    if database.engine == "sqlite":
        change(database)
    else:
        path = Path(database.settings["folder"]) / "a.json"
        path.write_text(json.dumps({"token": "new", "list": [1, {"deep": "other"}, 3], "added": {"a": 1}}))
    return compare_backup(backup=backup, other=None, content=True, progress=Silent())


def test_a_comparison_can_be_read_by_everybody(page: Page, shop: Database, tmp_path: Path) -> None:
    row = compared(shop, tmp_path)
    page.goto(row.get_absolute_url())
    expect(page.locator("h1")).to_have_text("2 tables, 1 index and 1 other object differ")
    page.locator("details").first.locator("summary").click()
    expect(page.get_by_text("id=9", exact=True)).to_be_visible()
    assert violations(page) == []
    page.goto(row.left.get_absolute_url())
    page.get_by_role("link", name="Compare").click()
    expect(page.locator("h1")).to_have_text("What shall it be compared with?")
    assert violations(page) == []
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.locator("h1")).to_contain_text("Compare")


@pytest.mark.parametrize("scheme", ["light"], indirect=True)
def test_json_is_shown_key_by_key(page: Page, transactional_db: None, tmp_path: Path) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps({"token": "old", "list": [1, {"deep": "one"}], "gone": None}))
    database = make_database(engine="files", settings={"folder": str(folder), "required": ["*.json"]})
    page.goto(compared(database, tmp_path).get_absolute_url())
    expect(page.locator("h1")).to_have_text("1 file differs")
    expect(page.get_by_text("list[1].deep")).to_be_visible()
    assert "old" not in page.locator("main").inner_text().split()
    assert violations(page) == []
    assert overflow(page) == 0
