"""The catalogue on a real PostgreSQL server for tests that need one, wherever the other tests have theirs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections

from dbadmin.engines.postgresql.cluster import Cluster

_numbers = itertools.count(1)


@pytest.fixture
def postgresql_catalogue(server: Cluster, transactional_db: None) -> Iterator[None]:
    """For the duration of a test the models are those of a new database with the tables of the catalogue."""
    usual = connections["default"]
    name = f"catalogue_{next(_numbers)}"
    _as_superuser(server, f"CREATE DATABASE {name}")
    connections["default"] = own = _connection(server, name)
    call_command("migrate", interactive=False, verbosity=0)
    yield
    own.close()
    connections["default"] = usual
    _as_superuser(server, f"DROP DATABASE {name} WITH (FORCE)")


def _connection(server: Cluster, name: str) -> Any:
    place = server.connection(name)
    connections.settings["catalogue"] = connections.settings["default"] | {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "HOST": place.host,
        "PORT": str(place.port),
        "USER": place.user,
        "PASSWORD": place.password,
        "OPTIONS": {},
        "CONN_MAX_AGE": 0,
    }
    made = connections.create_connection("catalogue")
    del connections.settings["catalogue"]
    made.alias = "default"
    return made


def _as_superuser(server: Cluster, sql: str) -> None:
    with psycopg.connect(**server.connection("postgres").parameters(), autocommit=True) as session:
        session.execute(sql)
