from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dbadmin.backups.forecast import forecast, slope
from dbadmin.backups.statistics import calendar, gather
from dbadmin.models import Database, Drill, Schedule, ScheduleRun, Storage, StorageSample
from dbadmin.text import Text
from tests.factories import make_backup, make_copy, make_database, make_job, make_storage

HOSTILE = "<script>alert('x')</script>"
NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def counted_anew() -> None:
    cache.clear()


def text(client: Client, path: str, **params: str) -> str:
    return client.get(path, params).content.decode()


def missed(database: Database, at: datetime, **overrides: Any) -> ScheduleRun:
    schedule, _ = Schedule.objects.get_or_create(name="Nightly", defaults={"expression": "0 3 * * *"})
    return ScheduleRun.objects.create(schedule=schedule, database=database, due_at=at, state="missed", **overrides)


def test_every_day_counts_what_was_made_what_failed_and_what_was_missed(db: None) -> None:
    database = make_database()
    make_backup(database=database, finished_at=NOW)
    make_backup(database=database, finished_at=NOW, state="deleted")
    make_job(database=database, state="failed", created_at=NOW - timedelta(days=1))
    make_job(database=database, kind="drill", state="failed", created_at=NOW)
    missed(database, NOW - timedelta(days=364))
    missed(database, NOW - timedelta(days=365))
    days = calendar(NOW)
    assert len(days) == 365
    assert (days[-1].made, days[-1].failed, days[-2].failed) == (2, 0, 1)
    assert (days[0].missed, sum(day.missed for day in days)) == (1, 1)
    assert calendar(NOW, database=make_database())[-1].made == 0


@pytest.mark.parametrize(("zone", "day"), [("Asia/Tokyo", 2), ("America/New_York", 1), ("UTC", 1)])
def test_days_are_those_of_the_reader(db: None, zone: str, day: int) -> None:
    make_backup(finished_at=datetime(2026, 3, 1, 20, tzinfo=UTC))
    with timezone.override(zone):
        [found] = [each for each in calendar(NOW) if each.made]
    assert found.day.day == day


def test_the_day_the_clocks_change_loses_nothing(db: None) -> None:
    for hour in range(24):
        make_backup(finished_at=datetime(2026, 3, 29, hour, 30, tzinfo=UTC))
    with timezone.override("Europe/Berlin"):
        made = {day.day.day: day.made for day in calendar(NOW)[-3:]}
    assert made == {29: 22, 30: 2, 31: 0}


def test_the_trend_is_the_newest_full_backup_of_each_week(db: None) -> None:
    database = make_database()
    for weeks, size in ((3, 100), (1, 300), (0, 500)):
        at = NOW - timedelta(weeks=weeks, hours=1)
        make_backup(database=database, size=size, finished_at=at, started_at=at - timedelta(seconds=9))
    make_backup(database=database, size=9, scope="schema", finished_at=NOW - timedelta(minutes=9))
    [row] = gather(NOW).rows
    assert list(row.trend.sizes[-4:]) == [100, None, 300, 500]
    assert row.trend.newest_seconds == 9
    assert row.trend.per_month is not None
    assert 400 < row.trend.per_month < 800


def test_figures_cost_the_same_number_of_queries_whatever_there_is(db: None) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            gather(timezone.now())
            calendar(timezone.now())
        return len(queries)

    make_backup()
    before = count()
    for _ in range(5):
        make_backup(storage=make_storage())
    assert count() == before <= 6


def test_a_line_is_laid_through_what_was_used() -> None:
    samples = [(NOW.date() + timedelta(days=day), 100 + 5 * day) for day in range(30)]
    assert slope(samples) == pytest.approx(5)
    assert forecast(samples, room=100).full_in == pytest.approx(20)
    assert str(forecast(samples, room=100).words) == "Full in about 3 weeks."


@pytest.mark.parametrize(
    ("room", "said"),
    [
        (0, "It is full."),
        (3, "Full within a day."),
        (25, "Full in about 5 days."),
        (750, "Full in about 5 months."),
        (5_000, "Full in about 3 years."),
        (50_000, "Room for more than ten years."),
        (None, "It grows; how much room there is is not known."),
    ],
)
def test_the_forecast_is_said_in_words(room: int | None, said: str) -> None:
    samples = [(NOW.date() + timedelta(days=day), 5 * day) for day in range(30)]
    assert str(forecast(samples, room=room).words) == said


def test_nothing_is_foretold_from_too_little_and_nothing_from_what_shrinks() -> None:
    week = [(NOW.date() + timedelta(days=day), 100 - day) for day in range(30)]
    assert str(forecast(week[:7], room=50).words) == "No forecast before a week has been measured."
    assert str(forecast(week, room=50).words) == "It does not grow."
    assert forecast((), room=None).per_day is None


def test_the_page_shows_a_year_and_leads_to_each_day(viewer: Client) -> None:
    backup = make_backup()
    missed(backup.database, timezone.now())
    page = text(viewer, "/backups/statistics/")
    today = f"{timezone.localdate():%Y-%m-%d}"
    assert f"/backups/day/?day={today}" in page
    assert f"{today}: 1 backup, 1 missed" in page
    assert page.count('<rect class="none"') == 364 + 1  # and one of the legend
    assert "As a table" in page
    one = text(viewer, "/backups/statistics/", database=backup.database.slug)
    assert f"day={today}&amp;database={backup.database.slug}" in one


def test_an_empty_catalogue_has_statistics_too(viewer: Client) -> None:
    for path in ("/backups/statistics/", "/backups/day/", "/backups/readiness/", "/storages/"):
        assert viewer.get(path).status_code == 200


def test_a_day_lists_what_became_of_it(viewer: Client) -> None:
    now = timezone.now()
    backup = make_backup(finished_at=now)
    make_job(database=backup.database, state="failed", message=Text("The disk is full."), created_at=now)
    missed(backup.database, now, reason=Text("Nothing ran."))
    page = text(viewer, "/backups/day/", day=f"{timezone.localdate():%Y-%m-%d}")
    for words in ("1 backup", "The disk is full.", "Nothing ran.", "Nightly"):
        assert words in page
    assert "No backup was made" in text(viewer, "/backups/day/", day="2020-02-29")


@pytest.mark.parametrize("day", ["", "2026-02-31", "yesterday", HOSTILE])
def test_a_day_that_is_none_is_today(viewer: Client, day: str) -> None:
    page = viewer.get("/backups/day/", {"day": day})
    assert page.status_code == 200
    assert HOSTILE not in page.content.decode()


def test_costs_are_added_up_by_currency(viewer: Client) -> None:
    for currency, price in (("EUR", "1"), ("EUR", "2"), ("JPY", "300")):
        make_backup(size=1 << 30, storage=make_storage(cost_per_gigabyte=price, currency=currency))
    page = text(viewer, "/backups/statistics/")
    assert "3.00 EUR" in page
    assert "300.00 JPY" in page


def test_hostile_names_are_text(viewer: Client) -> None:
    backup = make_backup(database=make_database(name=HOSTILE), storage=make_storage(name=HOSTILE))
    make_job(database=backup.database, state="failed", message=Text("{x}", x=HOSTILE))
    missed(backup.database, timezone.now(), reason=Text("{x}", x=HOSTILE))
    for path in ("/backups/statistics/", "/backups/day/", "/backups/readiness/"):
        page = text(viewer, path)
        assert HOSTILE not in page
        assert "&lt;script&gt;" in page


def test_a_disaster_page_names_the_next_step(operator: Client) -> None:
    make_database(name="Lost")
    assert "There is no verified full backup." in text(operator, "/backups/readiness/")
    backup = make_backup(database=Database.objects.get(), storage=make_storage(name="Here"))
    assert "a second storage is missing, in another place" in text(operator, "/backups/readiness/")
    second = make_storage(name="There")
    make_copy(backup=backup, storage=second)
    assert "fire or theft" in text(operator, "/backups/readiness/")
    Storage.objects.filter(pk=second.pk).update(is_offsite=True)
    assert "Drill now" in text(operator, "/backups/readiness/")
    now = timezone.now()
    Drill.objects.create(backup=backup, state="proven", started_at=now, finished_at=now, restore_seconds=9000)
    assert "150.0 minutes" in text(operator, "/backups/readiness/")
    Drill.objects.update(restore_seconds=9)
    assert "1 database would survive a disaster" in text(operator, "/backups/readiness/")


def test_a_copy_counts_only_while_it_is_recent_there_and_well(viewer: Client) -> None:
    old = timezone.now() - timedelta(hours=30)
    backup = make_backup(finished_at=old, started_at=old)
    recent = make_backup(database=backup.database, storage=backup.storage)
    away = make_storage(is_offsite=True, name="Away")
    make_copy(backup=backup, storage=away)
    assert "too old" in text(viewer, "/backups/readiness/")
    copy = make_copy(backup=recent, storage=away, state="waiting")
    assert "too old" in text(viewer, "/backups/readiness/")
    copy.state = "stored"
    copy.save()
    assert "too old" not in text(viewer, "/backups/readiness/")
    Storage.objects.filter(pk=away.pk).update(problem=Text("The disk is full."))
    assert "has a problem" not in text(viewer, "/backups/readiness/")
    Storage.objects.filter(pk=away.pk).update(problem=Text("The disk is gone."), is_away=True)
    assert "has a problem, which its page names" in text(viewer, "/backups/readiness/")


def test_the_shares_of_a_storage_are_those_of_now(viewer: Client) -> None:
    backup = make_backup(database=make_database(name="First"))
    page = backup.storage.get_absolute_url()
    assert "First" in text(viewer, page)
    make_backup(database=make_database(name="Second"), storage=backup.storage)
    assert "Second" in text(viewer, page)


def test_what_grows_is_drawn_with_the_forecast_dashed(viewer: Client) -> None:
    storage = make_storage()
    today = timezone.localdate()
    StorageSample.objects.bulk_create(
        StorageSample(storage=storage, day=today - timedelta(days=20 - day), used_bytes=day << 30, archives=day)
        for day in range(20)
    )
    page = text(viewer, storage.get_absolute_url())
    assert 'aria-labelledby="growth-' in page
    assert 'class="line ahead" points="' in page


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01"])
def test_a_day_at_the_end_of_time_is_today(viewer: Client, day: str) -> None:
    assert viewer.get("/backups/day/", {"day": day}).status_code == 200
