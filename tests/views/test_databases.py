from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from dbadmin.models import Application, AuditEvent, Database
from tests.factories import make_application, make_backup, make_database, make_job

SECRET = "tr0ub4dor&3"
DETAILS = {"name": "Orders", "new_application": "Shop", "environment": "staging", "backup_age_hours": "26"}
FIELDS = {"connection-host": "db.example.org", "connection-name": "orders", "connection-password": SECRET}


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    path = tmp_path / "orders.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    return path


def test_the_list_is_by_application_and_can_be_narrowed(viewer: Client) -> None:
    make_database(name="Orders", application=make_application(name="Shop"))
    make_database(name="Members", engine="files")
    assert "2 databases" in viewer.get("/databases/").content.decode()
    narrowed = viewer.get("/databases/", {"engine": "files"}).content.decode()
    assert "Members" in narrowed
    assert "Orders" not in narrowed


@pytest.mark.parametrize("tab", ["", "backups", "health", "migrations", "settings", "nonsense"])
def test_every_tab_opens(viewer: Client, tab: str) -> None:
    database = make_backup().database
    make_job(database=database, state="failed")
    assert viewer.get(database.get_absolute_url(), {"tab": tab}).status_code == 200


def test_a_removed_database_still_shows_its_backups(viewer: Client) -> None:
    database = make_database(removed_at=timezone.now())
    assert "off the dashboard" in viewer.get(database.get_absolute_url()).content.decode()


def test_adding_by_fields_keeps_the_password_encrypted_and_to_itself(admin: Client) -> None:
    response = admin.post("/databases/add/", DETAILS | FIELDS, follow=True)
    database = Database.objects.get()
    assert database.settings == {"host": "db.example.org", "name": "orders"}
    assert database.password == SECRET
    assert SECRET not in database.encrypted_password
    assert (database.slug, database.application.name) == ("shop-orders", "Shop")
    for path in ("", "?tab=settings", "edit/"):
        assert SECRET not in admin.get(database.get_absolute_url() + path).content.decode()
    assert SECRET not in response.content.decode()
    assert SECRET not in str(list(AuditEvent.objects.values()))


def test_adding_by_url(admin: Client) -> None:
    url = f"postgresql+asyncpg://app:{SECRET}@db.example.org:6543/orders?sslmode=require"
    admin.post("/databases/add/?from=url", DETAILS | {"connection-url": url})
    database = Database.objects.get()
    assert (database.settings["host"], str(database.settings["port"])) == ("db.example.org", "6543")
    assert database.password == SECRET


def test_a_url_that_cannot_be_read_is_explained_and_nothing_is_saved(admin: Client) -> None:
    response = admin.post("/databases/add/?from=url", DETAILS | {"connection-url": f"mysql://u:{SECRET}@h/orders"})
    assert "alert-danger" in response.content.decode()
    assert not Database.objects.exists()
    assert not Application.objects.exists()


def test_adding_by_an_uploaded_env_file(admin: Client) -> None:
    upload = SimpleUploadedFile(".env", f"DATABASE_URL=postgresql://app:{SECRET}@db/orders\nOTHER=1\n".encode())
    admin.post("/databases/add/?from=env", DETAILS | {"connection-file": upload})
    assert Database.objects.get().settings["name"] == "orders"


def test_the_environment_shows_which_variables_decide(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://app:{SECRET}@db/orders")
    page = admin.get("/databases/add/?from=environment").content.decode()
    assert "DATABASE_URL" in page
    assert SECRET not in page
    admin.post("/databases/add/?from=environment", DETAILS)
    database = Database.objects.get()
    assert (database.source, database.settings, database.encrypted_password) == ("environment", {}, "")


def test_adding_files_takes_one_pattern_per_line(admin: Client, tmp_path: Path) -> None:
    fields = {"connection-folder": str(tmp_path), "connection-required": "members.json\r\n\r\nroles*.json\r\n"}
    admin.post("/databases/add/?engine=files", DETAILS | fields)
    assert Database.objects.get().settings["required"] == ["members.json", "roles*.json"]


def test_the_connection_is_tested_before_anything_is_saved(admin: Client, sqlite_file: Path) -> None:
    form = {"connection-path": str(sqlite_file), "test": "1"}
    response = admin.post("/databases/add/?engine=sqlite", form)
    assert "The connection works" in response.content.decode()
    assert not Database.objects.exists()


def test_the_failing_stage_is_named(admin: Client, tmp_path: Path) -> None:
    form = {"connection-path": str(tmp_path / "missing.sqlite3"), "test": "1"}
    response = admin.post("/databases/add/?engine=sqlite", form, headers={"HX-Request": "true"})
    text = response.content.decode()
    assert "The connection fails at" in text
    assert "<html" not in text


def test_an_operator_tests_a_registered_database(operator: Client, sqlite_file: Path) -> None:
    database = make_database(settings={"path": str(sqlite_file)})
    response = operator.post(f"/databases/{database.slug}/test/")
    assert "The connection works" in response.content.decode()
    assert AuditEvent.objects.filter(action="database.test").exists()


def test_reading_a_test_is_not_possible(operator: Client) -> None:
    assert operator.get(f"/databases/{make_database().slug}/test/").status_code == 405


def stored() -> Database:
    database = make_database(engine="postgresql", settings={"name": "orders", "sslkey": "/etc/key"})
    database.password = SECRET
    database.save()
    return database


def edited(client: Client, database: Database, **changes: str) -> Database:
    details = {"name": database.name, "application": database.application_id, "environment": "staging"}
    fields = {"backup_age_hours": "30", "connection-name": "orders2"}
    client.post(f"/databases/{database.slug}/edit/", details | fields | changes)
    database.refresh_from_db()
    return database


def test_an_empty_password_keeps_the_stored_one_and_settings_without_field(admin: Client) -> None:
    database = edited(admin, stored())
    assert database.settings == {"name": "orders2", "sslkey": "/etc/key"}
    assert database.password == SECRET
    assert database.backup_age_hours == 30


@pytest.mark.parametrize("moved", [{"connection-host": "evil.example.org"}, {"connection-user": "postgres"}])
def test_a_stored_password_is_not_told_to_another_server(admin: Client, moved: dict[str, str]) -> None:
    database = stored()
    page = admin.post(f"/databases/{database.slug}/edit/", {"connection-name": "orders", "test": "1"} | moved)
    assert "Type the password again" in page.content.decode()
    assert edited(admin, database, **moved).settings["name"] == "orders"
    assert edited(admin, database, **moved, **{"connection-password": "new"}).password == "new"


def test_the_stored_password_can_be_forgotten(admin: Client) -> None:
    assert edited(admin, stored(), forget_password="1").password == ""


def test_the_short_name_does_not_change(admin: Client) -> None:
    database = stored()
    assert edited(admin, database, slug="other").slug == database.slug


def test_removing_needs_the_typed_name(admin: Client) -> None:
    database = make_database(name="Orders")
    admin.post(f"/databases/{database.slug}/remove/", {"name": "orders", "reason": "moved"})
    database.refresh_from_db()
    assert database.removed_at is None


def test_removing_touches_nothing_but_the_dashboard(admin: Client, sqlite_file: Path) -> None:
    backup = make_backup(database=make_database(name="Orders", settings={"path": str(sqlite_file)}))
    before = sqlite_file.read_bytes()
    admin.post(f"/databases/{backup.database.slug}/remove/", {"name": "Orders", "reason": "moved"})
    backup.database.refresh_from_db()
    backup.refresh_from_db()
    assert backup.database.removed_at
    assert backup.state == "available"
    assert sqlite_file.read_bytes() == before
    assert AuditEvent.objects.get(action="database.remove").reason == "moved"


def test_a_database_that_is_worked_on_is_not_removed(admin: Client) -> None:
    database = make_job(database=make_database(name="Orders"), state="running").database
    admin.post(f"/databases/{database.slug}/remove/", {"name": "Orders", "reason": "moved"})
    database.refresh_from_db()
    assert database.removed_at is None
