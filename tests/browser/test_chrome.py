from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Page, expect

from dbadmin.models import CheckResult, Database, Finding, Job, MigrationStatus
from dbadmin.roles import create_groups
from dbadmin.text import Text
from tests.browser.layout import overflow
from tests.factories import make_application, make_backup, make_database, make_job

pytestmark = pytest.mark.browser


@pytest.fixture
def orders(transactional_db: None) -> Database:
    """A database with something of everything that the pages show, and one with nothing."""
    create_groups()
    now = timezone.now()
    database = make_database(name="Orders", slug="orders", application=make_application(name="Shop"))
    make_backup(database=database, finished_at=now - timedelta(hours=40))
    make_job(database=database, state="failed", message=Text("The disk is full."), hint=Text("Free some space."))
    judged = {"database": database, "message": Text("It is too old."), "hint": Text("Back up now.")}
    CheckResult.objects.create(check_id="backup_freshness", verdict="warning", checked_at=now, **judged)
    Finding.objects.create(check_id="backup_freshness", verdict="warning", opened_at=now, last_seen_at=now, **judged)
    MigrationStatus.objects.create(database=database, tool="alembic", head="d5520aa4e9b8", applied=4, read_at=now)
    make_job(kind="health", database=make_database(name="Members", environment="staging"), state="running", total=9)
    return database


PATHS = [
    "/",
    "/databases/",
    "/databases/add/",
    "/databases/add/?from=url",
    "/databases/add/?from=env",
    "/databases/add/?from=environment",
    "/databases/add/?engine=files",
    "/databases/orders/",
    "/databases/orders/?tab=backups",
    "/databases/orders/?tab=health",
    "/databases/orders/?tab=migrations",
    "/databases/orders/?tab=settings",
    "/databases/orders/edit/",
    "/databases/orders/remove/",
    "/no/such/page/",
]
ADMIN_PATHS = ["/admin/", "/admin/auth/group/", "/admin/dbadmin/job/", "/admin/dbadmin/auditevent/"]


def violations(page: Page) -> list[str]:
    # axe would preload style sheets itself, and trips over the one that is imported into a layer.
    found = Axe().run(page, options={"preload": False})
    return [f"{v['id']}: {node['html'][:150]}" for v in found.response["violations"] for node in v["nodes"]]


def test_pages_are_accessible(page: Page, orders: Database) -> None:
    found = {path: violations(page) for path in (*PATHS, *ADMIN_PATHS) if page.goto(path)}
    assert {path: each for path, each in found.items() if each} == {}


@pytest.mark.parametrize("scheme", ["light"], indirect=True)
def test_pages_fit_a_phone_and_have_one_heading(page: Page, orders: Database) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for path in (*PATHS, *ADMIN_PATHS):
        page.goto(path)
        assert overflow(page) == 0, path
        expect(page.locator("h1:visible")).to_have_count(1)
        expect(page.locator("main")).to_have_count(1)


def test_the_login_page_is_accessible(page: Page) -> None:
    page.context.clear_cookies()
    page.goto("/login/")
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light"], indirect=True)
def test_the_navigation_opens_on_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/")
    databases = page.get_by_role("link", name="Databases", exact=True)
    expect(databases).not_to_be_visible()
    page.get_by_role("button", name="Show or hide the navigation").click()
    databases.click()
    expect(page).to_have_url("/databases/")
    assert page.locator("[aria-current=page]").text_content().strip() == "Databases"


@pytest.mark.parametrize("scheme", ["dark"], indirect=True)
def test_the_chosen_theme_lasts_and_holds_for_administration(page: Page) -> None:
    theme = "document.documentElement.dataset.bsTheme"
    assert page.evaluate(theme) == "dark"
    page.get_by_role("button", name="Light").click()
    page.goto("/admin/")
    assert page.evaluate(theme) == "light"
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"


@pytest.mark.parametrize("scheme", ["light"], indirect=True)
def test_the_language_switch_works(page: Page) -> None:
    page.get_by_role("button", name="日本語").click()
    expect(page.locator("html")).to_have_attribute("lang", "ja")


@pytest.mark.parametrize("scheme", ["light"], indirect=True)
def test_the_connection_test_keeps_what_was_typed(page: Page, tmp_path: Path) -> None:
    page.goto("/databases/add/?engine=sqlite")
    page.get_by_label("File").fill(str(tmp_path / "missing.sqlite3"))
    page.get_by_role("button", name="Test connection").click()
    expect(page.get_by_role("heading", name="The connection fails at")).to_be_visible()
    expect(page.get_by_label("File")).to_have_value(str(tmp_path / "missing.sqlite3"))


@pytest.mark.parametrize("scheme", ["light"], indirect=True)
def test_the_overview_follows_a_job_and_then_stops_asking(page: Page, orders: Database) -> None:
    page.goto("/")
    expect(page.get_by_role("heading", name="1 job is under way")).to_be_visible()
    Job.objects.filter(state="running").update(state="succeeded")
    expect(page.get_by_role("heading", name="1 job is under way")).not_to_be_visible()
    expect(page.locator("#active-jobs")).not_to_have_attribute("hx-get", "")
    assert page.locator("#active-jobs[hx-trigger]").count() == 0
