from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from dbadmin.jobs.execution import execute
from dbadmin.models import (
    AppliedMigration,
    Backup,
    CheckResult,
    Database,
    Finding,
    Job,
    JobLogLine,
    MigrationStatus,
    Restore,
    Storage,
)
from dbadmin.text import Text
from tests.browser.layout import overflow
from tests.browser.test_chrome import violations
from tests.factories import make_application, make_backup, make_job, make_storage
from tests.sqlite_file import make_large_sqlite_file, sqlite_database

pytestmark = pytest.mark.browser
light_only = pytest.mark.parametrize("scheme", ["light"], indirect=True)


@pytest.fixture
def storage(transactional_db: None, tmp_path: Path) -> Storage:
    return make_storage(tmp_path / "archives", is_default=True)


@pytest.fixture
def shop(storage: Storage, tmp_path: Path) -> Database:
    path = make_large_sqlite_file(tmp_path / "shop.db", megabytes=20)
    return sqlite_database(path, name="Shop", slug="shop", application=make_application(name="Store"))


@pytest.fixture
def everything(shop: Database, storage: Storage) -> Backup:
    """Something of all that the pages show, good and bad."""
    now = timezone.now()
    facts = {
        "tables": {f"t{number}": number for number in range(30)},
        "objects": {"views": 2},
        "missing": ["rows of x"],
    }
    backup = make_backup(database=shop, storage=storage, facts=facts, state="damaged")
    make_backup(database=shop, storage=storage, verified_at=now)
    failed = make_job(database=shop, state="failed", started_at=now, message=Text("Full."), hint=Text("Free some."))
    Job.objects.filter(pk=failed.pk).update(error_class="StorageError", traceback="Traceback: x")
    for level in ("info", "warning", "error"):
        JobLogLine.objects.create(job=failed, text=Text("A line."), level=level)
    lines = [{"level": level, "object": "TABLE x", "message": "said"} for level in ("info", "warning", "error")]
    differences = [{"subject": "x", "expected": "7", "found": "6"}]
    times = {"started_at": now, "finished_at": now}
    Restore.objects.create(backup=backup, target="/x", state="different", lines=lines, differences=differences, **times)
    judged = {"database": shop, "message": Text("It is old."), "hint": Text("Back up.")}
    for number, verdict in enumerate(("ok", "warning", "critical", "unknown", "skipped")):
        CheckResult.objects.create(check_id=f"c{number}", verdict=verdict, checked_at=now, value=7.5, **judged)
    Finding.objects.create(check_id="c2", verdict="critical", opened_at=now, last_seen_at=now, **judged)
    problem = {"pending": 2, "problem": Text("A file is missing.")}
    MigrationStatus.objects.create(database=shop, tool="alembic", head="d552", applied=4, read_at=now, **problem)
    seen = {"first_seen_at": now, "last_seen_at": now, "disappeared_at": now}
    for state in ("applied", "pending", "file_missing", "modified", "failed", "rolled_back"):
        AppliedMigration.objects.create(database=shop, tool="alembic", revision=state, state=state, **seen)
    return backup


PATHS = [
    "/backups/",
    "/backups/?state=available&since=wrong",
    "/backups/?text=none",
    "/backups/{backup}/",
    "/backups/{backup}/restore/",
    "/backups/{backup}/restore/?server=shop&target=shop.db",
    "/backups/{backup}/replace/",
    "/backups/{backup}/replace/?database=shop&keep_hours=5",
    "/backups/{backup}/tables/",
    "/restores/{restore}/",
    "/jobs/",
    "/jobs/{job}/",
    "/health/",
    "/health/?database=shop&verdict=ok",
    "/migrations/",
    "/migrations/?database=shop",
    "/audit/",
]


def address(path: str, backup: Backup) -> str:
    return path.format(backup=backup.pk, restore=Restore.objects.get().pk, job=Job.objects.latest("pk").pk)


@pytest.mark.parametrize("path", PATHS)
def test_pages_are_accessible(page: Page, everything: Backup, path: str) -> None:
    page.goto(address(path, everything))
    assert violations(page) == []


@light_only
@pytest.mark.parametrize("path", PATHS)
def test_pages_fit_a_phone(page: Page, everything: Backup, path: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(address(path, everything))
    assert overflow(page) == 0
    expect(page.locator("h1:visible")).to_have_count(1)


@contextmanager
def worker(job: Job) -> Iterator[None]:
    """Work on the job in another thread, as another process would."""
    thread = Thread(target=execute, args=(job.pk,))
    thread.start()
    yield
    thread.join(30)
    assert not thread.is_alive()


def test_a_backup_is_started_watched_and_found(page: Page, shop: Database) -> None:
    page.goto("/databases/shop/")
    page.get_by_role("button", name="Back up now").first.click()
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    assert violations(page) == []
    with worker(Job.objects.get()):
        expect(page.get_by_role("link", name="Show the backup")).to_be_visible()
        expect(page.locator("#log")).to_contain_text("archive")
    expect(page.locator("[hx-get]")).to_have_count(0)
    expect(page.locator("#job-started time")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("link", name="Show the backup").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Store / Shop")
    expect(page.get_by_text("database.sqlite3.zst").first).to_be_visible()


@light_only
def test_a_backup_is_restored_beside_the_original_and_reported(page: Page, shop: Database, tmp_path: Path) -> None:
    page.goto("/databases/shop/")
    page.get_by_role("button", name="Back up now").first.click()
    page.wait_for_url("**/jobs/*/")
    execute(Job.objects.get().pk)
    page.get_by_role("link", name="Show the backup").click()
    page.get_by_role("link", name="Restore", exact=True).click()
    page.get_by_label("Name of the new copy").fill("copy.db")
    page.get_by_role("button", name="Look ahead").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Ready to restore")
    page.get_by_role("button", name="Restore into copy.db").click()
    page.wait_for_url("**/jobs/*/")
    with worker(Job.objects.get(kind="restore")):
        page.get_by_role("link", name="Show the report").click()
    assert Job.objects.get(kind="restore").state == "succeeded", Restore.objects.get().lines
    expect(page.get_by_role("heading", level=1)).to_have_text("Restored; everything is equal to the backup")
    assert (tmp_path / "copy.db").stat().st_size > 20_000_000


def test_a_backup_takes_the_place_of_the_original_and_is_undone(page: Page, shop: Database) -> None:
    page.goto("/databases/shop/")
    page.get_by_role("button", name="Back up now").first.click()
    page.wait_for_url("**/jobs/*/")
    execute(Job.objects.get(kind="backup").pk)
    page.get_by_role("link", name="Show the backup").click()
    page.get_by_role("link", name="Restore", exact=True).click()
    page.get_by_role("link", name="Replace what exists instead").click()
    page.get_by_role("button", name="Look ahead").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Ready to replace")
    assert violations(page) == []
    page.get_by_label("to replace it").fill(shop.name)
    page.get_by_role("button", name=f"Replace {shop.name}").click()
    page.wait_for_url("**/jobs/*/")
    with worker(Job.objects.get(kind="restore")):
        page.get_by_role("link", name="Show the report").click()
    row = Restore.objects.get()
    assert row.state == "exact", row.lines
    page.goto(row.get_absolute_url())
    expect(page.get_by_text("Can be undone until")).to_be_visible()
    assert violations(page) == []
    page.get_by_label("to undo the restore").fill(shop.name)
    page.get_by_role("button", name="Undo").click()
    page.wait_for_url("**/jobs/*/")
    with worker(Job.objects.get(kind="undo")):
        expect(page.get_by_text("is what it was before the restore")).to_be_visible(timeout=120_000)
    page.goto(row.get_absolute_url())
    expect(page.get_by_role("heading", level=1)).to_have_text("Undone; the database is what it was before")
    assert violations(page) == []


@light_only
def test_the_page_follows_the_figures_and_cancels(page: Page, shop: Database) -> None:
    now = timezone.now()
    job = make_job(database=shop, state="running", started_at=now, phase=Text("Copying"), done=25, total=100)
    page.goto(job.get_absolute_url())
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "25")
    Job.objects.update(done=60, current="public.orders")
    JobLogLine.objects.create(job=job, text=Text("A new line."))
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "60")
    expect(page.get_by_text("public.orders")).to_be_visible()
    expect(page.locator("#log")).to_have_text(re.compile("A new line."))
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Stopping")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


@light_only
def test_the_list_of_jobs_follows_them_too(page: Page, shop: Database) -> None:
    job = make_job(database=shop, state="running", started_at=timezone.now())
    page.goto("/jobs/")
    row = page.locator(f"#job-{job.pk}")
    expect(row).to_contain_text("Running")
    Job.objects.update(state="succeeded", message=Text("Done."))
    expect(row).to_contain_text("Done.")
    assert row.get_attribute("hx-get") is None


@light_only
def test_without_script_the_job_page_reloads_and_cancels(page: Page, shop: Database) -> None:
    job = make_job(database=shop)
    state = page.context.storage_state()
    assert page.context.browser is not None
    plain = page.context.browser.new_context(java_script_enabled=False, storage_state=state)
    reader = plain.new_page()
    reader.goto(f"{page.url.rstrip('/')}{job.get_absolute_url()}")
    expect(reader.get_by_role("link", name="Reload")).to_be_visible()
    reader.get_by_role("button", name="Cancel").click()
    expect(reader.locator("#job-live")).to_contain_text("Cancelled")
    plain.close()
