"""On a phone nothing is off the screen, in either language; what no other test opens is accessible to everybody."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from dbadmin.models import (
    AppliedMigration,
    Assertion,
    Backup,
    CheckResult,
    Destination,
    Drill,
    EncryptionKey,
    MigrationStatus,
    Orphan,
    Restore,
    ScheduleRun,
    StorageSample,
)
from dbadmin.roles import create_groups
from dbadmin.text import Text
from tests.browser.layout import overflow
from tests.browser.test_chrome import violations
from tests.factories import (
    make_application,
    make_backup,
    make_copy,
    make_database,
    make_job,
    make_retention,
    make_schedule,
    make_storage,
    make_worker,
)

pytestmark = pytest.mark.browser
light_only = pytest.mark.parametrize("scheme", ["light"], indirect=True)
LONG = "Orders-and-invoices-of-the-northern-branch"
LOOSE = "Nothing answers at backups.example.com, port 5432: Connection refused."
# What may be wider than a phone scrolls in a box of its own: charts and what programs print, never a table.
WIDE_TABLES = """() => [...document.querySelectorAll(".table-responsive")]
    .filter(box => box.scrollWidth > box.clientWidth + 1)
    .map(box => box.getAttribute("aria-label") || box.getAttribute("aria-labelledby"))"""
FOCUSED = """(e => [e.tagName + " " + e.className, getComputedStyle(e).outlineStyle, getComputedStyle(e).boxShadow])
    (document.activeElement)"""
LISTS = [
    "/", "/databases/", "/databases/orders/", "/databases/orders/?tab=backups", "/databases/orders/?tab=schedules",
    "/databases/orders/?tab=health", "/databases/orders/?tab=migrations", "/databases/orders/?tab=settings",
    "/databases/add/", "/backups/", "/backups/?text=none", "/backups/statistics/", "/backups/readiness/",
    "/backups/day/", "/drills/", "/imports/", "/schedules/", "/schedules/add/", "/retentions/", "/storages/",
    "/storages/add/?kind=s3", "/keys/", "/keys/add/", "/keys/recovery-kit/", "/jobs/", "/workers/", "/health/",
    "/migrations/", "/migrations/?database=orders", "/audit/",
]  # fmt: skip


@pytest.fixture
def backup(transactional_db: None) -> Backup:
    """One long row in every list."""
    create_groups()
    now = timezone.now()
    key = EncryptionKey.objects.create(name="Operations", recipient="age1" + "q" * 58)
    storage = make_storage(name=f"Vault {LONG}", is_default=True, problem=Text(LOOSE), is_offsite=True)
    storage.keys.add(key)
    database = make_database(name=LONG, slug="orders", application=make_application(name=f"Shop {LONG}"))
    backup = make_backup(
        database=database, storage=storage, key=f"orders/{now:%Y%m%dT%H%M%SZ}-full-1a2b3c4d", schema_head="alembic:c47d"
    )
    make_copy(backup=backup, storage=make_storage(name="Tokyo"), state="failed", message=Text(LOOSE), retry_at=now)
    Backup.objects.filter(pk=backup.pk).update(missing_copies=1)
    _happened(backup)
    return backup


def _happened(backup: Backup) -> None:
    now, database, storage = timezone.now(), backup.database, backup.storage
    schedule = make_schedule(name=f"Nightly {LONG}", expression="*/7 3-5,22 1,15 * FRI")
    Destination.objects.create(schedule=schedule, storage=storage, retention=make_retention(name=LONG))
    ScheduleRun.objects.create(schedule=schedule, database=database, due_at=now, state="missed", reason=Text(LOOSE))
    make_job(database=database, state="failed", message=Text(LOOSE), hint=Text(LOOSE), actor=LONG)
    make_worker(host=LONG)
    times = {"started_at": now, "finished_at": now}
    Drill.objects.create(backup=backup, kind="partial", state="failed", tables=[LONG], place=f"/srv/{LONG}", **times)
    Restore.objects.create(backup=backup, target=f"/srv/{LONG}", state="exact", **times)
    Assertion.objects.create(database=database, name=LONG, kind="count", sql="SELECT count(*) FROM orders")
    CheckResult.objects.create(
        database=database, check_id="reachable", verdict="critical", message=Text(LOOSE), value=7, checked_at=now
    )
    MigrationStatus.objects.create(database=database, tool="django", head=LONG, applied=4, read_at=now)
    seen = {"first_seen_at": now, "last_seen_at": now}
    AppliedMigration.objects.create(database=database, tool="django", revision=LONG, state="applied", **seen)
    Orphan.objects.create(storage=storage, key=f"orders/{LONG}", size=12345)
    for back in range(20):
        day = now.date() - timedelta(days=back)
        StorageSample.objects.create(storage=storage, day=day, used_bytes=back << 30, archives=9)


def details(backup: Backup) -> list[str]:
    drill, restore = Drill.objects.get(), Restore.objects.get()
    return [
        backup.get_absolute_url(),
        f"/backups/{backup.pk}/delete/",
        f"/backups/{backup.pk}/compare/",
        drill.get_absolute_url(),
        restore.get_absolute_url(),
        backup.storage.get_absolute_url(),
        "/databases/orders/assertions/add/",
    ]


@light_only
@pytest.mark.parametrize("language", ["en", "ja"])
def test_nothing_is_off_the_screen_of_a_phone(page: Page, backup: Backup, language: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.context.add_cookies([{"name": "django_language", "value": language, "url": page.url}])
    for path in (*LISTS, *details(backup)):
        page.goto(path)
        assert page.locator("html").get_attribute("lang") == language
        assert overflow(page) == 0, path
        assert page.evaluate(WIDE_TABLES) == [], path


@light_only
def test_a_row_on_a_phone_names_its_values(page: Page, backup: Backup) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/storages/")
    label = "getComputedStyle(document.querySelector('.table-cards td[data-label]'), '::before').content"
    assert "Archives" in page.evaluate(label)
    expect(page.get_by_text("Operations").first).to_be_in_viewport()


def test_what_no_other_test_opens_is_accessible(page: Page, backup: Backup) -> None:
    paths = ["/drills/", "/imports/", "/backups/readiness/", *details(backup)]
    found = {path: violations(page) for path in paths if page.goto(path)}
    assert {path: each for path, each in found.items() if each} == {}


@light_only
def test_the_keyboard_shows_where_it_is(page: Page, backup: Backup) -> None:
    page.goto("/backups/")
    seen = set()
    for _press in range(30):
        page.keyboard.press("Tab")
        name, outline, shadow = page.evaluate(FOCUSED)
        if name == "BODY ":  # the page has ended; the next press begins at its top
            continue
        seen.add(name)
        assert outline != "none" or shadow != "none", name
    assert len(seen) > 3


@light_only
def test_the_box_of_a_key_can_be_seen(page: Page, backup: Backup) -> None:
    page.goto("/storages/add/")
    box = page.get_by_label("Operations")
    assert page.evaluate("e => getComputedStyle(e).opacity", box.element_handle()) == "1"
    box.check()
