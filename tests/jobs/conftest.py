"""A database that can be backed up, and a place for its archives."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbadmin.models import Database, Storage
from tests.factories import make_database, make_storage
from tests.sqlite_file import make_sqlite_file, sqlite_database


@pytest.fixture
def database(db: None, tmp_path: Path) -> Database:
    return sqlite_database(make_sqlite_file(tmp_path / "shop.db"), slug="shop")


@pytest.fixture
def storage(db: None, tmp_path: Path) -> Storage:
    return make_storage(tmp_path / "archives", is_default=True)


@pytest.fixture
def shop(db: None) -> Database:
    return make_database(slug="shop")
