from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dbadmin.backups import judging
from dbadmin.backups import retention as retention_rules
from dbadmin.judged import FOR_NOW, IN_GENERAL
from dbadmin.models import AuditEvent, Backup, Destination, Retention, Schedule, Storage
from tests.factories import make_backup, make_database, make_retention, make_schedule, make_storage

NONE = dict.fromkeys(("last", "within_days", "hourly", "weekly", "monthly", "yearly"), "0")
RULES = NONE | {"name": "Week", "daily": "7", "minimum": "1", "time_zone": "UTC"}


@pytest.fixture
def schedule(db: None) -> Schedule:
    """Twenty daily backups of a schedule into a storage where seven of them stay."""
    schedule, storage, database = make_schedule(name="Nightly"), make_storage(name="Cellar"), make_database(name="Shop")
    Destination.objects.create(schedule=schedule, storage=storage, retention=make_retention(name="Week", daily=7))
    now = timezone.now()
    for day in range(20):
        times = {"started_at": now - timedelta(days=day, hours=1), "finished_at": now - timedelta(days=day, hours=1)}
        make_backup(database=database, storage=storage, schedule=schedule, size=1024**2, **times)
    return schedule


def page(client: Client, address: str) -> str:
    return client.get(address).content.decode()


def address(name: str, retention: Retention) -> str:
    return reverse(name, args=[retention.pk])


def test_the_page_says_what_goes_what_stays_and_why(viewer: Client, schedule: Schedule) -> None:
    retention = Retention.objects.get()
    shown = page(viewer, address("retention", retention))
    assert "13 of 20 copies would go; 13.0\xa0MB become free" in shown
    assert "The newest of a day." in shown
    assert "7 copies stay and 13 go" in shown
    assert shown.count("<circle") == 20
    assert shown.count("hollow") == 13
    assert "No rule of “Week” keeps it any more" in shown


@pytest.mark.parametrize(("show", "rows"), [("go", 13), ("keep", 7), ("", 20)])
def test_the_rows_are_filtered_and_the_sentence_is_not(
    viewer: Client, schedule: Schedule, show: str, rows: int
) -> None:
    shown = page(viewer, f"{address('retention', Retention.objects.get())}?show={show}")
    assert shown.count('href="/backups/') - shown.count('href="/backups/"') == rows
    assert "13 of 20 copies would go" in shown


def test_new_rules_are_tried_before_they_are_saved(admin: Client, schedule: Schedule) -> None:
    edit = address("retention-edit", Retention.objects.get())
    shown = admin.post(edit, RULES | {"daily": "3", "preview": "1"}).content.decode()
    assert "17 of 20 copies would go" in shown
    assert Retention.objects.get().daily == 7


def test_rules_that_let_more_go_are_saved_only_after_a_look(admin: Client, schedule: Schedule) -> None:
    edit = address("retention-edit", Retention.objects.get())
    response = admin.post(edit, RULES | {"daily": "3"})
    assert "With these rules copies go." in response.content.decode()
    assert "17 of 20 copies would go" in response.content.decode()
    assert Retention.objects.get().daily == 7
    other = admin.post(edit, RULES | {"daily": "2", "seen": response.context["seen"]})
    assert "18 of 20 copies would go" in other.content.decode()
    admin.post(edit, RULES | {"daily": "3", "seen": response.context["seen"]})
    assert Retention.objects.get().daily == 3
    event = AuditEvent.objects.get(action="retention.change")
    assert (event.details["changed"], event.details["daily"]) == (["daily"], 3)


def test_what_stays_only_because_runs_fail_is_said_and_looked_at_too(admin: Client, schedule: Schedule) -> None:
    failed = {"database": Backup.objects.latest("pk").database, "due_at": timezone.now(), "state": "failed"}
    schedule.runs.create(**failed)
    shown = admin.post(address("retention-edit", Retention.objects.get()), RULES | {"daily": "3"}).content.decode()
    assert "0 of 20 copies would go" in shown
    assert "17 more stay only for now" in shown
    assert Retention.objects.get().daily == 7


def test_the_reasons_that_hold_for_now_are_those_of_the_judgement() -> None:
    said = "".join(Path(module.__file__ or "").read_text() for module in (retention_rules, judging))
    assert [msgid for msgid in (*FOR_NOW, *IN_GENERAL) if msgid not in said] == []


def test_rules_that_nothing_uses_are_tried_on_everything_and_saved_at_once(admin: Client, schedule: Schedule) -> None:
    given = RULES | {"name": "Other", "daily": "2"}
    shown = admin.post(reverse("retention-add"), given | {"preview": "1"}).content.decode()
    assert "18 of 20 copies would go" in shown
    assert "if it were used for everything" in shown
    admin.post(reverse("retention-add"), given)
    assert Retention.objects.get(name="Other").daily == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"minimum": "0"}, "At least one good backup stays"),
        ({"time_zone": "Mars"}, "no such time zone"),
        ({"daily": "-1"}, "greater than or equal to 0"),
        ({"name": ""}, "required"),
        ({"within_days": "36501"}, "less than or equal to 36500"),
        ({"daily": "100001"}, "less than or equal to 100000"),
        ({"minimum": "100001"}, "less than or equal to 100000"),
    ],
)
def test_what_is_wrong_is_said(admin: Client, wrong: dict[str, Any], said: str) -> None:
    assert said in admin.post(reverse("retention-add"), RULES | wrong).content.decode()
    assert not Retention.objects.exists()


def test_stored_rules_beyond_any_calendar_are_shown(admin: Client, schedule: Schedule) -> None:
    Retention.objects.update(within_days=2**31 - 1, daily=0)
    retention = Retention.objects.get()
    assert "0 of 20 copies would go" in page(admin, address("retention", retention))
    assert (
        "less than or equal to 36500"
        in admin.post(address("retention-edit", retention), RULES | {"within_days": str(2**31 - 1)}).content.decode()
    )


def test_one_that_is_used_cannot_be_removed(admin: Client, schedule: Schedule) -> None:
    retention = Retention.objects.get()
    shown = admin.post(address("retention-remove", retention)).content.decode()
    assert "Week is used; it cannot be removed" in shown
    assert schedule.get_absolute_url() in shown
    schedule.destinations.all().delete()
    admin.post(address("retention-remove", retention), {"reason": "not needed"})
    assert not Retention.objects.exists()
    assert AuditEvent.objects.get(action="retention.remove").reason == "not needed"


def test_a_schedule_that_would_let_copies_go_is_saved_only_after_a_look(admin: Client, schedule: Schedule) -> None:
    destination, shorter = schedule.destinations.get(), make_retention(name="Short", daily=2)
    given = {"name": "Nightly", "kind": "backup", "target": "all", "every": "day", "time": "03:00", "time_zone": "UTC"}
    given |= {f"storage_{destination.storage_id}": "on", f"retention_{destination.storage_id}": str(shorter.pk)}
    edit = reverse("schedule-edit", args=[schedule.pk])
    response = admin.post(edit, given)
    assert "Saving this lets copies go." in response.content.decode()
    assert "Every day at 03:00" in response.content.decode()
    assert len(response.context["released"]) == 5
    assert schedule.destinations.get().retention != shorter
    admin.post(edit, given | {"seen": response.context["seen"]})
    assert schedule.destinations.get().retention == shorter


def test_what_goes_when_a_schedule_is_removed_is_said(admin: Client, schedule: Schedule) -> None:
    remove = reverse("schedule-remove", args=[schedule.pk])
    assert "By that retention copies go." not in page(admin, remove)
    Storage.objects.update(retention=make_retention(name="Short", daily=2))
    assert len(admin.get(remove).context["released"]) == 5
    assert Schedule.objects.get().runs.count() == 0
    assert Backup.objects.filter(schedule=schedule).count() == 20


def test_a_storage_that_would_let_copies_go_is_saved_only_after_a_look(admin: Client, schedule: Schedule) -> None:
    storage, shorter = schedule.destinations.get().storage, make_retention(name="Short", daily=2)
    schedule.destinations.update(retention=None)
    edit = reverse("storage-edit", args=[storage.pk])
    given = {"name": storage.name, "retention": str(shorter.pk), "bandwidth_kilobytes": "0"}
    given |= {f"storage-{name}": value for name, value in storage.settings.items()}
    response = admin.post(edit, given)
    assert "Saving this lets copies go." in response.content.decode()
    assert len(response.context["released"]) == 18
    storage.refresh_from_db()
    assert storage.retention is None
    admin.post(edit, given | {"seen": response.context["seen"]})
    storage.refresh_from_db()
    assert storage.retention == shorter


def test_a_retention_whose_zone_is_unknown_here_keeps_no_schedule_from_being_mended(
    admin: Client, schedule: Schedule
) -> None:
    Retention.objects.update(time_zone="Mars/Base")
    destination, shorter = schedule.destinations.get(), make_retention(name="Short", daily=2)
    assert admin.get(reverse("schedule-remove", args=[schedule.pk])).context["released"] == []
    given = {"name": "Nightly", "kind": "backup", "target": "all", "every": "day", "time": "03:00", "time_zone": "UTC"}
    given |= {f"storage_{destination.storage_id}": "on", f"retention_{destination.storage_id}": str(shorter.pk)}
    response = admin.post(reverse("schedule-edit", args=[schedule.pk]), given)
    assert len(response.context["released"]) == 18


def test_presets_fill_the_form(admin: Client) -> None:
    assert "Until there is one, every backup is kept for ever." in page(admin, reverse("retentions"))
    assert 'value="8"' in page(admin, reverse("retention-add") + "?preset=tiers")


def test_a_backup_says_why_it_stays_and_is_pinned(operator: Client, schedule: Schedule) -> None:
    oldest = Backup.objects.order_by("finished_at").first()
    assert oldest is not None
    assert "No rule of “Week” keeps it any more" in page(operator, oldest.get_absolute_url())
    operator.post(reverse("backup-pin", args=[oldest.pk]), {"note": "before the move"})
    shown = page(operator, oldest.get_absolute_url())
    assert "Pinned: before the move" in shown
    assert "No rule of" not in shown
    operator.post(reverse("backup-unpin", args=[oldest.pk]))
    oldest.refresh_from_db()
    assert (oldest.pinned_at, oldest.pin_note) == (None, "")
    newest = Backup.objects.latest("finished_at")
    assert "The newest good backup of the database." in page(operator, newest.get_absolute_url())


def test_a_deleted_backup_is_not_pinned(operator: Client) -> None:
    backup = make_backup(state="deleted")
    shown = operator.post(reverse("backup-pin", args=[backup.pk]), follow=True).content.decode()
    assert "The archive of this backup was deleted." in shown
