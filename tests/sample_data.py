"""The sample applications as fixtures; imported by conftest.py."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from dbadmin.engines.postgresql.cluster import Cluster
from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.samples.applications import CAMP_BACKEND, PostgreSQLSample
from dbadmin.samples.files import create_files
from dbadmin.samples.postgresql import create_postgresql
from dbadmin.samples.sqlite import create_sqlite

TODAY = date(2026, 1, 15)


@pytest.fixture
def sample_sqlite(tmp_path: Path) -> Path:
    """MangaAnime, to be changed and broken as a test likes."""
    path = tmp_path / "mangaanime" / "db.sqlite3"
    create_sqlite(path, today=TODAY)
    return path


@pytest.fixture
def sample_files(tmp_path: Path) -> Path:
    """The JSON files of the COMET bot, to be changed and broken as a test likes."""
    folder = tmp_path / "comet-bot"
    create_files(folder)
    return folder


@pytest.fixture(scope="session")
def camp_backend() -> Callable[[Cluster], PostgreSQLConnection]:
    """``camp_backend(server)`` loads the camp backend once a server; tests only read it."""
    return lambda server: load(server, CAMP_BACKEND)


def load(server: Cluster, sample: PostgreSQLSample, **options: Any) -> PostgreSQLConnection:
    """Make a sample on a server, unless it is there, and return how to reach it."""
    create_postgresql(server.connection().parameters(), samples=[sample], today=TODAY, **options)
    return server.connection(sample.name)
