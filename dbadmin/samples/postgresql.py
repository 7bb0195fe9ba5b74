"""Make the PostgreSQL databases of the samples on a server."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from dbadmin.samples.applications import POSTGRESQL_SAMPLES, PROJECTS, SMALL, SQL, PostgreSQLSample

PRISMA_HISTORY = """
CREATE TABLE "_prisma_migrations" (
    id VARCHAR(36) PRIMARY KEY NOT NULL,
    checksum VARCHAR(64) NOT NULL,
    finished_at TIMESTAMPTZ,
    migration_name VARCHAR(255) NOT NULL,
    logs TEXT,
    rolled_back_at TIMESTAMPTZ,
    started_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    applied_steps_count INTEGER NOT NULL DEFAULT 0
)"""
ALEMBIC_HISTORY = """
CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)"""


def create_postgresql(
    server: Mapping[str, Any],
    rows: str = SMALL,
    *,
    samples: Sequence[PostgreSQLSample] = POSTGRESQL_SAMPLES,
    today: date | None = None,
) -> tuple[str, ...]:
    """Make the databases that are not there yet and return the names of those made.

    ``server`` are libpq's parameters (host, port, user, password) of a role that may create databases. The same
    ``rows`` and ``today`` (default: now, in UTC) give the same content. A database appears complete or not at all.
    """
    day = today or datetime.now(UTC).date()
    made = []
    with psycopg.connect(**{**server, "dbname": "postgres"}, autocommit=True) as maintenance:
        existing = {name for (name,) in maintenance.execute("SELECT datname FROM pg_database")}
        for sample in samples:
            if sample.name not in existing:
                _create(maintenance, server, sample, rows=rows, today=day)
                made.append(sample.name)
    return tuple(made)


def _create(
    maintenance: psycopg.Connection[Any],
    server: Mapping[str, Any],
    sample: PostgreSQLSample,
    *,
    rows: str,
    today: date,
) -> None:
    """Load under another name, then rename: a start that was cut off leaves nothing that looks complete."""
    loading, final = sql.Identifier(f"{sample.name}_loading"), sql.Identifier(sample.name)
    maintenance.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(loading))
    maintenance.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(loading))
    with psycopg.connect(**{**server, "dbname": f"{sample.name}_loading"}, autocommit=True) as connection:
        _load(connection, sample, rows=rows, today=today)
    maintenance.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(loading, final))


def _load(connection: psycopg.Connection[Any], sample: PostgreSQLSample, *, rows: str, today: date) -> None:
    values: dict[str, Any] = sample.settings(rows) | {"today": today}
    for name, value in values.items():
        connection.execute("SELECT set_config(%s, %s, false)", (f"samples.{name}", str(value)))
    connection.execute("SET TIME ZONE 'UTC'")
    connection.execute("SET synchronous_commit = off")
    for path in sample.schema:
        run_file(connection, PROJECTS / path)
    _record_history(connection, sample.schema)
    run_file(connection, SQL / sample.data)
    connection.execute("ANALYZE")


def run_file(connection: psycopg.Connection[Any], path: Path) -> None:
    """Execute all statements of a file, which is one of ours."""
    connection.execute(path.read_text(encoding="utf-8"))


def _record_history(connection: psycopg.Connection[Any], schema: Sequence[str]) -> None:
    """Write what the application's own migration tool would have written."""
    if schema and schema[0].endswith("/migration.sql"):
        _record_prisma(connection, schema)
    elif schema:
        connection.execute(ALEMBIC_HISTORY)
        connection.execute("INSERT INTO alembic_version VALUES (%s)", (Path(schema[-1]).name.split("_")[0],))


def _record_prisma(connection: psycopg.Connection[Any], schema: Sequence[str]) -> None:
    connection.execute(PRISMA_HISTORY)
    for path in schema:
        name = Path(path).parent.name
        content = (PROJECTS / path).read_bytes()
        started = datetime.strptime(name[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC) + timedelta(days=1)
        connection.execute(
            'INSERT INTO "_prisma_migrations" VALUES (%s, %s, %s, %s, NULL, NULL, %s, 1)',
            (
                str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
                hashlib.sha256(content).hexdigest(),
                started + timedelta(milliseconds=412),
                name,
                started,
            ),
        )
