from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from dbadmin.archives.age import new_identity
from dbadmin.models import AuditEvent, Database, EncryptionKey, Job, Schedule, ScheduleRun, Storage
from dbadmin.text import Text
from tests.factories import make_backup, make_database, make_retention, make_schedule, make_storage
from tests.jobs.threads import at_once

NIGHT = datetime(2026, 3, 28, 2, tzinfo=UTC)


@pytest.fixture
def storage(db: None) -> Storage:
    return make_storage(is_default=True, name="Cellar")


@pytest.fixture
def shop(db: None) -> Database:
    return make_database(name="Shop", slug="shop")


def make_run(schedule: Schedule, database: Database, **overrides: Any) -> ScheduleRun:
    defaults = {"due_at": NIGHT, "state": "succeeded"}
    return ScheduleRun.objects.create(schedule=schedule, database=database, **defaults | overrides)


def given(storage: Storage, **overrides: Any) -> dict[str, Any]:
    daily = {"every": "day", "time": "03:00", "time_zone": "Europe/Berlin"}
    what = {"name": "Nightly", "kind": "backup", "target": "all", f"storage_{storage.pk}": "on"}
    return daily | what | overrides


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


def test_a_schedule_is_made_changed_and_removed(admin: Client, shop: Database, storage: Storage) -> None:
    retention = make_retention()
    admin.post(reverse("schedule-add"), given(storage, **{f"retention_{storage.pk}": retention.pk}))
    schedule = Schedule.objects.get()
    assert (schedule.expression, schedule.time_zone, schedule.retries) == ("0 3 * * *", "Europe/Berlin", 2)
    assert schedule.next_due_at is not None
    assert schedule.next_due_at > timezone.now()
    assert schedule.destinations.get().retention == retention
    backup = make_backup(database=shop, storage=storage, schedule=schedule)
    address = reverse("schedule-edit", args=[schedule.pk])
    assert 'value="day" class="form-selectgroup-input" id="id_every_1" checked' in page(admin, address).replace(
        "required ", ""
    )
    changed = {"every": "week", "weekdays": ["1", "3"], "time": "04:30", "target": "databases", "databases": [shop.pk]}
    admin.post(address, given(storage, **changed))
    schedule.refresh_from_db()
    assert (schedule.expression, list(schedule.databases.all())) == ("30 4 * * 1,3", [shop])
    assert schedule.destinations.get().retention is None
    assert "All" not in page(admin, reverse("schedule-remove", args=[schedule.pk])).partition("<main")[2]
    admin.post(reverse("schedule-remove", args=[schedule.pk]), {"reason": "moved"})
    backup.refresh_from_db()
    assert (backup.schedule, Schedule.objects.count()) == (None, 0)
    events = AuditEvent.objects.filter(action__startswith="schedule.").order_by("pk")
    assert [event.action for event in events] == ["schedule.add", "schedule.change", "schedule.remove"]


def test_storages_for_different_keys_that_are_not_here_are_warned_of(
    admin: Client, storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_storage(name="Vault")
    pairs = [new_identity(), new_identity()]
    for place, (_identity, recipient) in zip((storage, other), pairs, strict=True):
        place.keys.add(EncryptionKey.objects.create(name=f"Of {place.name}", recipient=recipient))
    said = "“Cellar” and “Vault” are encrypted for different keys"
    form = given(storage, **{f"storage_{other.pk}": "on"})
    assert said in admin.post(reverse("schedule-add"), form, follow=True).content.decode()
    command = ("schedules", "edit", "Nightly", "--storage", "Cellar", "--storage", "Vault")
    call_command(*command)
    assert said in capsys.readouterr().out
    private = EncryptionKey.objects.get(name="Of Vault")
    private.identity = pairs[1][0]
    private.save()
    call_command(*command)
    assert said not in capsys.readouterr().out
    EncryptionKey.objects.update(encrypted_identity="")
    other.keys.set(storage.keys.all())
    call_command(*command)
    assert said not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"every": "cron", "expression": "61 * * * *"}, "“61” is no minute that cron understands."),
        ({"time_zone": "Mars/Olympus"}, "There is no such time zone."),
        ({"target": "label"}, "Write the label."),
        ({"target": "databases"}, "Choose at least one database."),
        ({"target": "databases", "databases": "9" * 24}, f"{'9' * 24} is not one of the available choices."),
        ({"target": "databases", "databases": "9" * 5000}, "is not a valid value."),
        ({"target": "application", "application": "9" * 24}, "That choice is not one of the available choices."),
        ({"retries": "101"}, "less than or equal to 100"),
        ({"retry_minutes": "2147483647"}, "less than or equal to 1440"),
        ({"start_window_minutes": "43201"}, "less than or equal to 43200"),
        ({"deadline_minutes": "99999999999999999999"}, "less than or equal to 43200"),
        ({"name": ""}, "This field is required."),
        ({"name": "two\nlines"}, "Write it on one line"),
        ({"target": "label", "label": "a\tb"}, "Write it on one line"),
        ({"retries": "-1"}, "greater than or equal to 0"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_saved(
    admin: Client, storage: Storage, wrong: dict[str, Any], said: str
) -> None:
    assert said in admin.post(reverse("schedule-add"), given(storage, **wrong)).content.decode()
    assert not Schedule.objects.exists()


def test_a_retention_that_cannot_be_is_none_of_the_choices(admin: Client, storage: Storage) -> None:
    form = given(storage, **{f"retention_{storage.pk}": "9" * 24})
    assert "not one of the available choices" in admin.post(reverse("schedule-add"), form).content.decode()
    assert not Schedule.objects.exists()


def test_a_label_that_nobody_has_is_taken_and_told(admin: Client, storage: Storage, shop: Database) -> None:
    labelled = given(storage, target="label", label="large")
    saved = admin.post(reverse("schedule-add"), labelled, follow=True).content.decode()
    assert "No database has the label “large” now" in saved
    Database.objects.update(labels="large")
    saved = admin.post(reverse("schedule-add"), labelled | {"name": "Another"}, follow=True).content.decode()
    assert "No database has the label" not in saved


def test_backups_need_a_storage_and_drills_do_not(admin: Client, storage: Storage) -> None:
    nowhere = given(storage)
    del nowhere[f"storage_{storage.pk}"]
    assert "Choose at least one storage" in admin.post(reverse("schedule-add"), nowhere).content.decode()
    assert admin.post(reverse("schedule-add"), nowhere | {"kind": "drill"}).status_code == 302


def test_the_preview_marks_the_night_when_clocks_change(admin: Client, time_machine: Any) -> None:
    time_machine.move_to(NIGHT, tick=False)
    asked = {"every": "day", "time": "03:00", "time_zone": "Europe/Berlin"}
    shown = admin.get(reverse("schedule-preview"), asked).content.decode()
    assert "Every day at 03:00" in shown
    assert "2026-03-29 03:00 CEST" in shown
    assert shown.count("clocks go forward") == 1
    wrong = admin.get(reverse("schedule-preview"), asked | {"time": ""}).content.decode()
    assert "Say at what time." in wrong


def test_without_script_a_button_previews_and_saves_nothing(admin: Client, storage: Storage) -> None:
    shown = admin.post(reverse("schedule-add"), given(storage, time="05:45", preview="1")).content.decode()
    assert "Every day at 05:45" in shown
    assert "Nothing is saved yet" not in shown
    assert not Schedule.objects.exists()


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
