from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from dbadmin import audit
from dbadmin.backups import pins
from dbadmin.models import AuditEvent, Backup, Job
from tests.backups.stored import put, states
from tests.factories import make_database, make_storage

pytestmark = pytest.mark.django_db


@pytest.fixture
def backups(tmp_path: Path) -> list[Backup]:
    database = make_database(name="Shop", environment="staging")
    storage = make_storage(tmp_path / "archives", name="disk")
    return [put(database, storage, days=days) for days in (1, 2)]


def url(backup: Backup) -> str:
    return reverse("backup-delete", args=[backup.pk])


def test_the_page_says_what_goes_and_what_is_left(admin: Client, backups: list[Backup]) -> None:
    shown = admin.get(url(backups[1])).content.decode()
    assert "The archive in disk" in shown
    assert "The newest other backup of the same scope" in shown
    assert "Type the name" not in shown
    assert "Delete this backup" in admin.get(backups[1].get_absolute_url()).content.decode()


def test_a_reason_deletes_and_asks_for_the_job(admin: Client, backups: list[Backup]) -> None:
    assert "This field is required" in admin.post(url(backups[1]), {}).content.decode()
    admin.post(url(backups[1]), {"reason": "test data"})
    assert states(backups[1]) == ("deleted", ["expiring"])
    assert Job.objects.get().kind == "expire"
    event = AuditEvent.objects.get(action="backup.delete")
    assert (event.actor, event.reason) == ("admin", "Deleted by hand: test data")


def test_the_only_good_one_needs_the_typed_name(admin: Client, backups: list[Backup]) -> None:
    admin.post(url(backups[0]), {"reason": "test data"})
    assert "No other good backup of this database" in admin.get(url(backups[1])).content.decode()
    assert "not the name" in admin.post(url(backups[1]), {"reason": "x", "name": "shop"}).content.decode()
    assert states(backups[1])[0] == "available"
    admin.post(url(backups[1]), {"reason": "x", "name": "Shop"})
    assert states(backups[1])[0] == "deleted"


def test_production_needs_the_typed_name_always(admin: Client, backups: list[Backup]) -> None:
    type(backups[0].database).objects.update(environment="production")
    assert "Type the name" in admin.get(url(backups[1])).content.decode()


def test_a_guard_is_a_sentence(admin: Client, backups: list[Backup]) -> None:
    pins.pin(backups[1], actor=audit.SYSTEM, note="keep")
    shown = admin.post(url(backups[1]), {"reason": "x"}, follow=True).content.decode()
    assert "It is pinned: keep" in shown
    assert states(backups[1])[0] == "available"


def test_of_a_removed_database_it_is_done_at_once(admin: Client, backups: list[Backup]) -> None:
    type(backups[0].database).objects.update(removed_at=backups[0].started_at)
    admin.post(url(backups[1]), {"reason": "x"})
    assert states(backups[1]) == ("deleted", ["deleted"])
