"""Files made by real pg_dump, and files made by people who mean harm."""

from __future__ import annotations

import gzip
import itertools
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from backports import zstd

from dbadmin.engines import recognise
from dbadmin.engines.postgresql import PostgreSQLConnection, PostgreSQLEngine
from dbadmin.engines.postgresql.cluster import Cluster
from dbadmin.engines.postgresql.imports import import_dump
from dbadmin.engines.recognise import recognise as look
from dbadmin.exceptions import DbadminError
from dbadmin.progress import Silent
from tests.servers import Servers

ENGINE = PostgreSQLEngine()
_numbers = itertools.count(1)
FORMS = ("custom", "tar", "directory", "plain")
SCHEMA = r"""
CREATE TABLE people (id serial PRIMARY KEY, name text, raw bytea);
INSERT INTO people (name, raw) SELECT E'名 ' || n || E' \\ ; '' \t \r end', '\xdead' FROM generate_series(1, 500) n;
INSERT INTO people (name) VALUES (E'\\.'), (E'\\! touch x'), ('$$'), ('--'), ('/*');
CREATE TABLE "odd; name $x$" ("from stdin" text, "x""y" int);
INSERT INTO "odd; name $x$" VALUES ('a', 1);
CREATE FUNCTION quoted() RETURNS text LANGUAGE sql AS $body$ SELECT '; \! touch x' $body$;
CREATE FUNCTION atomic(n int) RETURNS int LANGUAGE sql
 BEGIN ATOMIC SELECT 1; SELECT CASE WHEN n > 1 THEN 2 ELSE 3 END; END;
CREATE VIEW seen AS SELECT count(*) FROM people;
CREATE RULE twice AS ON DELETE TO people DO ALSO (SELECT 1; SELECT 2);
COMMENT ON TABLE people IS E'semi; colon -- and \\ backslash';
"""


def execute(connection: PostgreSQLConnection, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(**connection.parameters(), autocommit=True) as session:
        cursor = session.execute(sql)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module", params=[15, 16])
def source(request: pytest.FixtureRequest, servers: Servers) -> PostgreSQLConnection:
    cluster = servers[request.param]
    name = f"import_source_{next(_numbers)}"
    execute(cluster.connection("postgres"), f"CREATE DATABASE {name}")
    place = cluster.connection(name)
    execute(place, SCHEMA)
    return place


@pytest.fixture
def target(source: PostgreSQLConnection) -> Iterator[PostgreSQLConnection]:
    wanted = replace(source, dbname=f"imported_{next(_numbers)}", maintenance="postgres")
    yield wanted
    ENGINE.discard(wanted)


@pytest.fixture
def own(server: Cluster) -> Iterator[PostgreSQLConnection]:
    wanted = replace(server.connection("postgres"), dbname=f"imported_{next(_numbers)}", maintenance="postgres")
    yield wanted
    ENGINE.discard(wanted)


def dumped(source: PostgreSQLConnection, folder: Path, form: str, *options: str) -> Path:
    from dbadmin.engines.postgresql.clients import dump_client, version_major

    (version,) = execute(source, "SHOW server_version")[0]
    path = folder / "upload"
    program = dump_client(version_major(str(version))).program("pg_dump")
    source.command((program, f"--format={form}", f"--file={path}", *options)).run()
    return path


def packed(path: Path, how: str) -> Path:
    target = path.with_name(f"{path.name}.{how}")
    if how == "tar.gz":
        with tarfile.open(target, "w:gz") as tar:
            tar.add(path, "../any/dump")
        return target
    opener = gzip.open if how == "gz" else zstd.open
    with opener(target, "wb") as file:
        file.write(path.read_bytes())
    return target


def bring(target: PostgreSQLConnection, path: Path, spool: Path) -> tuple[object, ...]:
    spool.mkdir()
    return import_dump(target, path, look(path), spool=spool, keep_owners=False, progress=Silent())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("how", ["", "gz", "zst"])
def test_every_form_comes_back_equal(
    source: PostgreSQLConnection, target: PostgreSQLConnection, tmp_path: Path, form: str, how: str
) -> None:
    path = dumped(source, tmp_path, form)
    if how:
        path = packed(path, "tar.gz" if path.is_dir() else how)
    bring(target, path, tmp_path / "spool")
    expected, found = (ENGINE.facts(place, progress=Silent()) for place in (source, target))
    assert expected.differences(found) == ()
    assert found.rows == 506
    content = "SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM people p"
    assert execute(source, content) == execute(target, content)


def test_rows_may_come_as_statements(
    source: PostgreSQLConnection, target: PostgreSQLConnection, tmp_path: Path
) -> None:
    bring(target, dumped(source, tmp_path, "plain", "--inserts"), tmp_path / "spool")
    assert ENGINE.facts(target, progress=Silent()).rows == 506


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("how", ["", "gz", "zst"])
def test_a_cut_file_leaves_nothing(
    source: PostgreSQLConnection, target: PostgreSQLConnection, tmp_path: Path, form: str, how: str
) -> None:
    path = dumped(source, tmp_path, form)
    if how or path.is_dir():
        path = packed(path, "tar.gz" if path.is_dir() else how)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    with pytest.raises(DbadminError):
        bring(target, path, tmp_path / "spool")
    assert not ENGINE.exists(target)


HOSTILE = [
    "\\! touch {mark}",
    "SELECT 1 \\! touch {mark}",
    "SELECT 1 \\g |touch {mark}",
    "SELECT 'touch {mark}' \\gexec",
    "CREATE TABLE t (x text);\nCOPY t FROM stdin;\na\n\\.\n\\! touch {mark}",
    "CREATE TABLE t (x text);\n\\copy t from program 'touch {mark}'",
    "\\i {mark}",
    "\\o {mark}\nSELECT 1;",
    "\\setenv X y",
    "\\restrict abc\n\\unrestrict abc\n\\! touch {mark}",
    "/* ; */ \\! touch {mark}",
    "SELECT $a$ $b$ $a$ \\! touch {mark}",
    "SELECT E'\\'' \\! touch {mark}",
    "SET standard_conforming_strings = off;\nSELECT 'it\\'s' \\! touch {mark}",
    "CREATE TABLE t (x text);\nCOPY t FROM PROGRAM 'touch {mark}; echo a';",
    "COPY (SELECT 1) TO PROGRAM 'touch {mark}';",
    "COPY (SELECT 1) TO '{mark}';",
    "\\connect postgres\nSELECT 1;",
    "CREATE DATABASE other;",
    "/* */ create  role evil superuser;",
    "ALTER ROLE postgres PASSWORD 'x';",
    "CREATE TABLE t (x int);\nROLLBACK;\nCREATE TABLE u (x int);",
    "CREATE TABLE t (x int);\nCOMMIT AND CHAIN;\nABORT;",
    "CREATE TABLE t (x int);\nINSERT INTO t VALUES (1);\nINSERT INTO nowhere VALUES (1);",
    "SELECT 'never closed",
    "SELECT 1; /* never closed",
]


@pytest.mark.parametrize("content", HOSTILE)
def test_a_hostile_file_runs_nothing_and_leaves_nothing(
    own: PostgreSQLConnection, tmp_path: Path, content: str
) -> None:
    tmp_path.chmod(0o777)
    mark, path = tmp_path / "mark", tmp_path / "upload.sql"
    path.write_text("SET statement_timeout = 0;\n" + content.format(mark=mark) + "\n")
    with pytest.raises(DbadminError) as caught:
        bring(own, path, tmp_path / "spool")
    assert caught.value.message
    assert caught.value.hint
    assert not mark.exists()
    assert not ENGINE.exists(own)
    assert execute(replace(own, dbname="postgres"), "SELECT 1 FROM pg_roles WHERE rolname = 'evil'") == []


def test_a_script_of_ones_own_runs_in_one_transaction(own: PostgreSQLConnection, tmp_path: Path) -> None:
    path = tmp_path / "upload.sql"
    path.write_text("\ufeffBEGIN;\nCREATE TABLE t (x int);\nINSERT INTO t VALUES (1), (2);\nCOMMIT;\nSELECT 1")
    bring(own, path, tmp_path / "spool")
    assert execute(own, "SELECT sum(x) FROM t") == [(3,)]


def test_what_a_newer_pg_dump_sets_for_nothing_is_left_out(own: PostgreSQLConnection, tmp_path: Path) -> None:
    path = tmp_path / "upload.sql"
    path.write_text("SET statement_timeout = 0;\nSET transaction_timeout = 0;\nCREATE TABLE t (x int);\n")
    bring(own, path, tmp_path / "spool")
    assert execute(own, "SELECT count(*) FROM t") == [(0,)]


def test_an_answer_of_any_size_is_thrown_away(own: PostgreSQLConnection, tmp_path: Path) -> None:
    path = tmp_path / "upload.sql"
    path.write_text("CREATE TABLE t (x int); SELECT generate_series(1, 300000); INSERT INTO t VALUES (1);")
    bring(own, path, tmp_path / "spool")
    assert execute(own, "SELECT x FROM t") == [(1,)]


def test_an_error_names_its_line(own: PostgreSQLConnection, tmp_path: Path) -> None:
    path = tmp_path / "upload.sql"
    path.write_text("CREATE TABLE t (x int);\n\n-- a comment\nINSERT INTO nowhere\n VALUES (1);\n")
    with pytest.raises(DbadminError, match="line 4 failed: relation"):
        bring(own, path, tmp_path / "spool")


def test_a_dump_of_a_newer_server_is_refused(servers: Servers, tmp_path: Path) -> None:
    path = tmp_path / "upload.sql"
    path.write_text("-- PostgreSQL database dump\n-- Dumped from database version 16.1\nSELECT 1;\n")
    target = replace(servers[15].connection("postgres"), dbname="imported_newer")
    with pytest.raises(DbadminError, match="cannot be imported into a server of version 15"):
        bring(target, path, tmp_path / "spool")


def test_a_name_that_exists_is_refused_and_left_alone(source: PostgreSQLConnection, tmp_path: Path) -> None:
    path = dumped(source, tmp_path, "custom")
    with pytest.raises(DbadminError, match="already exists"):
        bring(source, path, tmp_path / "spool")
    assert ENGINE.facts(source, progress=Silent()).rows == 506


def test_what_unpacks_to_more_than_the_disk_stops(
    own: PostgreSQLConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recognise, "LEFT_FREE", 1 << 60)
    path = packed(dumped(replace(own, dbname="postgres"), tmp_path, "custom"), "gz")
    with pytest.raises(DbadminError, match="would be full"):
        bring(own, path, tmp_path / "spool")
    assert not ENGINE.exists(own)


def test_a_dump_says_what_it_is(source: PostgreSQLConnection, tmp_path: Path) -> None:
    found = look(dumped(source, tmp_path, "custom"))
    assert found.database == source.dbname
    assert str(found.sentence()).startswith("A dump of pg_dump in the custom format, of PostgreSQL 1")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\x89PNG\r\n", "no database dump"),
        (b"hello", "no database dump"),
        (b"PK\x03\x04rest", "ZIP"),
        (b"PGDMP", "cannot be read"),
        (b"PGDMP\x01\x63\x00\x04\x08\x01", "unknown version 1.99"),
        (b"\xff\xfeS\0E\0", "UTF-16"),
        (b"--\n-- PostgreSQL database cluster dump\n--\n", "whole server"),
        (b"-- MySQL dump 10.13\n", "MySQL"),
        (b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n", "SQLite"),
        (b"\x1f\x8b\x08\x00broken", "damaged"),
        (b"\x28\xb5\x2f\xfdbroken", "damaged"),
    ],
)
def test_what_cannot_be_imported_is_told_in_a_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "backup.sql"
    path.write_bytes(content)
    with pytest.raises(DbadminError, match=said):
        look(path)
