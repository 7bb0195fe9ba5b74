from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from dbadmin.jobs.clock import tick
from dbadmin.jobs.execution import execute
from dbadmin.models import Backup, Database, Destination, Job, Schedule, ScheduleRun, Storage
from dbadmin.text import Text
from tests.browser.layout import overflow
from tests.browser.test_chrome import violations
from tests.factories import make_application, make_backup, make_retention, make_schedule, make_storage
from tests.sqlite_file import make_sqlite_file, sqlite_database

pytestmark = pytest.mark.browser
light_only = pytest.mark.parametrize("scheme", ["light"], indirect=True)


@pytest.fixture
def storage(transactional_db: None, tmp_path: Path) -> Storage:
    return make_storage(tmp_path / "archives", is_default=True, name="Cellar")


@pytest.fixture
def shop(storage: Storage, tmp_path: Path) -> Database:
    path = make_sqlite_file(tmp_path / "shop.db")
    return sqlite_database(path, name="Shop", slug="shop", application=make_application(name="Store"))


@pytest.fixture
def busy(shop: Database, storage: Storage) -> Schedule:
    """Schedules of all kinds with runs of all states, and a retention that lets something go."""
    now = timezone.now()
    schedule = make_schedule(name="Nightly", time_zone="Europe/Berlin")
    make_schedule(name="Paused", enabled=False, kind="drill", target="label", label="eu")
    Destination.objects.create(schedule=schedule, storage=storage, retention=make_retention(name="Week"))
    for number, state in enumerate(("failed", "missed", "skipped", "waiting", "succeeded")):
        due, reason = now - timedelta(days=number), Text("It was not possible.")
        ScheduleRun.objects.create(schedule=schedule, database=shop, due_at=due, state=state, reason=reason)
    for day in range(20):
        at = now - timedelta(days=day, hours=1)
        make_backup(database=shop, storage=storage, schedule=schedule, started_at=at, finished_at=at)
    ScheduleRun.objects.filter(state="failed").update(due_at=now + timedelta(seconds=1))
    return schedule


PATHS = [
    "/schedules/",
    "/schedules/add/",
    "/schedules/add/?template=weekly",
    "/schedules/add/?database=shop",
    "/schedules/{pk}/",
    "/schedules/{pk}/?state=succeeded&since=wrong",
    "/schedules/{pk}/edit/",
    "/schedules/{pk}/remove/",
    "/retentions/",
    "/retentions/add/",
    "/retentions/{retention}/",
    "/retentions/{retention}/?show=go&database=shop",
    "/retentions/{retention}/edit/",
    "/retentions/{retention}/remove/",
    "/databases/shop/?tab=schedules",
    "/backups/{backup}/",
]


def address(path: str, busy: Schedule) -> str:
    retention = busy.destinations.get().retention_id
    return path.format(pk=busy.pk, retention=retention, backup=Backup.objects.latest("pk").pk)


@pytest.mark.parametrize("path", PATHS)
def test_pages_are_accessible(page: Page, busy: Schedule, path: str) -> None:
    page.goto(address(path, busy))
    assert violations(page) == []


@light_only
@pytest.mark.parametrize("path", PATHS)
def test_pages_fit_a_phone(page: Page, busy: Schedule, path: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(address(path, busy))
    assert overflow(page) == 0
    expect(page.locator("h1:visible")).to_have_count(1)


@light_only
def test_from_a_template_to_a_run_that_succeeded(page: Page, shop: Database) -> None:
    page.goto("/schedules/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing runs by itself yet")
    page.get_by_role("link", name="Daily full backup").click()
    preview = page.locator("#preview")
    expect(preview).to_contain_text("Every day at 03:00")
    page.get_by_label("At what time").fill("04:30")
    expect(preview).to_contain_text("Every day at 04:30")
    page.get_by_text("Cron expression").first.click()
    page.locator("#id_expression").fill("61 * * * *")
    expect(preview).to_contain_text("“61” is no minute that cron understands.")
    page.locator("#id_expression").fill("*/20 * * * *")
    page.get_by_label("Time zone").fill("Asia/Tokyo")
    expect(preview).to_contain_text("Every 20 minutes")
    expect(preview).to_contain_text("JST")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Daily full backup runs next")
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_text("Asked for 1 run.")).to_be_visible()
    expect(page.get_by_role("cell", name="Active")).to_be_visible()
    execute(Job.objects.get(kind="backup").pk)
    tick(timezone.now())
    page.reload()
    expect(page.get_by_role("cell", name="Succeeded")).to_be_visible()
    assert Backup.objects.get().schedule == Schedule.objects.get()
    assert violations(page) == []


@light_only
def test_only_the_fields_of_what_is_chosen_are_shown(page: Page, shop: Database) -> None:
    page.goto("/schedules/add/")
    expect(page.get_by_label("At minute")).to_be_hidden()
    page.get_by_text("Every hour", exact=True).click()
    expect(page.get_by_label("At minute")).to_be_visible()
    expect(page.get_by_text("Store / Shop")).to_be_visible()
    page.get_by_label("Of what").select_option("label")
    expect(page.get_by_text("Store / Shop")).to_be_hidden()
    expect(page.get_by_label("Label")).to_be_visible()
    page.get_by_label("What", exact=True).select_option("drill")
    expect(page.get_by_text("Where do the archives go")).to_be_hidden()


@light_only
def test_the_switch_pauses_and_resumes(page: Page, busy: Schedule) -> None:
    page.goto("/schedules/")
    switch = page.get_by_role("switch", name="Nightly runs by itself")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")


@light_only
def test_rules_are_tried_before_they_are_saved(page: Page, busy: Schedule) -> None:
    busy.runs.all().delete()
    page.goto(address("/retentions/{retention}/edit/", busy))
    page.get_by_label("One of each day, for (days)").fill("2")
    page.get_by_role("button", name="What would go?").click()
    expect(page.get_by_text("18 of 20 copies would go")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Week is saved.")).to_be_visible()
    expect(page.locator("circle.hollow")).to_have_count(18)
