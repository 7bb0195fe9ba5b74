from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dbadmin.engines.base import DATA, SCHEMA
from dbadmin.engines.postgresql import PostgreSQLEngine
from dbadmin.exceptions import Refused
from dbadmin.process import Command
from dbadmin.progress import Silent
from tests.engines.postgresql.conftest import NASTY, MakeDatabase, Recorder, dump, execute, restore
from tests.servers import VERSIONS, Servers

pytestmark = pytest.mark.postgresql


@pytest.mark.parametrize("major", VERSIONS)
def test_a_restored_copy_has_the_facts_of_the_dump(
    engine: PostgreSQLEngine, servers: Servers, make_database: MakeDatabase, tmp_path: Path, major: int
) -> None:
    source = make_database(servers[major], NASTY)
    made = dump(source, tmp_path)
    target = engine.new_target(source, f"{source.dbname} copy")
    try:
        restore(target, tmp_path, made)
        assert made.facts.differences(engine.facts(target, progress=Silent())) == ()
    finally:
        engine.discard(target)
    assert made.facts.tables["日本語.会員"] == 3
    assert made.facts.schema_head == {"alembic": ["abc123"]}
    assert made.warnings == ()


def test_a_copy_on_a_newer_server_has_the_same_facts(
    engine: PostgreSQLEngine, servers: Servers, make_database: MakeDatabase, tmp_path: Path
) -> None:
    source = make_database(servers[15], NASTY)
    made = dump(source, tmp_path)
    target = engine.new_target(servers[18].connection(), "from 15")
    try:
        restore(target, tmp_path, made)
        assert made.facts.differences(engine.facts(target, progress=Silent())) == ()
    finally:
        engine.discard(target)


def test_the_schema_alone_restores_to_empty_tables(
    engine: PostgreSQLEngine, servers: Servers, make_database: MakeDatabase, tmp_path: Path
) -> None:
    source = make_database(servers[16], NASTY)
    made = dump(source, tmp_path, scope=SCHEMA)
    target = engine.new_target(source, "schema only")
    try:
        restore(target, tmp_path, made, scope=SCHEMA)
        assert made.facts.differences(engine.facts(target, progress=Silent())) == ()
    finally:
        engine.discard(target)
    assert made.facts.rows == 0


def test_data_alone_is_dumped_but_not_restored(servers: Servers, make_database: MakeDatabase, tmp_path: Path) -> None:
    source = make_database(servers[16], "CREATE TABLE t AS SELECT 1 AS id")
    made = dump(source, tmp_path, scope=DATA)
    assert made.facts.tables == {"public.t": 1}
    with pytest.raises(Refused, match="data alone"):
        restore(PostgreSQLEngine().new_target(source, "never"), tmp_path, made, scope=DATA)


def test_a_changed_row_and_a_changed_view_are_different_facts(
    engine: PostgreSQLEngine, servers: Servers, make_database: MakeDatabase
) -> None:
    source = make_database(servers[18], NASTY)
    before = engine.facts(source, progress=Silent())
    execute(
        source,
        "DELETE FROM big WHERE id = 1; CREATE OR REPLACE VIEW joined AS SELECT e.id, h.egg, 1 + e.hen AS hen"
        " FROM egg e JOIN hen h ON h.id = e.hen",
    )
    found = before.differences(engine.facts(source, progress=Silent()))
    assert [difference.subject for difference in found] == ["public.big", "schema"]


def test_encoding_settings_comment_and_a_missing_public_schema_come_back(
    engine: PostgreSQLEngine, servers: Servers, make_database: MakeDatabase, tmp_path: Path
) -> None:
    server = servers[17].connection()
    execute(server, "CREATE DATABASE odd TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C' CONNECTION LIMIT 7")
    source = engine.new_target(server, "odd")
    target = engine.new_target(server, "odd copy")
    try:
        execute(source, "DROP SCHEMA public; CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 'é' AS letter")
        execute(
            source,
            "ALTER DATABASE odd SET search_path TO \"$user\", s; COMMENT ON DATABASE odd IS 'it''s odd';"
            " REVOKE CONNECT ON DATABASE odd FROM PUBLIC",
        )
        restore(target, tmp_path, dump(source, tmp_path))
        assert execute(
            target, "SELECT letter, current_setting('search_path'), current_setting('server_encoding') FROM t"
        ) == [("é", '"$user", s', "LATIN1")]
        assert execute(
            target,
            "SELECT datconnlimit, shobj_description(oid, 'pg_database'), datacl::text ~ '=T/' FROM"
            " pg_database WHERE datname = current_database()",
        ) == [(7, "it's odd", True)]
        assert execute(target, "SELECT 1 FROM pg_namespace WHERE nspname = 'public'") == []
    finally:
        engine.discard(source)
        engine.discard(target)


def test_plain_pg_restore_and_plain_sql_restore_it_too(
    engine: PostgreSQLEngine, servers: Servers, make_database: MakeDatabase, tmp_path: Path
) -> None:
    source = make_database(servers[16], NASTY)
    made = dump(source, tmp_path)
    programs = servers[16].bin_folder
    by_tool, by_sql = make_database(servers[16]), make_database(servers[16])
    by_tool.command((str(programs / "pg_restore"), "-d", f"dbname='{by_tool.dbname}'", str(tmp_path / "dump"))).run()
    script = engine.export_sql(spool=tmp_path, client_version=made.client_version, progress=Silent())
    assert script is not None
    by_sql.command((str(programs / "psql"), "-qX", "-v", "ON_ERROR_STOP=1", "-f", str(script))).run()
    for copy in (by_tool, by_sql):
        assert made.facts.differences(engine.facts(copy, progress=Silent())) == ()


def test_globals_are_dumped_with_passwords_and_readable_by_us_alone(
    servers: Servers, make_database: MakeDatabase, tmp_path: Path
) -> None:
    dump(make_database(servers[16]), tmp_path)
    assert "SCRAM-SHA-256$" in (tmp_path / "globals.sql").read_text()
    assert (tmp_path / "globals.sql").stat().st_mode & 0o077 == 0


def test_a_damaged_dump_is_not_restored(
    engine: PostgreSQLEngine, servers: Servers, make_database: MakeDatabase, tmp_path: Path, progress: Recorder
) -> None:
    source = make_database(servers[16], "CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 9) g")
    made = dump(source, tmp_path)
    next((tmp_path / "dump").glob("*.dat.zst")).write_bytes(b"not zstd")
    target = engine.new_target(source, "damaged")
    with pytest.raises(Exception, match=r"could not|decompress"):
        restore(target, tmp_path, made, progress=progress)
    assert not engine.exists(target)
    assert [line for line in progress.lines if line.startswith("error")]


def test_a_tool_that_is_not_ours_finds_nothing_to_complain_of(
    servers: Servers, make_database: MakeDatabase, tmp_path: Path
) -> None:
    dump(make_database(servers[16], NASTY), tmp_path)
    shutil.copytree(tmp_path / "dump", tmp_path / "moved")
    listing = Command(argv=(str(servers[16].bin_folder / "pg_restore"), "-l", str(tmp_path / "moved"))).read()
    assert "TABLE DATA 日本語 会員" in listing
