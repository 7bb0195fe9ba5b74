"""Facts name the objects of a database, so that one that is missing has a name."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbadmin.engines.postgresql import PostgreSQLConnection, PostgreSQLEngine, inventory
from dbadmin.facts import Facts
from dbadmin.progress import Silent
from tests.engines.postgresql.conftest import NASTY, MakeDatabase, dump, execute, restore
from tests.servers import Servers

pytestmark = pytest.mark.postgresql
SHOP = """
CREATE SCHEMA "Shop 店";
CREATE TYPE feeling AS ENUM ('sad', 'ok'); CREATE DOMAIN positive AS int CONSTRAINT more CHECK (VALUE > 0);
CREATE TABLE orders (id int PRIMARY KEY, n positive CONSTRAINT small CHECK (n < 9));
CREATE INDEX orders_n ON orders (n);
CREATE TABLE parts (id int) PARTITION BY RANGE (id); CREATE TABLE parts_1 PARTITION OF parts DEFAULT;
CREATE VIEW seen AS SELECT 1 AS n; CREATE MATERIALIZED VIEW kept AS SELECT 1 AS n;
CREATE FUNCTION "Shop 店".price(a int, b text[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touch BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION touched();
CREATE POLICY own ON orders USING (true); CREATE SEQUENCE numbers;
"""
LOST = {
    "DROP INDEX orders_n": "Index public.orders_n",
    "ALTER TABLE orders DROP CONSTRAINT small": "Constraint public.orders.small",
    "ALTER DOMAIN positive DROP CONSTRAINT more": "Constraint public.positive.more",
    "DROP TRIGGER touch ON orders": "Trigger public.orders.touch",
    "DROP POLICY own ON orders": "Policy public.orders.own",
    "DROP VIEW seen": "View public.seen",
    'DROP FUNCTION "Shop 店".price': 'Function "Shop 店".price(a integer, b text[])',
    "DROP TYPE feeling": "Type public.feeling",
    "DROP TABLE parts": "Table public.parts",
    "DROP EXTENSION plpgsql CASCADE": "Extension plpgsql",
}


def facts(connection: PostgreSQLConnection) -> Facts:
    return PostgreSQLEngine().facts(connection, progress=Silent())


def test_whatever_is_lost_is_named_and_not_counted_besides(servers: Servers, make_database: MakeDatabase) -> None:
    shop = make_database(servers[16], SHOP)
    for statement, name in LOST.items():
        before = facts(shop)
        execute(shop, statement)
        told = before.differences(facts(shop))
        assert f"{name}: expected, missing" in [str(each.as_text()) for each in told], statement
        assert not {each.subject for each in told} & before.objects.keys()


def test_a_table_with_rows_is_told_by_them_alone(servers: Servers, make_database: MakeDatabase) -> None:
    shop = make_database(servers[16], SHOP)
    before = facts(shop)
    execute(shop, "DROP MATERIALIZED VIEW kept; DROP SEQUENCE numbers")
    told = [str(each.as_text()) for each in before.differences(facts(shop))]
    assert told[:2] == ["public.kept: expected 1, found –", "public.numbers: expected None, found –"]
    assert len(told) == 3  # and the fingerprint of the schema


@pytest.mark.parametrize("major", [15, 18])
def test_names_are_the_same_on_another_version(
    major: int, servers: Servers, make_database: MakeDatabase, tmp_path: Path
) -> None:
    source, target = make_database(servers[15], NASTY), make_database(servers[major])
    execute(servers[major].connection(), f'DROP DATABASE "{target.dbname}"')
    restore(target, tmp_path, dump(source, tmp_path), keep_owners=False)
    assert facts(target).names == facts(source).names
    assert facts(source).names.keys() == facts(source).objects.keys() - set(inventory.WITHOUT_NAMES)


def test_kinds_with_very_many_objects_are_counted(
    servers: Servers, make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make_database(servers[16], SHOP)
    before = facts(shop)
    monkeypatch.setattr(inventory, "MOST_NAMES", 0)
    assert "indexes" not in facts(shop).names
    execute(shop, "DROP INDEX orders_n")
    assert "indexes: expected 2, found 1" in [str(each.as_text()) for each in before.differences(facts(shop))]
