"""A list of values on a varchar is written differently after a restore, and is no difference."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbadmin.engines.postgresql import PostgreSQLEngine
from dbadmin.engines.postgresql.compare import compare_dumps
from dbadmin.engines.postgresql.deparsed import casts_inside
from dbadmin.engines.postgresql.fingerprint import schema_lines
from dbadmin.engines.postgresql.sessions import connect
from dbadmin.progress import Silent
from tests.engines.postgresql.conftest import MakeDatabase, dump, restore
from tests.servers import VERSIONS, Servers

LISTS = """
CREATE TYPE mood AS ENUM ('a','b'); CREATE DOMAIN short AS varchar(5) CHECK (VALUE IN ('a', 'b', 'c''d]'));
CREATE TABLE q (id int, v varchar(10), t text, c char(3), n name, m mood, s short, num numeric, at timestamp,
  ok boolean GENERATED ALWAYS AS (v IN ('a', 'b]''(')) STORED, CHECK (v IN ('x', 'y')), CHECK (v NOT IN ('p', 'q')),
  CHECK (t IN ('x','y')), CHECK (c IN ('x','y')), CHECK (n IN ('x','y')), CHECK (m IN ('a','b')),
  CHECK (s IN ('a','b')), CHECK (num IN (1, 2.5)), CHECK (v = ANY ('{a,b}'::varchar[])), CHECK (v IN (lower('A'), 'b')),
  CHECK (v LIKE ANY (ARRAY['a%','b%'])), CHECK (v IN ('a', v)), CHECK (id IN (1, 2::bigint)),
  CHECK (ARRAY[v, 'z'::varchar]::text[] <> ARRAY['a','b']::varchar[]::text[]), CHECK ((v, t) IN (('a','b'), ('c','d'))),
  CHECK (coalesce(v, 'a') IN ('k','l')), CHECK (substring(v from 1 for 2) IN ('aa','bb')));
CREATE UNIQUE INDEX part ON q (id) WHERE v IN ('queued', 'running'); CREATE INDEX ex ON q ((v IN ('a','b')));
CREATE VIEW lists AS SELECT CASE WHEN v IN ('a','b') THEN 1 ELSE 0 END AS x FROM q WHERE v IN ('a', 'b');
CREATE POLICY pol ON q USING (v IN ('a','b')) WITH CHECK (v IN ('a','b'));
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN IF NEW.v = ANY (ARRAY [ 'a' ]) THEN RETURN NEW; END IF; END$$;
CREATE TRIGGER tr BEFORE UPDATE ON q FOR EACH ROW WHEN (NEW.v IN ('a','b')) EXECUTE FUNCTION f();
CREATE RULE ru AS ON DELETE TO q WHERE OLD.v IN ('a','b') DO INSTEAD NOTHING;
CREATE TABLE parts (v varchar, id int) PARTITION BY LIST ((v IN ('a','b')));
CREATE STATISTICS st ON (v IN ('a','b')), id FROM q;
"""


@pytest.mark.postgresql
@pytest.mark.parametrize("major", VERSIONS)
def test_a_restored_copy_has_the_same_schema(
    engine: PostgreSQLEngine, servers: Servers, make_database: MakeDatabase, tmp_path: Path, major: int
) -> None:
    source = make_database(servers[major], LISTS)
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    made = dump(source, folders[0])
    target = engine.new_target(source, f"{source.dbname} copy")
    try:
        restore(target, folders[0], made)
        assert made.facts.differences(engine.facts(target, progress=Silent())) == ()
        dump(target, folders[1])
    finally:
        engine.discard(target)
    assert compare_dumps(folders[0], folders[1], content=False, progress=Silent()).objects == ()


@pytest.mark.postgresql
def test_another_list_is_another_schema(servers: Servers, make_database: MakeDatabase) -> None:
    values = ("'a', 'b'", "'a', 'c'", "'a', 'b', 'c'")
    schemas = []
    for listed in values:
        made = make_database(servers[16], f"CREATE TABLE t (v varchar CHECK (v IN ({listed})))")
        with connect(made) as session:
            session.execute("SET search_path = ''")
            schemas.append(tuple(schema_lines(session)))
    assert len(set(schemas)) == len(values)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("ANY ((ARRAY['a'::v, 'b'::v])::text[])", "ANY (ARRAY[('a'::v)::text, ('b'::v)::text])"),
        ("ANY (ARRAY[('a'::v)::text, ('b'::v)::text])", "ANY (ARRAY[('a'::v)::text, ('b'::v)::text])"),
        ("ANY (ARRAY['a'::v, f(1, 2)]::text[])", "ANY (ARRAY['a'::v::text, f(1, 2)::text])"),
        ("(ARRAY['],'',('::v])::text[]", "ARRAY[('],'',('::v)::text]"),
        ("((ARRAY[(ARRAY['x'::v])::text[][1], 'y'::v])::text[])", None),
        ("ARRAY[]::text[]", "ARRAY[]::text[]"),
        ("'(ARRAY[1])::text[]'", "'(ARRAY[1])::text[]'"),
        ("f(ARRAY['a'])::text[]", "f(ARRAY['a'])::text[]"),
        ("ARRAY[ 1,2 ] and it's open (ARRAY[", "ARRAY[ 1,2 ] and it's open (ARRAY["),
    ],
)
def test_the_cast_goes_to_the_elements(written: str, expected: str | None) -> None:
    once = casts_inside(written)
    assert expected in (None, once)
    assert casts_inside(once) == once
