"""Two pages are open at once; the older one takes nothing back unseen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from dbadmin.models import Database, Retention, Schedule, Storage
from tests.factories import make_database, make_retention, make_schedule, make_storage

SAID = "somebody else has changed this meanwhile ({fields})"


def opened(client: Client, address: str, *forms: str) -> dict[str, Any]:
    """Return what a browser would send if nothing was typed on the page."""
    context = client.get(address).context
    sent: dict[str, Any] = {"filled": context["meanwhile"].token}
    for name in forms:
        for field in context[name]:
            value = field.value()
            if value not in (None, False):
                sent[field.html_name] = "on" if value is True else field.field.prepare_value(value)
    return sent


@pytest.fixture
def storage(db: None) -> Storage:
    return make_storage(is_default=True, name="Cellar")


@pytest.fixture
def schedule(storage: Storage) -> Schedule:
    schedule = make_schedule(name="Nightly")
    schedule.destinations.create(storage=storage)
    return schedule


def test_the_older_page_of_a_schedule_asks_before_it_sets_times_back(admin: Client, schedule: Schedule) -> None:
    edit = reverse("schedule-edit", args=[schedule.pk])
    older = opened(admin, edit, "form", "times", "destinations")
    newer = opened(admin, edit, "form", "times", "destinations")
    assert admin.post(edit, newer | {"time": "04:30", "retries": "5"}).status_code == 302
    refused = admin.post(edit, older | {"name": "Nights"})
    shown = refused.content.decode()
    assert SAID.format(fields="Tries again after a failure, At what time") in shown
    assert 'value="Nights"' in shown
    assert "<details open>" in shown  # one of the fields is folded away else
    schedule.refresh_from_db()
    assert (schedule.name, schedule.expression, schedule.retries) == ("Nightly", "30 4 * * *", 5)
    admin.post(edit, older | {"name": "Nights", "filled": refused.context["meanwhile"].token})
    schedule.refresh_from_db()
    assert (schedule.name, schedule.expression, schedule.retries) == ("Nights", "0 3 * * *", 2)


def test_storages_that_were_chosen_meanwhile_are_not_taken_away(admin: Client, schedule: Schedule) -> None:
    edit = reverse("schedule-edit", args=[schedule.pk])
    older = opened(admin, edit, "form", "times", "destinations")
    schedule.destinations.create(storage=make_storage(name="Attic"))
    assert SAID.format(fields="Attic") in admin.post(edit, older | {"preview": "1"}).content.decode()
    assert SAID.format(fields="Attic") in admin.post(edit, older).content.decode()
    assert schedule.destinations.count() == 2


def test_who_sends_a_form_twice_sets_nothing_back(admin: Client, schedule: Schedule) -> None:
    edit = reverse("schedule-edit", args=[schedule.pk])
    typed = opened(admin, edit, "form", "times", "destinations") | {"time": "04:30"}
    assert [admin.post(edit, typed).status_code for _twice in range(2)] == [302, 302]


def test_the_older_page_of_a_retention_asks_before_it_sets_rules_back(admin: Client) -> None:
    retention = make_retention(name="Week", daily=7)
    edit = reverse("retention-edit", args=[retention.pk])
    older = opened(admin, edit, "form")
    Retention.objects.update(daily=14, monthly=3)
    refused = admin.post(edit, older | {"name": "Weeks"})
    fields = "One of each day, for (days), One of each month, for (months)"
    assert SAID.format(fields=fields) in refused.content.decode()
    retention.refresh_from_db()
    assert (retention.name, retention.daily) == ("Week", 14)
    admin.post(edit, older | {"name": "Weeks", "filled": refused.context["meanwhile"].token})
    retention.refresh_from_db()
    assert (retention.name, retention.daily, retention.monthly) == ("Weeks", 7, 0)


def test_the_older_page_of_a_storage_asks_before_it_sets_anything_back(admin: Client, tmp_path: Path) -> None:
    storage, retention = make_storage(tmp_path, name="Cellar"), make_retention(name="Week")
    edit = reverse("storage-edit", args=[storage.pk])
    older = opened(admin, edit, "details", "described")
    Storage.objects.update(retention=retention, bandwidth_kilobytes=500)
    refused = admin.post(edit, older | {"name": "Attic"})
    assert SAID.format(fields="Retention, At most (KB/s)") in refused.content.decode()
    storage.refresh_from_db()
    assert (storage.name, storage.retention) == ("Cellar", retention)
    admin.post(edit, older | {"name": "Attic", "filled": refused.context["meanwhile"].token})
    storage.refresh_from_db()
    assert (storage.name, storage.retention, storage.bandwidth_kilobytes) == ("Attic", None, 0)


def test_the_older_page_of_a_database_asks_before_it_sets_anything_back(admin: Client, db: None) -> None:
    database = make_database(name="Shop", settings={"path": "/srv/shop"})
    edit = reverse("database-edit", args=[database.slug])
    older = opened(admin, edit, "details", "connection")
    Database.objects.update(settings={"path": "/srv/moved"}, labels="large")
    refused = admin.post(edit, older | {"name": "Shops"})
    assert SAID.format(fields="Labels, File") in refused.content.decode()
    database.refresh_from_db()
    assert (database.name, database.settings) == ("Shop", {"path": "/srv/moved"})
    admin.post(edit, older | {"name": "Shops", "filled": refused.context["meanwhile"].token})
    database.refresh_from_db()
    assert (database.name, database.labels, database.settings) == ("Shops", "", {"path": "/srv/shop"})
