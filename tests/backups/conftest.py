"""A SQLite database with three rows, a storage, and a backup of the one in the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbadmin.backups.take import take_backup
from dbadmin.models import Backup, Database, Storage
from dbadmin.progress import Silent
from tests.factories import make_storage
from tests.sqlite_file import make_sqlite_file, sqlite_database


@pytest.fixture
def database(db: None, tmp_path: Path) -> Database:
    return sqlite_database(make_sqlite_file(tmp_path / "shop.db"), slug="shop")


@pytest.fixture
def storage(db: None, tmp_path: Path) -> Storage:
    return make_storage(tmp_path / "archives")


@pytest.fixture
def backup(database: Database, storage: Storage) -> Backup:
    return take_backup(database=database, storages=[storage], scope="full", progress=Silent())
