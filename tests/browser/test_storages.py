"""A bucket is added and tried on the page; the charts are readable for everybody."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from dbadmin.models import AuditEvent, Orphan, Schedule, ScheduleRun, Storage, StorageSample
from dbadmin.text import Text
from tests.browser.layout import overflow
from tests.browser.test_chrome import violations
from tests.factories import make_application, make_backup, make_copy, make_database, make_job, make_storage
from tests.storages.servers import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server, rclone_s3

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with rclone_s3(tmp_path_factory.mktemp("bucket")) as server:
        yield server


@pytest.fixture
def year(transactional_db: None) -> Storage:
    """A storage with a year of samples, and a database with good and bad days."""
    now = timezone.now()
    storage = make_storage(name="Vault", is_default=True, quota_bytes=400 << 30, cost_per_gigabyte="1", currency="EUR")
    database = make_database(name="Orders", slug="orders", application=make_application(name="Shop"))
    StorageSample.objects.bulk_create(
        StorageSample(storage=storage, day=now.date() - timedelta(days=back), used_bytes=(370 - back) << 30, archives=9)
        for back in range(365)
    )
    for back in range(0, 360, 3):
        at = now - timedelta(days=back)
        backup = make_backup(database=database, storage=storage, finished_at=at, size=(400 - back) << 20)
    make_copy(backup=backup, storage=make_storage(), state="failed", message=Text("Cut."), attempts=2, retry_at=now)
    make_copy(
        backup=make_backup(database=database), storage=storage, state="failed", message=Text("Cut."), retry_at=now
    )
    make_job(database=database, state="failed", created_at=now - timedelta(days=8), message=Text("The disk is full."))
    schedule = Schedule.objects.create(name="Nightly", expression="0 3 * * *")
    ScheduleRun.objects.create(
        schedule=schedule, database=database, due_at=now - timedelta(days=7), state="missed", settled_at=now
    )
    Orphan.objects.create(storage=storage, key="orders/20260101T000000Z-full-deadbeef", size=12345)
    Storage.objects.filter(pk=storage.pk).update(problem=Text("The disk is away."))
    return storage


def paths(storage: Storage) -> list[str]:
    day = timezone.localdate() - timedelta(days=8)
    return [
        "/storages/",
        f"/storages/{storage.pk}/",
        f"/storages/{storage.pk}/edit/",
        f"/storages/{storage.pk}/remove/",
        *(f"/storages/add/?kind={kind}" for kind in ("local", "s3", "gcs", "azure", "rclone")),
        "/backups/statistics/",
        "/backups/statistics/?database=orders",
        f"/backups/day/?day={day}",
        "/backups/readiness/",
    ]


def test_pages_are_accessible(page: Page, year: Storage) -> None:
    found = {}
    for path in paths(year):
        page.goto(path)
        for details in page.locator("main details").all():
            details.evaluate("each => each.open = true")
        found[path] = violations(page)
    assert {path: each for path, each in found.items() if each} == {}


@pytest.mark.parametrize("scheme", ["light"], indirect=True)
def test_pages_fit_a_phone(page: Page, year: Storage) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for path in paths(year):
        page.goto(path)
        assert overflow(page) == 0, path
        expect(page.locator("h1:visible")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light"], indirect=True)
def test_on_a_phone_the_newest_days_are_seen_first(page: Page, year: Storage) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/backups/statistics/")
    today = page.locator(f"rect:has(title:text('{timezone.localdate()}'))")
    box, chart = today.bounding_box(), page.locator(".graph-box").first.bounding_box()
    assert box
    assert chart
    assert chart["x"] <= box["x"] <= chart["x"] + chart["width"]


@pytest.mark.parametrize("scheme", ["light"], indirect=True)
def test_a_day_of_the_calendar_leads_to_its_list(page: Page, year: Storage) -> None:
    page.goto("/backups/statistics/")
    bad = timezone.localdate() - timedelta(days=8)
    page.locator(f"a[aria-label^='{bad}']").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{bad}")
    expect(page.get_by_text("The disk is full.")).to_be_visible()
    page.goto("/backups/statistics/")
    page.get_by_label("Day", exact=True).fill(f"{bad}")
    page.get_by_role("button", name="Show the day").click()
    expect(page.get_by_text("The disk is full.")).to_be_visible()


def described(page: Page, bucket: S3Server, *, secret: str) -> None:
    page.goto("/storages/add/?kind=s3")
    page.get_by_label("Bucket", exact=True).fill(BUCKET)
    page.get_by_label("Endpoint").fill(f"http://127.0.0.1:{bucket.port}")
    page.get_by_label("Access key").fill(ACCESS_KEY)
    page.get_by_label("Secret key").fill(secret)


@pytest.mark.parametrize("scheme", ["light"], indirect=True)
def test_a_bucket_is_tried_added_and_used(page: Page, bucket: S3Server) -> None:
    Storage.default()  # this machine's, which is the default until the bucket is
    described(page, bucket, secret=SECRET_KEY)
    page.get_by_role("button", name="Test").click()
    expect(page.get_by_role("heading", name="The connection works")).to_be_visible(timeout=120_000)
    expect(page.get_by_role("row", name="write OK")).to_contain_text("ms")
    assert violations(page) == []
    page.get_by_label("Name", exact=True).fill("Cloud")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Cloud")
    expect(page.get_by_text("stored, encrypted")).to_be_visible()
    assert SECRET_KEY not in page.content()
    page.get_by_role("button", name="Test").click()
    expect(page.get_by_role("heading", name="The connection works")).to_be_visible(timeout=120_000)
    page.get_by_role("button", name="Make default").click()
    expect(page.get_by_text("Backups that name no storage go to Cloud now.")).to_be_visible()
    storage = Storage.objects.get(name="Cloud")
    assert storage.is_default
    assert storage.secrets == {"secret_access_key": SECRET_KEY}
    assert not list(storage.backend().list())
    assert SECRET_KEY not in str(list(AuditEvent.objects.values()))


@pytest.mark.parametrize("scheme", ["dark"], indirect=True)
def test_a_wrong_secret_is_red_and_names_its_stage(page: Page, bucket: S3Server) -> None:
    described(page, bucket, secret="wrong")
    page.get_by_role("button", name="Test").click()
    expect(page.get_by_role("heading", name="The connection fails at: sign in")).to_be_visible(timeout=120_000)
    expect(page.get_by_label("Secret key")).to_have_value("wrong")
    assert violations(page) == []
    assert not Storage.objects.exists()


@pytest.mark.parametrize("scheme", ["light"], indirect=True)
def test_a_folder_of_the_host_is_refused_where_it_was_typed(page: Page, tmp_path: Path) -> None:
    page.goto("/storages/add/?kind=local")
    page.get_by_label("Folder").fill(str(tmp_path))
    page.get_by_role("button", name="Test").click()
    expect(page.get_by_text("From the web nothing is kept in")).to_be_visible()
    assert not Storage.objects.exists()
