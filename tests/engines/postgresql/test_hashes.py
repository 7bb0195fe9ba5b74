"""Hashes of rows: equal for equal rows whatever the server, its version and its habits; never for others."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from dbadmin.engines.postgresql import PostgreSQLConnection, PostgreSQLEngine
from dbadmin.engines.postgresql.cluster import Cluster
from dbadmin.facts import Facts, Measuring
from dbadmin.progress import Silent
from tests.engines.postgresql.conftest import NASTY, MakeDatabase, execute, restore
from tests.servers import Servers

pytestmark = pytest.mark.postgresql
HASHES = Measuring(hashes=True)
VALUES = r"""
CREATE TYPE feeling AS ENUM ('sad', 'ok');
CREATE TYPE inner_pair AS (a float8, b timestamptz);
CREATE TABLE elder (z int, y text);
CREATE TABLE younger (own text DEFAULT 'own') INHERITS (elder);
ALTER TABLE elder ADD added bytea DEFAULT '\x00ff';
INSERT INTO younger (z, y) VALUES (1, 'one');
CREATE TABLE "Werte 値" (
  f float8, r real, n numeric, at timestamptz, plain timestamp, d date, span interval, b bytea, j json, jb jsonb,
  x xml, words text[], moods feeling[], m feeling, t text, letter "char", pay money, net inet, bits varbit,
  p inner_pair, place point, r8 numrange, what regclass, gone int, f2 float8 GENERATED ALWAYS AS (f * 2) STORED);
ALTER TABLE "Werte 値" DROP COLUMN gone;
INSERT INTO "Werte 値" VALUES
 ('NaN', 'NaN', 'NaN', 'infinity', '-infinity', 'infinity', '1 year 2 mons -3 days 04:05:06.7', '\x00ff5c', '{"b":1,
   "a": 2, "a": 3}', '{"b":1.10,"a":null}', '<?xml version="1.0"?><a b="c">é</a>', ARRAY['a', NULL, '', 'c,"d'],
  ARRAY['ok', 'sad']::feeling[], 'ok', E'tab\t\\ 鈴木', 'a', 12.34, '::1/64', B'101', ROW('-0', '2026-01-01 00:00+09'),
  '(0.1,-0)', '[1.0,2.00)', 'elder'),
 ('-0', '-0', 1.0, '2026-03-29 02:30+01', '2026-03-29 02:30', '0044-03-15 BC', '-1 day', '', 'null', 'null', NULL, '{}',
  '{}', NULL, '', '', -1, '10.0.0.1', B'', NULL, NULL, 'empty', NULL),
 (0, 0, 1.00, '-infinity', NULL, NULL, '0', NULL, '"x"', '"x"', '<a/>', '{{1,2},{3,4}}', NULL, 'sad', NULL, 'z', 0,
  NULL, NULL, ROW(NULL, NULL), '(1e300,1e-300)', '(,)', NULL),
 (0.1 + 0.2, 0.3, 1e-20, '2026-11-01 05:30+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'ß', NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO "Werte 値" (t) SELECT 'the same' FROM generate_series(1, 3);
CREATE TABLE no_columns (); INSERT INTO no_columns DEFAULT VALUES;
"""
HABITS = (
    "TimeZone = 'Asia/Tokyo'", "DateStyle = 'German'", "IntervalStyle = 'iso_8601'", "extra_float_digits = 0",
    "bytea_output = 'escape'", "quote_all_identifiers = on", "search_path = 'public'", "xmlbinary = 'hex'",
)  # fmt: skip
JAPANESE = "LOCALE_PROVIDER icu ICU_LOCALE 'ja-JP' LC_COLLATE 'C' LC_CTYPE 'C'"
BUILTIN = "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LC_COLLATE 'C' LC_CTYPE 'C'"


def facts(connection: PostgreSQLConnection, measuring: Measuring = HASHES) -> Facts:
    return PostgreSQLEngine().facts(connection, progress=Silent(), measuring=measuring)


def elsewhere(make_database: MakeDatabase, cluster: Cluster) -> PostgreSQLConnection:
    """A database of other collation, time zone and habits."""
    target, server = make_database(cluster), cluster.connection()
    execute(server, f'DROP DATABASE "{target.dbname}"')
    create = f"CREATE DATABASE \"{target.dbname}\" TEMPLATE template0 ENCODING 'UTF8' "
    try:
        execute(server, create + JAPANESE)
    except psycopg.errors.FeatureNotSupported:  # programs that are built without ICU
        has_builtin = execute(server, "SHOW server_version_num")[0][0] >= "17"
        execute(server, create + (BUILTIN if has_builtin else "LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'"))
    for habit in HABITS:
        execute(server, f'ALTER DATABASE "{target.dbname}" SET {habit}')
    return target


@pytest.mark.parametrize("major", [15, 16, 18])
def test_equal_rows_have_equal_hashes_everywhere(servers: Servers, make_database: MakeDatabase, major: int) -> None:
    here = facts(make_database(servers[15], VALUES))
    other = elsewhere(make_database, servers[major])
    execute(other, VALUES)
    assert set(here.hashes) == {'public."Werte 値"', "public.elder", "public.younger", "public.no_columns"}
    assert here.hashes == facts(other).hashes
    assert not here.missing


@pytest.mark.parametrize(("old", "new"), [(15, 18), (16, 16), (18, 18)])
def test_a_restored_copy_has_the_same_hashes(
    servers: Servers, make_database: MakeDatabase, tmp_path: Path, old: int, new: int
) -> None:
    source, engine = make_database(servers[old], NASTY + VALUES), PostgreSQLEngine()
    made = engine.dump(source, scope="full", spool=tmp_path, progress=Silent(), measuring=HASHES)
    target = engine.new_target(servers[new].connection(), f"hashed_{old}_{new}")
    restore(target, tmp_path, made)
    try:
        found = facts(target)
        assert made.facts.hashes.keys() >= {"public.big", "public.younger", "日本語.会員"}
        assert "public.totals" not in made.facts.hashes
        assert made.facts.hashes == found.hashes
        assert made.facts.differences(found) == ()
    finally:
        engine.discard(target)


CHANGES = {
    "sign of zero": """UPDATE "Werte 値" SET f = 0 WHERE f = 0 AND r::text = '-0'""",
    "scale": 'UPDATE "Werte 値" SET n = 1.000 WHERE n = 1.00 AND d IS NULL',
    "space in json": """UPDATE "Werte 値" SET j = ' null' WHERE j::text = 'null'""",
    "case": """UPDATE "Werte 値" SET t = 'The same' WHERE ctid = (SELECT max(ctid) FROM "Werte 値")""",
    "NULL and nothing": """UPDATE "Werte 値" SET t = NULL WHERE t = ''""",
    "a second": """UPDATE "Werte 値" SET at = at + interval '1 us' WHERE at = '2026-11-01 05:30+00'""",
    "duplicates of another row": """UPDATE "Werte 値" AS w SET (f, t) = (o.f, o.t) FROM "Werte 値" AS o
        WHERE w.t = 'the same' AND o.t = 'ß'""",
    "values of two columns swapped": "UPDATE younger SET y = own, own = y",
}


@pytest.mark.parametrize("change", CHANGES)
def test_one_altered_value_is_found_though_every_count_is_equal(
    servers: Servers, make_database: MakeDatabase, change: str
) -> None:
    source = make_database(servers[16], VALUES)
    before = facts(source)
    execute(source, CHANGES[change])
    after = facts(source)
    assert before.tables == after.tables
    [difference] = before.differences(after)
    assert difference.subject in ('public."Werte 値"', "public.younger")
    assert difference.expected.startswith("hash ")


def test_an_even_number_of_equal_rows_does_not_cancel_out(servers: Servers, make_database: MakeDatabase) -> None:
    source = make_database(servers[16], "CREATE TABLE t (v int); INSERT INTO t VALUES (1), (1), (2), (2)")
    before = facts(source)
    execute(source, "UPDATE t SET v = 3 WHERE v = 2")
    assert before.differences(facts(source))


def test_what_the_time_did_not_suffice_for_is_named(servers: Servers, make_database: MakeDatabase) -> None:
    source = make_database(servers[16], VALUES)
    cut = facts(source, Measuring(hashes=True, seconds=0.000_001))
    assert set(cut.uncounted) == {'public."Werte 値"', "public.elder", "public.younger", "public.no_columns"}
    assert "0.000001" in f"{cut.reasons['public.younger']['params']['seconds']:f}"
    assert cut.objects
    assert cut.schema_fingerprint
    assert cut.differences(facts(source)) == ()
    assert [line.expected for line in cut.unknowns()] == ["not measured"] * 4


def test_a_long_query_is_ended_when_the_time_is_over(servers: Servers, make_database: MakeDatabase) -> None:
    source = make_database(servers[16], "CREATE TABLE small (v int); CREATE TABLE slow AS SELECT n, md5(n::text) AS w"
                           " FROM generate_series(1, 3000000) AS n")  # fmt: skip
    for seconds in (0.25, 0.5, 1, 2, 4):  # as little as suffices for the small one on this machine
        cut = facts(source, Measuring(hashes=True, seconds=seconds))
        if cut.hashes:
            break
    assert cut.hashes.keys() == {"public.small"}
    assert cut.missing == ("public.slow",)


def test_a_row_that_cannot_be_written_leaves_its_table_counted(servers: Servers, make_database: MakeDatabase) -> None:
    source = make_database(
        servers[16],
        "CREATE TABLE wide (a bytea, b bytea); ALTER TABLE wide ALTER a SET STORAGE EXTERNAL;"
        " INSERT INTO wide SELECT b, b FROM (SELECT decode(repeat('00', 300000000), 'hex') AS b) AS _",
    )
    found = facts(source)
    assert (found.tables, found.hashes) == ({"public.wide": 1}, {})
    assert "counted, not hashed" in str(found.unmeasured[0])
