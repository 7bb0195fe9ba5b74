from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw
import psycopg
import pytest

from dbadmin.backups.rows import look_at_dependants, replace_rows
from dbadmin.backups.take import take_backup
from dbadmin.choices import RestoreState
from dbadmin.exceptions import DatabaseError, DbadminError, Refused, ValidationFailed
from dbadmin.models import Backup, Database, Restore, Storage
from dbadmin.progress import Silent
from dbadmin.text import Text
from tests.backups.files import spools
from tests.postgresql_database import execute
from tests.postgresql_database import postgresql as postgresql


def put(backup: Backup, *tables: str) -> Restore:
    return replace_rows(backup=backup, database=backup.database, tables=tables, progress=Silent())


def take(database: Database, storage: Storage) -> Backup:
    return take_backup(database=database, storages=[storage], scope="full", progress=Silent())


def ask(database: Database, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(**database.connection().parameters(), autocommit=True) as session:
        return session.execute(query).fetchall()


SQLITE = """
CREATE TABLE parents (id INTEGER PRIMARY KEY AUTOINCREMENT, t, twice AS (t || t) STORED);
CREATE TABLE children (id INTEGER PRIMARY KEY, parent REFERENCES parents ON DELETE CASCADE);
CREATE TABLE loose (a, b BLOB); CREATE TABLE log (t);
CREATE VIEW known AS SELECT t FROM parents;
CREATE TRIGGER noted AFTER DELETE ON parents BEGIN INSERT INTO log VALUES ('gone'); END;
INSERT INTO parents (t) VALUES ('第一話'), (1), (1.0), (NULL);
INSERT INTO children VALUES (1, 1), (2, 2);
INSERT INTO loose VALUES ('x', x'00ff'), (CAST(x'fffe' AS TEXT), 2); DELETE FROM loose WHERE a = 'x';
"""
CONTENT = "SELECT rowid, id, typeof(t), t, twice FROM parents"


@pytest.fixture
def db(database: Database) -> apsw.Connection:
    connection = apsw.Connection(database.settings["path"])
    connection.execute(SQLITE).fetchall()
    return connection


def test_rows_and_numbers_become_those_of_the_backup(db: apsw.Connection, database: Database, storage: Storage) -> None:
    then = [db.execute(CONTENT).fetchall(), db.execute("SELECT rowid, hex(a), b FROM loose").fetchall()]
    backup = take(database, storage)
    db.execute(
        "UPDATE parents SET t = 'broken'; INSERT INTO parents (t) VALUES ('later'); DELETE FROM loose"
    ).fetchall()
    db.execute("INSERT INTO releases (title) VALUES ('kept')").fetchall()
    assert look_at_dependants(database, ("parents",)).foreign_keys == ("children",)
    assert look_at_dependants(database, ("parents",)).views == ("known",)
    assert look_at_dependants(database, ("parents",)).triggers == ("noted",)
    row = put(backup, "parents", "loose")
    assert row.state == RestoreState.EXACT
    assert row.safety_backup
    assert [db.execute(CONTENT).fetchall(), db.execute("SELECT rowid, hex(a), b FROM loose").fetchall()] == then
    assert db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'parents'").get == 4
    assert db.execute("SELECT count(*) FROM releases WHERE title = 'kept'").get == 1
    assert db.execute("SELECT count(*) FROM log").get == 0
    assert db.execute("SELECT count(*) FROM children").get == 2
    assert db.execute("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%dbadmin%'").get == 0
    assert spools() == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("ALTER TABLE parents ADD COLUMN more", "other columns now than in the backup: more"),
        ("INSERT INTO parents (id) VALUES (9); INSERT INTO children VALUES (9, 9)", "“children” would point nowhere"),
        ("ALTER TABLE parents RENAME TO p", "not there"),
    ],
)
def test_what_does_not_fit_changes_nothing(
    db: apsw.Connection, database: Database, storage: Storage, change: str, reason: str
) -> None:
    backup = take(database, storage)
    db.execute(change).fetchall()
    before = list(db.execute("SELECT * FROM children")), list(db.execute("SELECT sql FROM sqlite_schema"))
    with pytest.raises(DbadminError, match=reason):
        put(backup, "parents")
    assert (list(db.execute("SELECT * FROM children")), list(db.execute("SELECT sql FROM sqlite_schema"))) == before
    assert not Restore.objects.exclude(state=RestoreState.FAILED).exists()


SCRIPT = """
CREATE TYPE mood AS ENUM ('好', 'bad');
CREATE TABLE "Odd Name" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, m mood, at timestamptz, f float8, b bytea,
  t text COLLATE "C" NOT NULL DEFAULT 'x', twice int GENERATED ALWAYS AS (7 * 2) STORED, parent int);
ALTER TABLE "Odd Name" ADD CONSTRAINT self FOREIGN KEY (parent) REFERENCES "Odd Name" DEFERRABLE;
INSERT INTO "Odd Name" (m, at, f, b, parent) SELECT '好', now(), 0.1 + n / 3.0, '\\x00ff', n
FROM generate_series(1, 50) n;
CREATE TABLE children (id serial PRIMARY KEY, odd int REFERENCES "Odd Name" ON DELETE CASCADE);
COMMENT ON CONSTRAINT children_odd_fkey ON children IS 'why';
INSERT INTO children (odd) SELECT n FROM generate_series(1, 50) n;
CREATE TABLE log (t text); CREATE VIEW v AS TABLE "Odd Name"; CREATE MATERIALIZED VIEW m AS TABLE v;
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO log VALUES (TG_OP); RETURN NULL; END$$;
CREATE TRIGGER noted AFTER INSERT OR DELETE ON "Odd Name" FOR EACH ROW EXECUTE FUNCTION noted();
ALTER TABLE "Odd Name" ENABLE ALWAYS TRIGGER noted;
CREATE TABLE other (id int);
TRUNCATE log;
"""
ODD = 'public."Odd Name"'
SCHEMA = """SELECT conname, pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint') FROM pg_constraint
WHERE contype = 'f' UNION ALL SELECT tgname, tgenabled::text, '' FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"""


@pytest.mark.postgresql
def test_rows_and_sequences_become_those_of_the_backup(postgresql: Database, storage: Storage) -> None:
    execute(postgresql, SCRIPT)
    execute(postgresql, f"CREATE TABLE before AS TABLE {ODD}")
    schema, backup = ask(postgresql, SCHEMA), take(postgresql, storage)
    execute(
        postgresql, f"UPDATE {ODD} SET t = 'broken'; INSERT INTO {ODD} (m) VALUES ('bad'); INSERT INTO other VALUES (1)"
    )
    execute(postgresql, "TRUNCATE log")
    found = look_at_dependants(postgresql, (ODD,))
    assert found.foreign_keys == ("public.children.children_odd_fkey",)
    assert (found.views, found.stale, found.triggers) == (("public.v",), ("public.m",), (f"{ODD}.noted",))
    row = put(backup, ODD)
    assert row.state == RestoreState.EXACT
    assert ask(postgresql, f"SELECT count(*) FROM (TABLE before EXCEPT TABLE {ODD}) lost") == [(0,)]
    assert ask(postgresql, f"SELECT count(*) FROM {ODD}") == [(50,)]
    assert ask(postgresql, 'SELECT last_value, is_called FROM "Odd Name_id_seq"') == [(50, True)]
    assert ask(postgresql, "SELECT (SELECT count(*) FROM log), (SELECT count(*) FROM children)") == [(0, 50)]
    assert ask(postgresql, "SELECT count(*) FROM other") == [(1,)]
    assert ask(postgresql, SCHEMA) == schema
    assert ask(postgresql, "SELECT count(*) FROM pg_database WHERE datname LIKE '%\\_\\_restore\\_%'") == [(0,)]


def extra_column(database: Database) -> None:
    execute(database, f"ALTER TABLE {ODD} ADD COLUMN more int")


def new_children(database: Database) -> None:
    execute(database, f"INSERT INTO {ODD} (m) VALUES ('bad'); INSERT INTO children (odd) VALUES (51)")


def a_rule(database: Database) -> None:
    execute(database, f"CREATE RULE never AS ON DELETE TO {ODD} DO INSTEAD NOTHING")


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("change", "reason"),
    [(extra_column, "other columns now.*more"), (new_children, "point nowhere.*children"), (a_rule, "duplicate key")],
)
def test_what_does_not_fit_is_rolled_back(
    postgresql: Database, storage: Storage, change: Callable[[Database], Any], reason: str
) -> None:
    execute(postgresql, SCRIPT)
    backup = take(postgresql, storage)
    change(postgresql)
    execute(postgresql, "SELECT setval('\"Odd Name_id_seq\"', 777)")
    everything = f'SELECT t::text FROM {ODD} t UNION ALL SELECT last_value::text FROM "Odd Name_id_seq"'
    before = ask(postgresql, SCHEMA), ask(postgresql, everything)
    with pytest.raises(DbadminError, match=reason):
        put(backup, ODD)
    assert (ask(postgresql, SCHEMA), ask(postgresql, everything)) == before
    assert Restore.objects.get().state == RestoreState.FAILED


@pytest.mark.postgresql
def test_a_sequence_is_as_it_was_when_the_end_is_not_reached(postgresql: Database, storage: Storage) -> None:
    class Cancelling(Silent):
        def phase(self, name: Any, *, total: int | None = None, unit: str = "bytes") -> None:
            if name.msgid == "Switching":
                raise DatabaseError(Text("here"))

    execute(postgresql, SCRIPT)
    backup = take(postgresql, storage)
    execute(postgresql, "SELECT setval('\"Odd Name_id_seq\"', 777)")
    with pytest.raises(DatabaseError, match="here"):
        replace_rows(backup=backup, database=postgresql, tables=(ODD,), progress=Cancelling())
    assert ask(postgresql, 'SELECT last_value FROM "Odd Name_id_seq"') == [(777,)]


@pytest.mark.postgresql
def test_views_and_what_others_own_are_refused_before_anything(postgresql: Database, storage: Storage) -> None:
    execute(postgresql, SCRIPT)
    backup = take(postgresql, storage)
    with pytest.raises(ValidationFailed, match="materialised view"):
        put(backup, "public.m")
    name = f"modest_{postgresql.pk}"
    execute(postgresql, f"CREATE ROLE {name} LOGIN CREATEDB PASSWORD 'm'; ALTER TABLE {ODD} OWNER TO {name}")
    try:
        own, postgresql.password = postgresql.settings, "m"
        postgresql.settings = own | {"user": name}
        with pytest.raises(Refused, match=r"does not own public\.children\.children_odd_fkey"):
            look_at_dependants(postgresql, (ODD,))
        execute(Database.objects.get(pk=postgresql.pk), f"ALTER ROLE {name} NOCREATEDB")
        with pytest.raises(Refused, match="may not create databases"):
            look_at_dependants(postgresql, (ODD,))
    finally:
        postgresql.refresh_from_db()
        execute(postgresql, f"REASSIGN OWNED BY {name} TO CURRENT_USER; DROP ROLE {name}")
    assert not Restore.objects.exists()


PARTS = """
CREATE TABLE parts (id int PRIMARY KEY, t text) PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE high PARTITION OF parts FOR VALUES FROM (10) TO (20);
CREATE TABLE refers (part int REFERENCES parts);
CREATE TABLE base (id int); CREATE TABLE heir () INHERITS (base);
INSERT INTO parts VALUES (1, 'a'), (11, 'b'); INSERT INTO refers VALUES (1), (11);
INSERT INTO base VALUES (1); INSERT INTO heir VALUES (2);
"""


@pytest.mark.postgresql
def test_a_partition_is_replaced_alone_and_a_parent_without_its_heirs(postgresql: Database, storage: Storage) -> None:
    execute(postgresql, PARTS)
    schema, backup = ask(postgresql, SCHEMA), take(postgresql, storage)
    execute(postgresql, "UPDATE parts SET t = 'broken'; UPDATE base SET id = 7")
    put(backup, "public.low", "public.base")
    assert ask(postgresql, "SELECT * FROM parts ORDER BY 1") == [(1, "a"), (11, "broken")]
    assert ask(postgresql, "SELECT id FROM ONLY base UNION ALL SELECT id FROM heir") == [(1,), (7,)]
    assert ask(postgresql, SCHEMA) == schema


@pytest.mark.postgresql
def test_who_began_to_read_before_sees_the_old_rows(postgresql: Database, storage: Storage) -> None:
    execute(postgresql, SCRIPT)
    backup = take(postgresql, storage)
    execute(postgresql, f"UPDATE {ODD} SET t = 'broken'")
    with psycopg.connect(**postgresql.connection().parameters()) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM other").fetchall()
        put(backup, ODD)
        assert reader.execute(f"SELECT DISTINCT t FROM {ODD}").fetchall() == [("broken",)]
    assert ask(postgresql, f"SELECT DISTINCT t FROM {ODD}") == [("x",)]
