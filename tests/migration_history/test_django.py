"""Django's own tables, made by running migrate of a small project in a process of its own."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dbadmin.models import AppliedMigration, Database, MigrationStatus

pytestmark = pytest.mark.django_db

Read = Callable[..., MigrationStatus]
States = Callable[[], dict[str, str]]
SETTINGS = """
SECRET_KEY = "tests only"
INSTALLED_APPS = ["django.contrib.contenttypes", "shop"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {path!r}}}}}
USE_TZ = True
"""
MIGRATION = """
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = {dependencies}
    operations = []
"""


class Shop:
    """A project with one app, migrated by Django itself."""

    def __init__(self, folder: Path, database: Path) -> None:
        self.migrations = folder / "shop/migrations"
        self.migrations.mkdir(parents=True)
        (folder / "shop/__init__.py").touch()
        (self.migrations / "__init__.py").touch()
        (folder / "shop_settings.py").write_text(SETTINGS.format(path=str(database)))
        self.folder = folder

    def write(self, name: str, *after: str, body: str = "") -> Path:
        dependencies = [("shop", before) for before in after]
        path = self.migrations / f"{name}.py"
        path.write_text(MIGRATION.format(dependencies=dependencies) + body)
        return path

    def migrate(self, *arguments: str) -> None:
        env = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "shop_settings", "PYTHONPATH": str(self.folder)}
        command = [sys.executable, "-m", "django", "migrate", "-v0", *arguments]
        subprocess.run(command, cwd=self.folder, env=env, check=True)


@pytest.fixture
def shop(tmp_path: Path, database: Database) -> Shop:
    shop = Shop(tmp_path / "project", Path(database.settings["path"]))
    shop.write("0001_initial")
    shop.write("0002_prices", "0001_initial")
    return shop


def test_the_head_of_each_app_and_what_is_pending(shop: Shop, read: Read, states: States) -> None:
    shop.migrate("contenttypes")
    shop.migrate("shop", "0001")
    status = read()
    assert status.head == "contenttypes.0002_remove_content_type_name, shop.0001_initial"
    assert (status.applied, status.pending, bool(status.problem)) == (3, 1, False)
    assert states()["shop.0002_prices"] == "pending"
    assert AppliedMigration.objects.get(revision="shop.0001_initial").applied_at is not None


def test_a_missing_file_is_found_though_django_hides_it(shop: Shop, read: Read, states: States) -> None:
    shop.migrate()
    (shop.migrations / "0002_prices.py").unlink()
    assert "the file is missing: shop.0002_prices" in str(read().problem)
    assert states()["contenttypes.0001_initial"] == "applied", "installed packages are not in the project"


def test_a_changed_file_is_modified(shop: Shop, read: Read, states: States) -> None:
    shop.migrate()
    read()
    shop.write("0002_prices", "0001_initial", body="\n# changed\n")
    read(minutes=1)
    assert states()["shop.0002_prices"] == "modified"


def test_two_leaves_of_an_app_are_a_problem(shop: Shop, read: Read) -> None:
    shop.migrate()
    shop.write("0002_colours", "0001_initial")
    assert "2 heads (shop.0002_colours, shop.0002_prices)" in str(read().problem)


def test_a_dependency_without_file_is_a_problem(shop: Shop, read: Read) -> None:
    shop.migrate()
    shop.write("0004_late", "0003_lost")
    assert "no file: shop.0003_lost" in str(read().problem)


SQUASHED = "    replaces = [('shop', '0001_initial'), ('shop', '0002_prices')]\n"


def test_a_squashed_migration_stands_for_what_it_replaces(shop: Shop, read: Read) -> None:
    shop.migrate()
    shop.write("0001_squashed_0002_prices", body=SQUASHED)
    shop.write("0003_more", "0002_prices")
    status = read()
    assert (status.pending, bool(status.problem)) == (1, False)


def test_replaced_files_may_be_removed(shop: Shop, read: Read, states: States) -> None:
    shop.migrate()
    shop.write("0001_squashed_0002_prices", body=SQUASHED)
    for name in ("0001_initial", "0002_prices"):
        (shop.migrations / f"{name}.py").unlink()
    assert read().pending == 0
    assert set(states().values()) == {"applied"}


def test_an_unapplied_row_is_remembered(shop: Shop, read: Read, database: Database) -> None:
    shop.migrate()
    database.project_folder = ""
    read()
    with sqlite3.connect(database.settings["path"]) as db:
        db.execute("DELETE FROM django_migrations WHERE name = '0002_prices'")
    read(minutes=1)
    assert AppliedMigration.objects.get(revision="shop.0002_prices").disappeared_at is not None
