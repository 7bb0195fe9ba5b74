from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dbadmin.choices import DrillState
from dbadmin.models import Assertion, AuditEvent, Backup, Drill, Job
from dbadmin.text import Text
from tests.factories import make_backup, make_database


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


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (DrillState.DIFFERENT, "Do not rely on this backup."),
        (DrillState.FAILED, "Mend what is named below and drill again."),
        (DrillState.INCOMPLETE, "Where time ran out, allow more"),
        (DrillState.PROVEN, ""),
        (DrillState.RUNNING, ""),
    ],
)
def test_what_is_not_proven_says_what_to_do(state: DrillState, words: str, viewer: Client, backup: Backup) -> None:
    shown = page(viewer, make_drill(backup, state=state).get_absolute_url())
    assert ("What to do" in shown) == bool(words)
    assert words in shown


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


@pytest.fixture
def postgresql_backup(db: None) -> Backup:
    own = make_database(engine="postgresql", name="Shop", slug="shop", settings={"host": "db1", "name": "shop"})
    return make_backup(database=own)


def places(client: Client, backup: Backup) -> list[str]:
    return re.findall(r'<option value="([^"]*)"', page(client, backup.get_absolute_url()).partition('id="id_on"')[2])


def test_a_backup_of_postgresql_is_drilled_where_somebody_chooses(admin: Client, postgresql_backup: Backup) -> None:
    for slug, host, user in (("stage", "db2", "a"), ("same", "db1", "a"), ("twin", "db2", "a"), ("else", "db2", "b")):
        make_database(engine="postgresql", slug=slug, name=slug, settings={"host": host, "user": user, "name": slug})
    assert places(admin, postgresql_backup) == ["", "stage", "else", "shop"]
    assert "own server: costs it load and disk" in page(admin, postgresql_backup.get_absolute_url())
    address = reverse("backup-drill", args=[postgresql_backup.pk])
    for _click in range(2):
        admin.post(address, {"on": "stage"})
    assert Job.objects.get(kind="drill").params == {"backup": postgresql_backup.pk, "kind": "full", "on": "stage"}
    assert AuditEvent.objects.get(action="drill.run").details["on"] == "stage"


def test_no_other_place_is_taken(admin: Client, postgresql_backup: Backup, backup: Backup) -> None:
    make_database(engine="postgresql", slug="same", settings={"host": "db1", "name": "same"})
    for of, on in ((postgresql_backup, "same"), (postgresql_backup, "nowhere"), (backup, "same")):
        shown = admin.post(reverse("backup-drill", args=[of.pk]), {"on": on}, follow=True)
        assert "There is no such server to drill this backup on." in shown.content.decode()
    assert not Job.objects.exists()


def test_only_who_may_restore_chooses_a_server(operator: Client, viewer: Client, postgresql_backup: Backup) -> None:
    assert places(operator, postgresql_backup) == places(viewer, postgresql_backup) == []
    address = reverse("backup-drill", args=[postgresql_backup.pk])
    assert operator.post(address, {"on": "shop"}).status_code == 403
    assert operator.post(address, {"on": ""}).status_code == 302
    assert "on" not in Job.objects.get(kind="drill").params


def test_a_missing_index_is_named_on_the_page(viewer: Client, backup: Backup) -> None:
    difference = {"subject": "public.by_name", "expected": "there", "found": "missing", "kind": "indexes"}
    shown = page(viewer, make_drill(backup, state=DrillState.DIFFERENT, differences=[difference]).get_absolute_url())
    assert "Index public.by_name" in shown
    assert ">missing</td>" in shown
