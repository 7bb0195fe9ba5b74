from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from dbadmin.engines.base import NotAllRestored, RestoreOptions
from dbadmin.engines.postgresql import PostgreSQLEngine
from dbadmin.engines.postgresql.cluster import Cluster
from dbadmin.exceptions import Cancelled, Refused, ValidationFailed
from dbadmin.progress import Silent
from tests.engines.postgresql.conftest import MakeDatabase, Recorder, dump, execute, restore
from tests.servers import Servers

pytestmark = pytest.mark.postgresql

# Rows that are only valid in a database of this name: restoring them elsewhere fails, or takes half a minute.
FAILS_ELSEWHERE = """
CREATE TABLE fine AS SELECT 1 AS id;
CREATE TABLE picky (id integer CHECK (current_database() = 'picky'));
CREATE TABLE stern (id integer CHECK (current_database() = 'picky'));
INSERT INTO picky VALUES (1); INSERT INTO stern VALUES (1);
"""
SLOW_ELSEWHERE = """
CREATE FUNCTION slow() RETURNS boolean LANGUAGE sql AS
  'SELECT CASE WHEN current_database() = ''slow'' THEN true ELSE pg_sleep(3600) IS NOT NULL END';
CREATE TABLE slow (id integer CHECK (slow())); INSERT INTO slow VALUES (1);
"""


def test_restoring_over_something_is_refused(
    engine: PostgreSQLEngine, server: Cluster, make_database: MakeDatabase, tmp_path: Path
) -> None:
    source = make_database(server, "CREATE TABLE t AS SELECT 1 AS id")
    made = dump(source, tmp_path)
    target = engine.new_target(source, source.dbname)
    assert engine.exists(target)
    with pytest.raises(Refused, match="already exists; choose a new name"):
        restore(target, tmp_path, made)
    assert execute(source, "SELECT id FROM t") == [(1,)]


def test_an_error_removes_the_new_database_and_every_object_is_in_the_log(
    engine: PostgreSQLEngine, server: Cluster, make_database: MakeDatabase, tmp_path: Path, progress: Recorder
) -> None:
    source = make_database(server, FAILS_ELSEWHERE, name="picky")
    target = engine.new_target(source, "not picky")
    with pytest.raises(NotAllRestored, match="Objects that could not be restored: 2") as raised:
        restore(target, tmp_path, dump(source, tmp_path), progress=progress)
    assert sorted(line.object for line in raised.value.lines) == ["TABLE DATA picky", "TABLE DATA stern"]
    assert not engine.exists(target)
    errors = sorted(line for line in progress.lines if line.startswith("error"))
    assert [line.partition(":")[2].partition(":")[0].strip() for line in errors] == [
        "TABLE DATA picky",
        "TABLE DATA stern",
    ]
    assert "violates check constraint" in errors[0]


def test_cancelling_a_restore_leaves_no_database_and_no_process(
    engine: PostgreSQLEngine, server: Cluster, make_database: MakeDatabase, tmp_path: Path
) -> None:
    source = make_database(server, SLOW_ELSEWHERE, name="slow")
    made = dump(source, tmp_path)
    target = engine.new_target(source, "cancelled")

    class CancelAfterASecond(Recorder):
        until = float("inf")

        def process(self, pid: int | None) -> None:
            super().process(pid)
            self.until = time.monotonic() + 1

        def check(self) -> None:
            if time.monotonic() > self.until:
                raise Cancelled

    progress = CancelAfterASecond()
    with pytest.raises(Cancelled):
        restore(target, tmp_path, made, progress=progress)
    assert not engine.exists(target)
    assert not [pid for pid in progress.pids if Path(f"/proc/{pid}").exists()]


def test_missing_roles_are_named_before_anything_is_created(
    engine: PostgreSQLEngine, servers: Servers, make_database: MakeDatabase, tmp_path: Path
) -> None:
    source = make_database(servers[16], "CREATE TABLE t AS SELECT 1 AS id")
    execute(source, "CREATE ROLE only_here; ALTER TABLE t OWNER TO only_here")
    made = dump(source, tmp_path)
    target = engine.new_target(servers[17].connection(), "elsewhere")
    with pytest.raises(Refused, match="lacks roles that the backup names: only_here"):
        restore(target, tmp_path, replace(made, client_version="16.15"))
    assert not engine.exists(target)
    try:
        restore(target, tmp_path, made, keep_owners=False)
        assert execute(target, "SELECT id FROM t") == [(1,)]
    finally:
        engine.discard(target)


def test_a_backup_of_a_newer_server_is_refused_by_an_older_one(
    engine: PostgreSQLEngine, servers: Servers, make_database: MakeDatabase, tmp_path: Path
) -> None:
    made = dump(make_database(servers[18]), tmp_path)
    target = engine.new_target(servers[17].connection(), "older")
    with pytest.raises(Refused, match="PostgreSQL 18 cannot be restored into a server of version 17"):
        restore(target, tmp_path, made)
    assert not engine.exists(target)


def test_a_locale_that_the_server_lacks_becomes_a_warning(
    engine: PostgreSQLEngine, server: Cluster, make_database: MakeDatabase, tmp_path: Path
) -> None:
    made = dump(make_database(server, "CREATE TABLE t AS SELECT 1 AS id"), tmp_path)
    target = engine.new_target(server.connection(), "other locale")
    try:
        lines = engine.restore(
            target,
            spool=tmp_path,
            scope="full",
            origin={**made.origin, "collate": "xx_XX.UTF-8", "ctype": "xx_XX.UTF-8"},
            client_version=made.client_version,
            options=RestoreOptions(),
            progress=Silent(),
        )
    finally:
        engine.discard(target)
    assert [line.level for line in lines] == ["warning"]
    assert "xx_XX.UTF-8 is not available" in str(lines[0].message)


def test_a_role_that_may_not_create_databases_is_told_so(
    engine: PostgreSQLEngine, server: Cluster, make_database: MakeDatabase, tmp_path: Path
) -> None:
    source = make_database(server, "CREATE TABLE t AS SELECT 1 AS id")
    made = dump(source, tmp_path)
    execute(source, "DROP ROLE IF EXISTS modest; CREATE ROLE modest LOGIN PASSWORD 'm'")
    target = engine.new_target(replace(source, user="modest", password="m"), "modest copy")
    with pytest.raises(Refused, match="may not create the database"):
        restore(target, tmp_path, made, keep_owners=False)


@pytest.mark.parametrize("name", ["", " x", "a\nb", "長" * 22, "postgres", "template1"])
def test_names_that_cannot_be_used_are_refused(engine: PostgreSQLEngine, server: Cluster, name: str) -> None:
    with pytest.raises(ValidationFailed):
        engine.new_target(server.connection(), name)


def test_names_with_quotes_and_equal_signs_work(
    engine: PostgreSQLEngine, server: Cluster, make_database: MakeDatabase, tmp_path: Path
) -> None:
    source = make_database(server, "CREATE TABLE t AS SELECT 1 AS id")
    made = dump(source, tmp_path)
    target = engine.new_target(source, "a'b \"c\\ dbname=postgres")
    try:
        restore(target, tmp_path, made)
        again = tmp_path / "again"
        again.mkdir()
        assert dump(target, again).facts == made.facts
    finally:
        engine.discard(target)
    assert not engine.exists(target)
