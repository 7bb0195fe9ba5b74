"""The form of a schedule: what it takes, what it refuses, and its preview."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dbadmin.archives.age import new_identity
from dbadmin.models import AuditEvent, Database, EncryptionKey, Schedule, Storage
from tests.factories import make_backup, make_retention, make_storage
from tests.views.test_schedules import page
from tests.views.test_schedules import shop as shop


@pytest.fixture
def storage(db: None) -> Storage:
    return make_storage(is_default=True, name="Cellar")


def given(storage: Storage, **overrides: Any) -> dict[str, Any]:
    daily = {"every": "day", "time": "03:00", "time_zone": "Europe/Berlin"}
    what = {"name": "Nightly", "kind": "backup", "target": "all", f"storage_{storage.pk}": "on"}
    return daily | what | overrides


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
    time_machine.move_to(datetime(2026, 3, 28, 2, tzinfo=UTC), tick=False)
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
