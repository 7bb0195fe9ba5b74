from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from dbadmin.models import AuditEvent, Database, Job, Schedule, ScheduleRun
from dbadmin.text import Text
from tests.factories import make_backup, make_database, make_schedule
from tests.jobs.threads import at_once

NIGHT = datetime(2026, 3, 28, 2, tzinfo=UTC)


@pytest.fixture
def shop(db: None) -> Database:
    return make_database(name="Shop", slug="shop")


def make_run(schedule: Schedule, database: Database, **overrides: Any) -> ScheduleRun:
    defaults = {"due_at": NIGHT, "state": "succeeded"}
    return ScheduleRun.objects.create(schedule=schedule, database=database, **defaults | overrides)


def page(client: Client, address: str) -> str:
    return client.get(address).content.decode()


def test_without_a_schedule_the_usual_ones_are_offered(admin: Client, viewer: Client) -> None:
    assert "Nothing runs by itself yet" in page(viewer, reverse("schedules"))
    assert "?template=" not in page(viewer, reverse("schedules"))
    assert "?template=hourly" in page(admin, reverse("schedules"))
    form = page(admin, reverse("schedule-add") + "?template=hourly")
    assert 'value="Hourly full backup"' in form
    assert "Every hour at minute 15" in form


def test_the_list_says_what_is_next_in_the_schedule_s_zone(viewer: Client, shop: Database) -> None:
    due = timezone.now().replace(microsecond=0, second=0, minute=0) + timedelta(hours=30)
    make_schedule(name="Nightly", time_zone="Asia/Tokyo", next_due_at=due)
    shown = page(viewer, reverse("schedules"))
    assert "1 schedule runs; Nightly is next" in shown
    assert f"{due + timedelta(hours=9):%Y-%m-%d %H:%M} JST" in shown
    assert "Every day at 03:00" in shown


def test_what_was_missed_has_the_button_that_mends_it(operator: Client, shop: Database) -> None:
    schedule, other = make_schedule(name="Nightly"), make_database(name="Members")
    make_run(schedule, shop, state="missed", reason=Text("Nothing ran at that time."))
    make_run(schedule, other, state="failed", due_at=NIGHT - timedelta(days=1))
    make_run(schedule, other)
    shown = page(operator, reverse("schedules"))
    assert "1 schedule was missed or failed" in shown
    assert "Nothing ran at that time." in shown
    operator.post(reverse("schedule-run", args=[schedule.pk]), {"only": "unmended"})
    assert [job.database for job in Job.objects.filter(kind="backup")] == [shop]
    assert "Nothing was missed" in page(operator, reverse("schedules"))


def test_a_paused_schedule_goes_on_saying_what_failed(admin: Client, shop: Database) -> None:
    schedule = make_schedule(name="Minutely")
    make_run(schedule, shop, state="failed")
    admin.post(reverse("schedule-toggle", args=[schedule.pk]), {"enabled": "0"})
    shown = page(admin, reverse("schedules"))
    assert "1 schedule was missed or failed" in shown
    assert "Nothing mends this by itself while the schedule is paused." in shown
    admin.post(reverse("schedule-run", args=[schedule.pk]), {"only": "unmended"})
    assert "Nothing was missed" in page(admin, reverse("schedules"))


@pytest.mark.parametrize(("kind", "days", "left"), [("backup", 1, False), ("backup", -1, True), ("drill", 1, True)])
def test_a_newer_full_backup_mends_a_paused_backup_and_no_drill(
    viewer: Client, shop: Database, kind: str, days: int, left: bool
) -> None:
    make_run(make_schedule(enabled=False, kind=kind), shop, state="missed")
    begun = NIGHT + timedelta(days=days)
    make_backup(database=shop, started_at=begun, finished_at=begun)
    assert ("Nothing was missed" not in page(viewer, reverse("schedules"))) is left


def test_a_zone_that_is_unknown_here_breaks_no_page(admin: Client, shop: Database) -> None:
    schedule = make_schedule(name="Nightly", time_zone="Mars/Base", expression="0 3 * * *", next_due_at=timezone.now())
    make_run(schedule, shop, state="missed")
    shown = "2026-03-28 02:00 UTC (time zone Mars/Base is unknown here)"
    assert shown in page(admin, reverse("schedules"))
    assert shown in page(admin, schedule.get_absolute_url())
    assert "Nightly does not run" in page(admin, schedule.get_absolute_url())
    assert shown in page(admin, f"{shop.get_absolute_url()}?tab=schedules")
    assert "There is no such time zone." in page(admin, reverse("schedule-edit", args=[schedule.pk]))
    asked = admin.post(reverse("schedule-run", args=[schedule.pk]), follow=True)
    assert "Asked for 1 run." in asked.content.decode()
    admin.post(reverse("schedule-toggle", args=[schedule.pk]), {"enabled": "0"})
    assert Schedule.objects.filter(enabled=False, next_due_at=None).exists()
    admin.post(reverse("schedule-remove", args=[schedule.pk]))
    assert not Schedule.objects.exists()


def test_a_zone_that_is_unknown_here_is_told_when_it_should_run_again(admin: Client) -> None:
    schedule = make_schedule(name="Nightly", time_zone="Mars/Base", enabled=False)
    told = admin.post(reverse("schedule-toggle", args=[schedule.pk]), {"enabled": "1"}, follow=True)
    assert "There is no time zone “Mars/Base”." in told.content.decode()
    schedule.refresh_from_db()
    assert not schedule.enabled


def test_the_pages_say_no_next_run_where_the_zone_is_unknown_here(admin: Client, shop: Database) -> None:
    at = timezone.now() + timedelta(hours=30)
    schedule = make_schedule(name="Martian", time_zone="Mars/Base", next_due_at=at)
    other = make_schedule(name="Nightly", time_zone="Asia/Tokyo", next_due_at=at + timedelta(days=1))
    listed = page(admin, reverse("schedules"))
    assert "1 schedule runs; Nightly is next" in listed
    for shown in (listed, page(admin, f"{shop.get_absolute_url()}?tab=schedules")):
        assert "There is no time zone “Mars/Base”." in shown
        assert f"{at:%Y-%m-%d %H:%M}" not in shown
        assert reverse("schedule-edit", args=[schedule.pk]) in shown
        assert f"{at + timedelta(hours=33):%Y-%m-%d %H:%M} JST" in shown
    other.delete()
    assert "1 schedule is on, but nothing runs by itself" in page(admin, reverse("schedules"))


NOBODY: list[dict[str, Any]] = [{"target": "databases"}, {"target": "label", "label": "large"}, {"target": "all"}]


@pytest.mark.parametrize("covered", [*NOBODY, {"target": "application"}])
def test_a_schedule_for_no_database_says_that_nothing_runs(
    admin: Client, viewer: Client, shop: Database, covered: dict[str, Any]
) -> None:
    given = {"application": shop.application} if covered["target"] == "application" else {}
    schedule = make_schedule(name="Aged", **covered, **given)
    schedule.databases.set([shop] if covered["target"] == "databases" else [])
    Database.objects.update(labels="eu, large")
    for address in (reverse("schedules"), schedule.get_absolute_url()):
        assert "nothing runs" not in page(admin, address)
    assert "1 schedule runs; Aged is next" in page(admin, reverse("schedules"))
    Database.objects.update(removed_at=timezone.now())
    shown = page(admin, schedule.get_absolute_url())
    assert "Aged is for no database: nothing runs" in shown
    assert "coming-time" not in shown
    listed = page(admin, reverse("schedules"))
    assert "1 schedule is on, but nothing runs by itself" in listed
    assert ("so nothing runs." in listed) is (covered["target"] != "label")
    assert ("No database has the label “large” now" in listed) is (covered["target"] == "label")
    assert reverse("schedule-edit", args=[schedule.pk]) in listed
    assert reverse("schedule-edit", args=[schedule.pk]) not in page(viewer, reverse("schedules"))


def test_running_now_asks_for_all_databases_and_is_recorded(operator: Client, shop: Database) -> None:
    schedule = make_schedule(enabled=False)
    make_database()
    shown = operator.post(reverse("schedule-run", args=[schedule.pk]), follow=True).content.decode()
    assert "Asked for 2 runs." in shown
    assert ScheduleRun.objects.filter(schedule=schedule, state="active").count() == 2
    assert AuditEvent.objects.filter(action="schedule.run").exists()


def test_a_second_click_joins_the_first(operator: Client, shop: Database) -> None:
    schedule = make_schedule(name="Nightly")
    address = reverse("schedule-run", args=[schedule.pk])
    assert "Asked for 1 run." in operator.post(address, follow=True).content.decode()
    assert (
        "This is already under way for Nightly; nothing more was started."
        in operator.post(address, follow=True).content.decode()
    )
    assert (ScheduleRun.objects.count(), Job.objects.filter(kind="backup").count()) == (1, 1)
    assert AuditEvent.objects.filter(action="schedule.run").count() == 1


@pytest.mark.django_db(transaction=True)
def test_four_clicks_at_once_are_one(operator: Client, shop: Database) -> None:
    address = reverse("schedule-run", args=[make_schedule().pk])
    make_database()
    answers = at_once(4, lambda: operator.post(address).status_code)
    assert answers == [302] * 4
    assert (ScheduleRun.objects.count(), Job.objects.filter(kind="backup").count()) == (2, 2)


def test_a_schedule_for_nothing_says_so(operator: Client) -> None:
    schedule = make_schedule(name="Empty")
    shown = operator.post(reverse("schedule-run", args=[schedule.pk]), follow=True).content.decode()
    assert "“Empty” is for no database." in shown


def test_the_list_costs_the_same_for_many_runs(viewer: Client, shop: Database) -> None:
    def cost() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            viewer.get(reverse("schedules"))
        return len(queries)

    covered = [{}, *NOBODY, {"target": "application", "application": shop.application}, {"time_zone": "Mars/Base"}]
    for each in covered:
        make_run(make_schedule(**each), shop)
    first = cost()
    for number in range(20):
        schedule = make_schedule(**covered[number % len(covered)])
        for day in range(20):
            make_run(schedule, shop, due_at=NIGHT + timedelta(days=day, hours=number))
    assert cost() == first


def test_pausing_and_resuming_are_recorded(admin: Client, shop: Database) -> None:
    schedule = make_schedule(name="Nightly")
    address = reverse("schedule-toggle", args=[schedule.pk])
    for _twice in range(2):
        admin.post(address, {"enabled": "0"})
    schedule.refresh_from_db()
    assert (schedule.enabled, schedule.next_due_at) == (False, None)
    assert "Nightly is paused" in page(admin, schedule.get_absolute_url())
    assert admin.post(address, {"enabled": "1", "back": "list"}).headers["Location"] == reverse("schedules")
    schedule.refresh_from_db()
    assert schedule.next_due_at is not None
    events = AuditEvent.objects.filter(action__startswith="schedule.").order_by("pk")
    assert [event.action for event in events] == ["schedule.pause", "schedule.resume"]


def test_runs_are_filtered(viewer: Client, shop: Database) -> None:
    schedule = make_schedule(time_zone="Europe/Berlin")
    make_run(schedule, shop, state="missed", reason=Text("Nothing ran at that time."))
    make_run(schedule, shop, due_at=NIGHT + timedelta(days=2))
    missed = page(viewer, schedule.get_absolute_url() + "?state=missed")
    assert "2026-03-28 03:00 CET" in missed
    assert "2026-03-30 04:00 CEST" not in missed
    assert "No run is like that" in page(viewer, schedule.get_absolute_url() + "?state=failed")


def test_the_database_page_shows_its_schedules(viewer: Client, shop: Database) -> None:
    Database.objects.filter(pk=shop.pk).update(labels="nightly, eu")
    every, labelled = make_schedule(name="For all"), make_schedule(name="For eu", target="label", label="eu")
    make_schedule(name="Not this one", target="label", label="e")
    make_run(every, shop, state="failed")
    shown = page(viewer, f"{shop.get_absolute_url()}?tab=schedules")
    assert every.get_absolute_url() in shown
    assert labelled.get_absolute_url() in shown
    assert "Not this one" not in shown
    assert "Failed" in shown
