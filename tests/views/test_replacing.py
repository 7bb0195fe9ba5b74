from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from dbadmin.choices import JobKind, JobState, RestoreState
from dbadmin.jobs.execution import run_now
from dbadmin.models import AuditEvent, Backup, Database, Job, Restore
from tests.factories import make_database


@pytest.fixture
def live(database: Database, backup: Backup) -> Path:
    path = Path(database.settings["path"])
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE later (id)")
    db.close()
    return path


def tables(path: Path) -> set[str]:
    db = sqlite3.connect(path)
    try:
        return {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    finally:
        db.close()


def ask(client: Client, backup: Backup, **query: str) -> Any:
    return client.get(reverse("restore-replace", args=[backup.pk]), {"database": "shop", "keep_hours": "5", **query})


def start(client: Client, backup: Backup, confirm: str, **values: str) -> Any:
    posted = {"database": "shop", "keep_hours": "5", "confirm": confirm, **values}
    return client.post(reverse("restore-replace", args=[backup.pk]), posted)


def test_looking_ahead_names_what_would_be_lost(admin: Client, backup: Backup, live: Path) -> None:
    response = ask(admin, backup)
    found = {item.name.msgid: item for item in response.context["preflight"].items}
    assert found["What would be lost"].verdict == "warning"
    assert "later" in str(found["What would be lost"].message)
    assert response.context["preflight"].may_start
    assert live.read_bytes()
    assert not Job.objects.exists()


def test_nothing_starts_without_the_typed_name(admin: Client, backup: Backup, live: Path) -> None:
    for typed in ("", "shop", "SHOP"):
        response = start(admin, backup, typed)
        assert response.status_code == 302
        assert "database=shop" in response.url
    assert not Job.objects.exists()


def test_the_wizard_replaces_and_the_report_undoes(
    admin: Client, backup: Backup, database: Database, live: Path
) -> None:
    response = start(admin, backup, database.name, reason="Ticket 8")
    job = run_now(Job.objects.get(kind=JobKind.RESTORE))
    assert (response.url, job.state) == (job.get_absolute_url(), JobState.SUCCEEDED), job.message
    assert tables(live) == {"releases"}
    assert AuditEvent.objects.get(action="restore.run").reason == "Ticket 8"
    row = Restore.objects.get()
    page = admin.get(row.get_absolute_url()).content.decode()
    assert "Can be undone until" in page
    assert admin.post(reverse("restore-undo", args=[row.pk]), {"confirm": "no"}).url == row.get_absolute_url()
    assert not Job.objects.filter(kind=JobKind.UNDO).exists()
    admin.post(reverse("restore-undo", args=[row.pk]), {"confirm": database.name})
    assert run_now(Job.objects.get(kind=JobKind.UNDO)).state == JobState.SUCCEEDED
    assert tables(live) == {"releases", "later"}
    row.refresh_from_db()
    assert row.state == RestoreState.UNDONE
    assert "Undone; the database is what it was before" in admin.get(row.get_absolute_url()).content.decode()


def test_a_damaged_file_is_said_before_anything_starts(admin: Client, backup: Backup, live: Path) -> None:
    live.write_bytes(b"not a database at all" * 100)
    assert not ask(admin, backup).context["preflight"].may_start


def test_a_database_of_another_kind_is_not_offered(admin: Client, backup: Backup) -> None:
    make_database(slug="pg", engine="postgresql")
    assert start(admin, backup, "x", database="pg").status_code == 422


@pytest.mark.django_db(transaction=True)
def test_the_command_replaces_and_undoes(
    backup: Backup, database: Database, live: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        call_command("restore", "run", str(backup.pk), "--replace")
    assert refused.value.code == 5
    assert tables(live) == {"releases", "later"}
    call_command("restore", "run", str(backup.pk), "--replace", "--confirm", database.name, "--keep-hours", "2")
    assert tables(live) == {"releases"}
    call_command("restore", "undo", str(Restore.objects.get().pk), "--confirm", database.name)
    assert tables(live) == {"releases", "later"}


def test_chosen_tables_come_beside_the_live_ones(admin: Client, backup: Backup, live: Path) -> None:
    address = reverse("restore-tables", args=[backup.pk])
    assert "releases (3)" in admin.get(address).content.decode()
    assert admin.post(address, {"tables": "later"}).status_code == 422
    admin.post(address, {"tables": ["releases"]})
    job = run_now(Job.objects.get(kind=JobKind.RESTORE))
    assert job.state == JobState.SUCCEEDED, job.message
    row = Restore.objects.get()
    assert tables(live) == {"releases", "later", f"releases__restored_{row.pk}"}
    assert "releases" in admin.get(row.get_absolute_url()).content.decode()


def test_chosen_rows_are_replaced_when_the_name_is_typed(
    admin: Client, backup: Backup, database: Database, live: Path
) -> None:
    with sqlite3.connect(live) as db:
        db.execute("DELETE FROM releases")
    db.close()
    chosen = admin.post(reverse("restore-tables", args=[backup.pk]), {"tables": ["releases"], "in_place": "on"})
    assert chosen.url == reverse("restore-rows", args=[backup.pk]) + "?tables=releases"
    looked = admin.get(chosen.url)
    assert looked.context["preflight"].may_start
    assert admin.post(chosen.url, {"tables": ["releases"], "confirm": "releases"}).url == chosen.url
    assert not Job.objects.exists()
    admin.post(chosen.url, {"tables": ["releases"], "confirm": database.name})
    job = run_now(Job.objects.get(kind=JobKind.RESTORE))
    assert job.state == JobState.SUCCEEDED, job.message
    row = Restore.objects.get()
    assert "what was chosen is equal" in admin.get(row.get_absolute_url()).content.decode()
    assert tables(live) == {"releases", "later"}
    with sqlite3.connect(live) as db:
        assert db.execute("SELECT count(*) FROM releases").fetchone() == (3,)
    db.close()


def test_what_the_backup_lacks_cannot_be_chosen(admin: Client, backup: Backup) -> None:
    response = admin.get(reverse("restore-rows", args=[backup.pk]), {"tables": ["nowhere"]})
    assert response.url == reverse("restore-tables", args=[backup.pk])


@pytest.mark.django_db(transaction=True)
def test_the_command_replaces_rows_only_when_confirmed(backup: Backup, database: Database, live: Path) -> None:
    db = sqlite3.connect(live)
    with db:
        db.execute("DELETE FROM releases")
    asked = ("restore", "run", str(backup.pk), "--tables", "releases", "--in-place")
    with pytest.raises(SystemExit) as refused:
        call_command(*asked)
    assert (refused.value.code, db.execute("SELECT count(*) FROM releases").fetchone()) == (5, (0,))
    call_command(*asked, "--confirm", database.name)
    assert db.execute("SELECT count(*) FROM releases").fetchone() == (3,)
    db.close()
