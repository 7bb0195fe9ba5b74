"""Drills on real servers: what is equal is proven, and every difference is named."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from dbadmin.backups.drill import drill_backup
from dbadmin.backups.take import take_backup
from dbadmin.choices import AssertionKind, BackupState, DrillKind, DrillState
from dbadmin.engines.base import Dump
from dbadmin.engines.postgresql import PostgreSQLEngine, scratch
from dbadmin.exceptions import CorruptArchive, DatabaseError, ToolMissing
from dbadmin.models import Assertion, Backup, Database, Drill, Storage
from dbadmin.progress import Silent
from dbadmin.text import Text
from tests.backups.files import flip_a_byte, spools, stored
from tests.factories import make_database
from tests.postgresql_database import execute, postgresql
from tests.servers import Servers

__all__ = ["postgresql"]
pytestmark = pytest.mark.postgresql

SHOP = """
CREATE SCHEMA "Shop 店";
CREATE TABLE "Shop 店"."order items" (id serial PRIMARY KEY, name text, at timestamptz DEFAULT now(), pic bytea);
INSERT INTO "Shop 店"."order items" (name, pic) SELECT 'item ' || n, decode(md5(n::text), 'hex')
FROM generate_series(1, 500) AS n;
CREATE INDEX items_name ON "Shop 店"."order items" (name);
CREATE TABLE prices (id int PRIMARY KEY, price numeric CHECK (price > 0));
INSERT INTO prices SELECT n, n * 1.1 FROM generate_series(1, 100) AS n;
SELECT lo_from_bytea(0, 'large');
"""
HARM = {
    "dropped table": ("DROP TABLE prices", "public.prices"),
    "removed rows": ("DELETE FROM prices WHERE id = 7", "public.prices"),
    "reset sequence": (
        """SELECT setval('"Shop 店"."order items_id_seq"', 1, false)""",
        '"Shop 店"."order items_id_seq"',
    ),
    "missing index": ('DROP INDEX "Shop 店".items_name', '"Shop 店".items_name'),
    "missing constraint": ("ALTER TABLE prices DROP CONSTRAINT prices_price_check", "public.prices.prices_price_check"),
    "other type": ("ALTER TABLE prices ALTER price TYPE numeric(9, 1)", "schema"),
}


@pytest.fixture
def shop(postgresql: Database) -> Database:
    execute(postgresql, SHOP)
    return postgresql


def take(database: Database, storage: Storage) -> Backup:
    return take_backup(database=database, storages=[storage], scope="full", progress=Silent())


def drill(backup: Backup, **options: object) -> Drill:
    return drill_backup(backup=backup, progress=Silent(), **options)


def verdicts(row: Drill) -> dict[str, str]:
    return {str(Text.from_json(check["name"])): check["verdict"] for check in row.checks}


@pytest.fixture(autouse=True)
def own_folder_for_scratch_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Other drills may run on this machine. Short, for the socket, and open to the user that servers run as.

    ``tmp_path`` is asked for because pytest makes its own folder, once, where the temporary folder is.
    """
    with tempfile.TemporaryDirectory(prefix="d-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield


def nothing_left() -> bool:
    return spools() == [] and not list(Path(tempfile.gettempdir()).glob("dbadmin-drill-*"))


def test_a_clean_backup_is_proven_and_nothing_is_left(shop: Database, storage: Storage) -> None:
    backup = take(shop, storage)
    row = drill(backup)
    assert (row.state, row.differences) == (DrillState.PROVEN, [])
    assert set(verdicts(row).values()) == {"ok"}
    assert (row.restore_seconds or 0) > 0
    backup.refresh_from_db()
    assert backup.proven_at == row.finished_at
    assert nothing_left()


@pytest.mark.parametrize("kind", HARM)
def test_what_is_missing_from_the_dump_is_named(
    kind: str, shop: Database, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The facts are those of the whole database; the dump is one that lost something on its way."""
    harm, subject = HARM[kind]
    facts = PostgreSQLEngine().facts(shop.connection(), progress=Silent())
    execute(shop, harm)
    dump = PostgreSQLEngine.dump

    def lossy(self: PostgreSQLEngine, connection: object, **options: object) -> Dump:
        return replace(dump(self, connection, **options), facts=facts)  # type: ignore[arg-type]

    monkeypatch.setattr(PostgreSQLEngine, "dump", lossy)
    row = drill(take(shop, storage))
    assert row.state == DrillState.DIFFERENT
    assert subject in {difference["subject"] for difference in row.differences}


def test_one_value_that_came_back_otherwise_is_found(
    shop: Database, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = take(shop, storage)
    Backup.objects.update(proven_at=backup.finished_at)
    content_of_copy = PostgreSQLEngine.content_of_copy

    def altered(self: PostgreSQLEngine, target: object, **options: object) -> object:
        from psycopg import connect

        with connect(**target.parameters(), autocommit=True) as session:  # type: ignore[attr-defined]
            session.execute("UPDATE prices SET price = 8 WHERE id = 7")
        return content_of_copy(self, target, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(PostgreSQLEngine, "content_of_copy", altered)
    row = drill(backup)
    assert [difference["subject"] for difference in row.differences] == ["public.prices"]
    backup.refresh_from_db()
    assert backup.proven_at is None


def test_an_index_that_lacks_rows_is_found(shop: Database, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    examine = PostgreSQLEngine.examine

    def damaged(self: PostgreSQLEngine, target: object, **options: object) -> object:
        from psycopg import connect

        with connect(**target.parameters(), autocommit=True) as session:  # type: ignore[attr-defined]
            session.execute("CREATE INDEX cheap ON prices (price) WHERE price < 0")
            session.execute("UPDATE pg_index SET indpred = NULL WHERE indexrelid = 'cheap'::regclass")
        return examine(self, target, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(PostgreSQLEngine, "examine", damaged)
    row = drill(take(shop, storage))
    assert (row.state, row.differences) == (DrillState.DIFFERENT, [])
    assert verdicts(row)["Tables and indexes agree (pg_amcheck)"] == "critical"
    assert verdicts(row)["Content, byte by byte"] == "ok"


def test_a_view_that_is_filled_anew_is_no_difference_but_said(shop: Database, storage: Storage) -> None:
    execute(shop, "CREATE MATERIALIZED VIEW kept AS TABLE prices; DELETE FROM prices WHERE id > 90")
    row = drill(take(shop, storage))
    assert (row.state, row.differences) == (DrillState.PROVEN, [])
    assert verdicts(row)["Materialised views"] == "warning"
    said = [str(Text.from_json(check["message"])) for check in row.checks]
    assert "public.kept was filled anew from its tables. Rows now: 90; when it was backed up: 100." in said


def test_the_search_for_damage_changes_no_row_while_they_are_read(
    shop: Database, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event trigger of the application would write down that pg_amcheck added its extension."""
    execute(
        shop,
        """CREATE TABLE ddl_log (tag text);
        CREATE FUNCTION log_ddl() RETURNS event_trigger LANGUAGE plpgsql AS
          $$BEGIN INSERT INTO ddl_log VALUES (tg_tag); END$$;
        CREATE EVENT TRIGGER log_ddl ON ddl_command_end EXECUTE FUNCTION log_ddl()""",
    )
    backup, examined = take(shop, storage), Event()
    examine, content_of_copy = PostgreSQLEngine.examine, PostgreSQLEngine.content_of_copy

    def first(self: PostgreSQLEngine, target: object, **options: object) -> object:
        found = examine(self, target, **options)  # type: ignore[arg-type]
        examined.set()
        return found

    def afterwards(self: PostgreSQLEngine, target: object, **options: object) -> object:
        assert examined.wait(60), "both go on at once"
        return content_of_copy(self, target, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(PostgreSQLEngine, "examine", first)
    monkeypatch.setattr(PostgreSQLEngine, "content_of_copy", afterwards)
    row = drill(backup)
    assert (row.state, row.differences) == (DrillState.PROVEN, [])
    assert verdicts(row)["Tables and indexes agree (pg_amcheck)"] == "ok"


def test_a_search_for_damage_that_breaks_off_fails_the_drill(
    shop: Database, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: PostgreSQLEngine, target: object, **options: object) -> object:
        raise DatabaseError(Text("The server went away."))

    monkeypatch.setattr(PostgreSQLEngine, "examine", fail)
    with pytest.raises(DatabaseError, match="went away"):
        drill(take(shop, storage))
    assert Drill.objects.get().state == DrillState.FAILED
    assert nothing_left()


def test_a_flipped_byte_fails_the_drill_and_the_backup_is_damaged(shop: Database, storage: Storage) -> None:
    backup = take(shop, storage)
    flip_a_byte(stored(backup, "backup.tar"))
    with pytest.raises(CorruptArchive):
        drill(backup)
    backup.refresh_from_db()
    assert backup.state == BackupState.DAMAGED
    assert Drill.objects.get().state == DrillState.FAILED
    assert nothing_left()


def test_without_server_programs_it_says_how_to_get_them(
    shop: Database, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = take(shop, storage)
    monkeypatch.setattr(scratch, "find_clients", lambda: ())
    with pytest.raises(ToolMissing, match="clients install 16"):
        drill(backup)
    assert Drill.objects.get().state == DrillState.FAILED


def test_a_partial_drill_takes_named_tables_and_proves_no_backup(shop: Database, storage: Storage) -> None:
    backup = take(shop, storage)
    row = drill(backup, kind=DrillKind.PARTIAL, tables=("public.prices",))
    assert (row.state, row.tables) == (DrillState.PROVEN, ["public.prices"])
    backup.refresh_from_db()
    assert backup.proven_at is None


def test_assertions_are_asked_of_the_copy(shop: Database, storage: Storage) -> None:
    good = {"kind": AssertionKind.COUNT, "sql": "SELECT count(*) FROM prices", "minimum": 100}
    Assertion.objects.create(database=shop, name="prices", **good)
    backup = take(shop, storage)
    assert drill(backup).state == DrillState.PROVEN
    stale = {"kind": AssertionKind.FRESHNESS, "max_age_hours": 25}
    Assertion.objects.create(database=shop, name="old", sql="SELECT timestamptz '2020-01-01'", **stale)
    row = drill(backup)
    assert row.state == DrillState.DIFFERENT
    assert verdicts(row)["Assertion “old”"] == "critical"


def test_an_assertion_reads_no_file_of_the_machine(shop: Database, storage: Storage) -> None:
    Assertion.objects.create(database=shop, name="file", kind="value", sql="SELECT pg_read_file('PG_VERSION')")
    row = drill(take(shop, storage))
    assert row.state == DrillState.DIFFERENT
    said = {str(Text.from_json(check["name"])): str(Text.from_json(check["message"])) for check in row.checks}
    assert "permission denied" in said["Assertion “file”"]


def test_a_version_18_is_proven_too(servers: Servers, storage: Storage) -> None:
    place = servers[18].connection("template1")
    settings = {"host": place.host, "port": place.port, "user": place.user, "name": "template1"}
    database = make_database(engine="postgresql", settings=settings)
    database.password = place.password
    execute(database, "CREATE TABLE proven (id int PRIMARY KEY); INSERT INTO proven VALUES (1)")
    try:
        assert drill(take(database, storage)).state == DrillState.PROVEN
    finally:
        execute(database, "DROP TABLE proven")
