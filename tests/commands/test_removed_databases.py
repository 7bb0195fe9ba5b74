"""Backups of a database that is off the dashboard: adopted ones, whose place nobody knows, and removed ones."""

from __future__ import annotations

import sqlite3
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dbadmin import audit
from dbadmin.backups import own
from dbadmin.backups.adopt import adopt
from dbadmin.backups.take import take_backup
from dbadmin.models import Application, AuditEvent, Backup, Copy, Database, Job, Restore, Storage
from dbadmin.progress import Silent
from tests.backups.files import below
from tests.factories import make_database, make_storage
from tests.postgresql_database import execute
from tests.postgresql_database import postgresql as postgresql
from tests.sqlite_file import make_sqlite_file, sqlite_database

pytestmark = pytest.mark.django_db


def run(*argv: str) -> tuple[int, str]:
    out, code = StringIO(), 0
    try:
        call_command(*argv, stdout=out, stderr=out)
    except SystemExit as ended:
        code = int(ended.code or 0)
    return code, out.getvalue()


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return make_storage(tmp_path / "away", is_default=True)


def adopted(database: Database, storage: Storage) -> Backup:
    """Back a database up, lose the catalogue, and adopt what lies in the storage."""
    key = take_backup(database=database, storages=[storage], scope="full", progress=Silent()).key
    Copy.objects.all().delete()
    Backup.objects.all().delete()
    Database.objects.all().delete()
    Application.objects.all().delete()
    return adopt(storage, key, actor=audit.SYSTEM)


@pytest.fixture
def backup(tmp_path: Path, storage: Storage) -> Backup:
    return adopted(sqlite_database(make_sqlite_file(tmp_path / "shop.db", rows=7), slug="shop"), storage)


def test_an_adopted_file_is_restored_to_a_path(tmp_path: Path, backup: Backup) -> None:
    target = tmp_path / "elsewhere.db"
    code, said = run("restore", "run", str(backup.pk), "--to-new", str(target))
    assert (code, Restore.objects.get().state) == (0, "exact"), said
    with sqlite3.connect(target) as db:
        assert db.execute("SELECT count(*) FROM releases").fetchone() == (7,)


def test_an_adopted_file_is_restored_beside_a_registered_one_and_by_its_address(
    tmp_path: Path, backup: Backup, storage: Storage
) -> None:
    sqlite_database(make_sqlite_file(tmp_path / "m2.db"), slug="m2")
    assert run("restore", "run", str(backup.pk), "--server", "m2", "--to-new", "a.db")[0] == 0
    uri = f"file://{storage.settings['path']}/{backup.key}"
    assert run("restore", "run", "--uri", uri, "--server", "m2", "--to-new", "b.db")[0] == 0
    assert run("restore", "run", "--uri", uri, "--to-new", str(tmp_path / "c.db"))[0] == 0
    assert {"a.db", "b.db", "c.db"} <= set(below(tmp_path))


def test_a_name_alone_says_where_nobody_knows(backup: Backup) -> None:
    code, said = run("restore", "run", str(backup.pk), "--to-new", "name.db")
    assert (code, "absolute path" in said, Job.objects.count()) == (5, True, 0)


def test_an_adopted_set_of_files_is_restored_with_all_of_it(tmp_path: Path, storage: Storage) -> None:
    root = tmp_path / "config"
    (root / "sub").mkdir(parents=True)
    for name in ("a.json", ".hidden.json", "sub/[x].json"):
        (root / name).write_text('{"version": 1}')
    settings = {"folder": str(root), "required": ["**/*.json", ".*.json"]}
    backup = adopted(make_database(engine="files", settings=settings, slug="config"), storage)
    make_database(engine="files", settings={"folder": str(root), "required": ["other.json"]}, slug="other")
    for more in (("--to-new", str(tmp_path / "new")), ("--server", "other", "--to-new", "new2")):
        code, said = run("restore", "run", str(backup.pk), *more)
        assert (code, Restore.objects.latest("pk").state) == (0, "exact"), said
    assert below(tmp_path / "new") == below(tmp_path / "new2") == below(root)


def test_an_adopted_postgresql_is_restored_on_a_registered_server(postgresql: Database, storage: Storage) -> None:
    execute(postgresql, "CREATE TABLE film (id int); INSERT INTO film SELECT generate_series(1, 5)")
    place = {"settings": postgresql.settings, "encrypted_password": postgresql.encrypted_password}
    backup = adopted(postgresql, storage)
    code, said = run("restore", "run", str(backup.pk), "--to-new", "film_again")
    assert (code, "--server" in said, Job.objects.count()) == (5, True, 0)
    server = make_database(engine="postgresql", slug="staging", **place)
    name = f"{server.settings['name']}_again"
    try:
        code, said = run("restore", "run", str(backup.pk), "--server", "staging", "--to-new", name)
        assert (code, Restore.objects.get().state) == (0, "exact"), said
    finally:
        execute(server, f"DROP DATABASE IF EXISTS {name}")


@pytest.mark.parametrize("how", [("--replace",), ("--tables", "releases"), ("--tables", "releases", "--in-place")])
def test_a_removed_database_is_not_restored_in_place(tmp_path: Path, backup: Backup, how: tuple[str, ...]) -> None:
    for settings in ({}, {"path": str(tmp_path / "shop.db")}):
        Database.objects.update(settings=settings)
        code, said = run("restore", "run", str(backup.pk), *how, "--confirm", "shop")
        assert (code, "removed from the dashboard" in said, Job.objects.count()) == (5, True, 0)


def test_a_removed_database_is_still_restored_beside_its_file(tmp_path: Path, storage: Storage) -> None:
    shop = sqlite_database(make_sqlite_file(tmp_path / "shop.db"), slug="shop")
    backup = take_backup(database=shop, storages=[storage], scope="full", progress=Silent())
    Database.objects.update(removed_at=timezone.now())
    assert run("restore", "run", str(backup.pk), "--to-new", "beside.db")[0] == 0
    assert (tmp_path / "beside.db").exists()


def test_the_web_restores_an_adopted_backup_beside_a_registered_one(
    tmp_path: Path, backup: Backup, admin: Client
) -> None:
    url = reverse("restore-new", args=[backup.pk])
    assert "No database of this kind is registered" in admin.get(url).content.decode()
    sqlite_database(make_sqlite_file(tmp_path / "m2.db"), slug="m2")
    asked = {"server": "m2", "target": "again.db"}
    assert admin.get(url, asked).context["preflight"].may_start
    admin.post(url, asked)
    job = Job.objects.get()
    assert (job.database, job.params["server"]) == (backup.database, "m2")


def test_backups_of_a_removed_database_are_listed_by_its_name(backup: Backup) -> None:
    code, said = run("backup", "list", "--database", "shop")
    assert (code, "shop" in said) == (0, True)
    make_database(slug="bare", removed_at=timezone.now())
    assert run("backup", "list", "--database", "bare")[0] == 4


ADD = ("databases", "add", "Shop", "--application")


def test_a_database_that_is_added_again_has_its_backups_again(tmp_path: Path, backup: Backup) -> None:
    application = backup.database.application
    code, said = run(*ADD, application.slug.upper(), "--path", str(tmp_path / "shop.db"))
    assert (code, "its backups are its own again" in said) == (0, True)
    shop = Database.objects.get()
    assert (shop.pk, shop.name, shop.removed_at) == (backup.database.pk, "Shop", None)
    assert (shop.application, Application.objects.count()) == (application, 1)
    assert AuditEvent.objects.filter(action="database.return").count() == 1
    assert run("restore", "run", str(backup.pk), "--to-new", "beside.db")[0] == 0
    assert run("backup", "run", "shop")[0] == 0
    assert run("restore", "run", str(backup.pk), "--replace", "--confirm", "Shop")[0] == 0


def test_nothing_of_how_it_was_reached_comes_back(tmp_path: Path, backup: Backup) -> None:
    former = backup.database
    former.password = "of another server"
    former.settings, former.failed_probes, former.checked_at = {"path": "/former.db"}, 7, timezone.now()
    former.save()
    assert run(*ADD, "a", "--path", str(tmp_path / "shop.db"))[0] == 0
    former.refresh_from_db()
    assert (former.settings, former.encrypted_password) == ({"path": str(tmp_path / "shop.db")}, "")
    assert (former.failed_probes, former.checked_at) == (0, None)


def test_a_database_of_another_kind_gets_no_backups_of_a_removed_one(tmp_path: Path, backup: Backup) -> None:
    before = list(Database.objects.values())
    code, said = run(*ADD, "a", "--path", str(tmp_path), "--required", "*.json")
    assert (code, "removed database of another kind, SQLite" in said) == (4, True)
    assert (list(Database.objects.values()), Application.objects.count()) == (before, 1)


def test_a_name_that_is_registered_stays_taken(tmp_path: Path) -> None:
    sqlite_database(make_sqlite_file(tmp_path / "shop.db"), slug="shop")
    code, said = run(*ADD, "a", "--path", str(tmp_path / "other.db"))
    assert (code, "choose another with --slug" in said) == (4, True)


def test_the_removed_catalogue_does_not_come_back_as_something_else(tmp_path: Path) -> None:
    make_database(slug="shop", is_catalogue=True, removed_at=timezone.now())
    assert run(*ADD, "a", "--path", str(tmp_path / "other.db"))[0] == 4


def posted(admin: Client, path: Path, engine: str = "sqlite", **more: str) -> str:
    fields = {"connection-path": str(path), "connection-folder": str(path), "connection-required": "*.json"}
    details = {"name": "Shop", "environment": "production", "backup_age_hours": "26"} | more
    return admin.post(f"/databases/add/?engine={engine}", details | fields, follow=True).content.decode()


@pytest.mark.parametrize("name", [{"slug": "shop", "name": "New name"}, {}, {"name": "SHOP"}])
def test_a_database_added_again_on_the_web_has_its_backups_again(
    tmp_path: Path, backup: Backup, admin: Client, name: dict[str, str]
) -> None:
    Database.objects.update(encrypted_password="of another server")
    application = backup.database.application
    page = posted(admin, tmp_path / "shop.db", new_application=application.slug.upper(), **name)
    assert "its backups are its own again" in page
    shop = Database.objects.get()
    assert (shop.pk, shop.slug, shop.removed_at) == (backup.database.pk, "shop", None)
    assert (shop.settings, shop.encrypted_password) == ({"path": str(tmp_path / "shop.db")}, "")
    assert Application.objects.get() == application


def test_an_adopted_database_is_known_by_the_short_name_the_web_gave_it(
    tmp_path: Path, backup: Backup, admin: Client
) -> None:
    application = backup.database.application
    Database.objects.update(slug=f"{application.slug}-shop", name=f"{application.slug}-shop")
    posted(admin, tmp_path / "shop.db", application=str(application.pk))
    assert (Database.objects.get().removed_at, Database.objects.get().name) == (None, "Shop")


def test_a_database_of_another_application_is_a_new_one(tmp_path: Path, backup: Backup, admin: Client) -> None:
    assert "Shop is saved" in posted(admin, tmp_path / "shop.db", new_application="Another")
    assert Database.objects.registered().get().pk != backup.database.pk


def test_on_the_web_too_another_kind_is_refused(tmp_path: Path, backup: Backup, admin: Client) -> None:
    before = list(Database.objects.values())
    page = posted(admin, tmp_path, engine="files", slug="shop", new_application="a")
    assert "removed database of another kind, SQLite" in page
    assert (list(Database.objects.values()), Application.objects.count()) == (before, 1)


def test_what_is_wrong_on_the_web_changes_nothing(tmp_path: Path, backup: Backup, admin: Client) -> None:
    before = list(Database.objects.values())
    page = posted(admin, Path("no/path"), slug="shop", new_application="a")
    assert "already exists" not in page
    assert "not an absolute path" in page
    posted(admin, tmp_path / "shop.db", slug="shop", new_application="a", backup_age_hours="many")
    assert list(Database.objects.values()) == before


@pytest.mark.parametrize("is_same", [True, False])
def test_archives_of_a_lost_catalogue_do_not_keep_the_new_one_from_being_registered(is_same: bool) -> None:
    here = "sqlite" if connection.vendor == "sqlite" else "postgresql"
    former = make_database(slug=own.SLUG, engine=here if is_same else "files", settings={}, removed_at=timezone.now())
    row = own.register()
    assert (row.slug, row.engine, row.is_catalogue, row.removed_at) == (own.SLUG, here, True, None)
    former.refresh_from_db()
    assert (row == former, former.slug) == (is_same, own.SLUG if is_same else "dbadmin-catalogue-former")
    assert own.register() == row
