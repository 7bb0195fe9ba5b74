"""A registered PostgreSQL database for tests of what is above the engines, new and empty for each test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import psycopg
import pytest

from dbadmin.engines.postgresql.cluster import Cluster
from dbadmin.models import Database
from tests.factories import make_database

_numbers = itertools.count(1)


@pytest.fixture
def postgresql(server: Cluster, db: None) -> Iterator[Database]:
    name = f"app_{next(_numbers)}"
    _as_superuser(server, f"CREATE DATABASE {name}")
    place = server.connection(name)
    settings = {"host": place.host, "port": place.port, "user": place.user, "name": name}
    database = make_database(engine="postgresql", settings=settings, slug=name.replace("_", "-"))
    database.password = place.password
    database.save()
    yield database
    _as_superuser(server, f"DROP DATABASE {name} WITH (FORCE)")


def execute(database: Database, sql: str) -> None:
    """Run statements in a registered database."""
    with psycopg.connect(**database.connection().parameters(), autocommit=True) as session:
        session.execute(sql)


def _as_superuser(server: Cluster, sql: str) -> None:
    with psycopg.connect(**server.connection("postgres").parameters(), autocommit=True) as session:
        session.execute(sql)
