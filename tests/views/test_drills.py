from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dbadmin.choices import DrillState
from dbadmin.models import Assertion, AuditEvent, Backup, Drill, Job
from dbadmin.text import Text
from tests.factories import make_backup


@pytest.fixture
def backup(db: None) -> Backup:
    return make_backup()


def make_drill(backup: Backup, **overrides: object) -> Drill:
    now = timezone.now()
    check = {"name": Text("Archive").to_json(), "verdict": "ok", "message": Text("It is whole.").to_json()}
    defaults = {"state": "proven", "started_at": now, "finished_at": now, "restore_seconds": 90, "checks": [check]}
    return Drill.objects.create(backup=backup, **defaults | overrides)


def page(client: Client, address: str) -> str:
    return client.get(address).content.decode()


def test_the_badge_is_there_only_when_proven(viewer: Client, backup: Backup) -> None:
    assert "not proven" in page(viewer, backup.get_absolute_url())
    Backup.objects.update(proven_at=timezone.now() - timedelta(hours=6))
    assert "Restorable, proven" in page(viewer, backup.get_absolute_url())
    Backup.objects.update(state="damaged")
    assert "Restorable" not in page(viewer, backup.get_absolute_url())


def test_differences_and_checks_are_listed(viewer: Client, backup: Backup) -> None:
    difference = {"subject": "public.orders", "expected": "4", "found": "3"}
    drill = make_drill(backup, state=DrillState.DIFFERENT, differences=[difference])
    shown = page(viewer, drill.get_absolute_url())
    assert "what came back is not what was backed up" in shown
    assert "public.orders" in shown
    assert "It is whole." in shown


def test_the_list_names_one_database(viewer: Client, backup: Backup) -> None:
    mine, other = make_drill(backup), make_drill(make_backup())
    everything, narrowed = (
        page(viewer, reverse("drills") + query) for query in ("", f"?database={backup.database.slug}")
    )
    assert other.get_absolute_url() in everything
    assert mine.get_absolute_url() in narrowed
    assert other.get_absolute_url() not in narrowed


def test_a_drill_is_started_from_the_backup(operator: Client, backup: Backup) -> None:
    response = operator.post(reverse("backup-drill", args=[backup.pk]))
    job = Job.objects.get(kind="drill")
    assert response.headers["Location"] == job.get_absolute_url()
    assert job.params == {"backup": backup.pk, "kind": "full"}
    assert AuditEvent.objects.filter(action="drill.run").exists()


def test_the_overview_says_how_long_everything_takes(viewer: Client, backup: Backup) -> None:
    make_drill(backup)
    make_backup()
    shown = page(viewer, "/")
    assert "one after the other" in shown
    assert "(measured for 1 of 2)" in shown
    Drill.objects.update(restore_seconds=2 * 3600)
    assert "1 slower than acceptable" in page(viewer, "/")


def test_an_assertion_is_added_listed_and_removed(admin: Client, backup: Backup) -> None:
    slug = backup.database.slug
    given = {"name": "fresh", "kind": "freshness", "sql": "SELECT max(at) FROM t", "time_zone": "Asia/Tokyo"}
    address = reverse("assertion-add", args=[slug])
    assert "Say how old" in admin.post(address, given).content.decode()
    assert "no such time zone" in admin.post(address, given | {"time_zone": "Mars"}).content.decode()
    admin.post(address, given | {"max_age_hours": "25"})
    assertion = Assertion.objects.get()
    settings = f"{backup.database.get_absolute_url()}?tab=settings"
    assert "SELECT max(at) FROM t" in page(admin, settings)
    admin.post(reverse("assertion-remove", args=[slug, assertion.pk]))
    assert not Assertion.objects.exists()
    assert AuditEvent.objects.filter(action__startswith="assertion.").count() == 2
