"""Choosing where a backup is drilled, in a real browser, without an accessibility complaint."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from dbadmin.models import Job
from tests.browser.layout import overflow
from tests.browser.test_chrome import violations
from tests.factories import make_backup, make_database

pytestmark = pytest.mark.browser


def test_a_server_is_chosen_on_the_backups_page(page: Page) -> None:
    own = make_database(engine="postgresql", name="Shop", slug="shop", settings={"host": "db1", "name": "shop"})
    make_database(engine="postgresql", name="Stage", slug="stage", settings={"host": "db2", "name": "stage"})
    backup = make_backup(database=own)
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(backup.get_absolute_url())
    where = page.get_by_label("Place")
    expect(where.locator("option:checked")).to_have_text("A throw-away server on this machine (recommended)")
    where.select_option("stage")
    assert violations(page) == []
    assert overflow(page) == 0
    page.get_by_role("button", name="Drill there").click()
    page.wait_for_url("**/jobs/**")
    assert Job.objects.get(kind="drill").params["on"] == "stage"
