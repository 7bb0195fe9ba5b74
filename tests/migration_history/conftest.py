"""What these tests share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from dbadmin.migration_history.read import read_history
from dbadmin.models import AppliedMigration, Database, MigrationStatus
from tests.migration_history.alembic_project import AlembicProject
from tests.sqlite_file import make_sqlite_file, sqlite_database

States = dict[str, str]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    path = make_sqlite_file(tmp_path / "app.sqlite3")
    return sqlite_database(path, project_folder=str(tmp_path / "project"), slug="app")


@pytest.fixture
def alembic(tmp_path: Path, database: Database) -> AlembicProject:
    project = AlembicProject(tmp_path / "project", f"sqlite:///{database.settings['path']}")
    for name in ("a1", "b2", "c3"):
        project.revision(name)
    return project


@pytest.fixture
def read(database: Database) -> Callable[..., MigrationStatus]:
    """Read now, or so many minutes later, and return the one status there is."""

    def read(minutes: int = 0) -> MigrationStatus:
        read_history(database, now=timezone.now() + timedelta(minutes=minutes))
        return MigrationStatus.objects.get(database=database)

    return read


@pytest.fixture
def states(database: Database) -> Callable[[], States]:
    """Return revision -> state of what is there."""

    def states() -> States:
        rows = AppliedMigration.objects.filter(database=database, disappeared_at=None).order_by("position")
        return {row.revision: row.state for row in rows}

    return states
