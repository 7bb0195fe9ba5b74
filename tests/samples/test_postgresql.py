"""The PostgreSQL samples hold what breaks naive tools, and their histories are those of real tools."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dbadmin.engines import get_engine
from dbadmin.engines.postgresql.cluster import Cluster
from dbadmin.process import Command
from dbadmin.progress import Silent
from dbadmin.samples.applications import (
    CAMP_BACKEND,
    COMET_BOT,
    GOAL_MANDALA,
    MIRAI_KNOWLEDGE,
    POSTGRESQL_SAMPLES,
    PROJECTS,
    PostgreSQLSample,
)
from dbadmin.samples.postgresql import create_postgresql
from tests.sample_data import TODAY, load
from tests.servers import Servers

pytestmark = pytest.mark.postgresql
HISTORIES = {"camp_backend_db": "alembic", "goal_mandala": "prisma", "mirai_knowledge_db": "alembic"}


def query(server: Cluster, sample: PostgreSQLSample, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(**load(server, sample).parameters()) as session:
        return session.execute(sql).fetchall()


def counts(server: Cluster, sample: PostgreSQLSample) -> dict[str, int]:
    """Count what is special: kind -> how many."""
    sql = """
        SELECT 'view', count(*) FROM pg_views WHERE schemaname !~ '^pg_|information_schema'
        UNION ALL SELECT 'matview', count(*) FROM pg_matviews WHERE ispopulated
        UNION ALL SELECT 'partition', count(*) FROM pg_class WHERE relispartition AND relkind = 'r'
        UNION ALL SELECT 'identity', count(*) FROM pg_attribute WHERE attidentity <> ''
        UNION ALL SELECT 'generated', count(*) FROM pg_attribute WHERE attgenerated <> ''
        UNION ALL SELECT 'sequence', count(*) FROM pg_sequences
        UNION ALL SELECT 'trigger', count(*) FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT 'policy', count(*) FROM pg_policies
        UNION ALL SELECT 'large object', count(*) FROM pg_largeobject_metadata
        UNION ALL SELECT 'enum', count(*) FROM pg_type WHERE typtype = 'e'
        UNION ALL SELECT 'domain', count(*) FROM pg_type WHERE typtype = 'd' AND typname IN ('snowflake', 'email')
        UNION ALL SELECT 'comment', count(*) FROM pg_description WHERE objoid >= 16384
        UNION ALL SELECT 'extension', count(*) FROM pg_extension WHERE extname <> 'plpgsql'
    """
    return dict(query(server, sample, sql))


def rows(server: Cluster, sample: PostgreSQLSample) -> dict[str, int]:
    engine = get_engine("postgresql")
    return dict(engine.facts(load(server, sample), progress=Silent()).tables)


def test_the_bot_has_partitions_cycles_and_japanese_names(server: Cluster) -> None:
    found = counts(server, COMET_BOT)
    assert found["partition"] == 7
    assert min(found[kind] for kind in ("view", "matview", "identity", "generated", "trigger", "enum", "domain")) >= 1
    names = {name for (name,) in query(server, COMET_BOT, "SELECT attname FROM pg_attribute WHERE attnum > 0")}
    assert {"ギルドID", 'Prefix "コマンド"', "件数"} <= names
    cycle = "SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'f' AND conname ~ '^(guilds|channels)'"
    assert {table for (table,) in query(server, COMET_BOT, cycle)} == {"guilds", "channels"}


def test_the_bot_uses_an_extension_where_there_is_one(server: Cluster) -> None:
    available = query(server, COMET_BOT, "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_trgm'")
    assert counts(server, COMET_BOT)["extension"] == available[0][0]


def test_the_camp_has_large_objects_row_security_and_bytes(server: Cluster) -> None:
    found = counts(server, CAMP_BACKEND)
    assert found["large object"] == 40
    assert found["policy"] == found["trigger"] == found["generated"] == 1
    assert query(server, CAMP_BACKEND, "SELECT lo_get(original, 0, 4), thumbnail_size FROM file_contents LIMIT 1")


def test_knowledge_has_a_schema_of_its_own_and_odd_values(server: Cluster) -> None:
    found = counts(server, MIRAI_KNOWLEDGE)
    assert found["sequence"] >= 4
    assert found["policy"] == 2
    assert rows(server, MIRAI_KNOWLEDGE)["knowledge.approvals"] == 0
    assert query(server, MIRAI_KNOWLEDGE, 'SELECT count(*) FROM "工事案件" WHERE "請負金額" = \'NaN\'')[0][0] > 5
    assert query(server, MIRAI_KNOWLEDGE, 'SELECT count(*) FROM "工事案件" WHERE upper_inf("工期")')[0][0] > 5


def test_goals_lead_in_a_circle_through_mixed_case_tables(server: Cluster) -> None:
    circle = """
        WITH RECURSIVE path AS (
            SELECT "nextGoalId" AS id, 1 AS steps FROM "Goal" WHERE id = (SELECT min(id) FROM "Goal")
            UNION ALL SELECT "nextGoalId", steps + 1 FROM path JOIN "Goal" USING (id) WHERE steps < 100
        ) SELECT count(*) FROM path
    """
    assert query(server, GOAL_MANDALA, circle)[0][0] >= 1
    assert query(server, GOAL_MANDALA, 'SELECT count(*) FROM "Goal" a JOIN "Goal" b ON a."nextGoalId" = b.id')[0][0] > 1


@pytest.mark.parametrize("sample", POSTGRESQL_SAMPLES, ids=lambda sample: sample.name)
def test_every_sample_has_rows_and_an_empty_table_and_comments_or_views(
    server: Cluster, sample: PostgreSQLSample
) -> None:
    tables = rows(server, sample)
    assert sum(tables.values()) > 2_500
    found = counts(server, sample)
    assert found["matview"] == 1
    assert found["comment"] + found["view"] + found["trigger"] > 0


def test_applied_and_pending_migrations_are_real(server: Cluster) -> None:
    engine = get_engine("postgresql")
    for sample in POSTGRESQL_SAMPLES:
        if tool := HISTORIES.get(sample.name):
            assert [history.tool for history in engine.history(load(server, sample))] == [tool]
    assert query(server, CAMP_BACKEND, "SELECT version_num FROM alembic_version") == [("c47d9be1863f",)]
    versions = PROJECTS / "camp-backend/src/alembic/versions"
    assert len(list(versions.glob("*.py"))) == 4  # one is pending


def test_checksums_are_those_of_the_files(server: Cluster) -> None:
    recorded = dict(query(server, GOAL_MANDALA, 'SELECT migration_name, checksum FROM "_prisma_migrations"'))
    folders = (PROJECTS / "goal-mandala/prisma/migrations").glob("*/migration.sql")
    assert recorded == {path.parent.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folders}


def test_the_same_day_gives_the_same_content(server: Cluster) -> None:
    content = 'SELECT md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM "Goal" t'
    before = query(server, GOAL_MANDALA, content)
    drop(server, GOAL_MANDALA)
    assert query(server, GOAL_MANDALA, content) == before


def test_a_load_that_was_cut_off_is_begun_again(server: Cluster) -> None:
    drop(server, GOAL_MANDALA)
    with psycopg.connect(**server.connection().parameters(), autocommit=True) as session:
        session.execute("CREATE DATABASE goal_mandala_loading")
    assert create_postgresql(server.connection().parameters(), samples=[GOAL_MANDALA], today=TODAY) == ("goal_mandala",)
    assert create_postgresql(server.connection().parameters(), samples=[GOAL_MANDALA], today=TODAY) == ()


@pytest.mark.parametrize("major", [15, 18])
def test_the_oldest_and_the_newest_server_take_every_sample(servers: Servers, major: int) -> None:
    server = servers[major]
    for sample in POSTGRESQL_SAMPLES:
        assert sum(rows(server, sample).values()) > 2_500


@pytest.fixture
def scratch(server: Cluster) -> Iterator[dict[str, Any]]:
    """An empty database for a real Alembic."""
    with psycopg.connect(**server.connection().parameters(), autocommit=True) as session:
        session.execute("CREATE DATABASE alembic_scratch")
        yield server.connection("alembic_scratch").parameters()
        session.execute("DROP DATABASE alembic_scratch WITH (FORCE)")


@pytest.mark.parametrize(
    ("project", "sample"),
    [("camp-backend/src", CAMP_BACKEND), ("mirai-knowledge/backend", MIRAI_KNOWLEDGE)],
    ids=["camp-backend", "mirai-knowledge"],
)
def test_a_real_alembic_makes_the_same_schema_and_takes_it_back(
    server: Cluster, scratch: dict[str, Any], project: str, sample: PostgreSQLSample
) -> None:
    applied = query(server, sample, "SELECT version_num FROM alembic_version")[0][0]
    alembic(project, scratch, "upgrade", applied)
    with psycopg.connect(**scratch) as session:
        assert session.execute(COLUMNS).fetchall() == query(server, sample, COLUMNS)
    alembic(project, scratch, "upgrade", "head")
    alembic(project, scratch, "downgrade", "base")
    with psycopg.connect(**scratch) as session:
        left = session.execute("SELECT tablename FROM pg_tables WHERE schemaname !~ '^pg_|information_schema'")
        assert left.fetchall() == [("alembic_version",)]


COLUMNS = """
    SELECT table_schema, table_name, column_name, data_type, column_default, is_nullable
    FROM information_schema.columns WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
    ORDER BY 1, 2, 3
"""


def alembic(project: str, parameters: dict[str, Any], *arguments: str) -> None:
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    variables = {variable: str(parameters[name]) for name, variable in names.items()}
    Command(
        argv=(sys.executable, "-m", "alembic", *arguments),
        cwd=Path(PROJECTS / project),
        env=variables | {"DATABASE_URL": "postgresql+asyncpg://", "PYTHONDONTWRITEBYTECODE": "1"},
    ).run()


def drop(server: Cluster, sample: PostgreSQLSample) -> None:
    with psycopg.connect(**server.connection().parameters(), autocommit=True) as session:
        session.execute(f"DROP DATABASE IF EXISTS {sample.name} WITH (FORCE)")  # type: ignore[call-overload]
