from __future__ import annotations

import apsw
import psycopg
import pytest

from dbadmin.backups.tables import restore_tables
from dbadmin.backups.take import take_backup
from dbadmin.choices import RestoreState
from dbadmin.exceptions import DbadminError, ValidationFailed
from dbadmin.models import Backup, Database, Restore, Storage
from dbadmin.progress import Silent
from tests.backups.files import spools
from tests.postgresql_database import execute
from tests.postgresql_database import postgresql as postgresql


def bring(backup: Backup, *tables: str) -> Restore:
    return restore_tables(backup=backup, database=backup.database, tables=tables, progress=Silent())


def test_a_table_comes_beside_the_live_one(backup: Backup, database: Database) -> None:
    db = apsw.Connection(database.settings["path"])
    db.execute("DELETE FROM releases").fetchall()
    row = bring(backup, "releases")
    assert row.state == RestoreState.EXACT
    assert db.execute(f"SELECT title FROM releases__restored_{row.pk} ORDER BY id").fetchall() == [
        ("第0話",),
        ("第1話",),
        ("第2話",),
    ]
    assert db.execute("SELECT count(*) FROM releases").get == 0
    assert db.execute("PRAGMA integrity_check").get == "ok"
    db.close()
    assert spools() == []


def test_a_table_that_the_backup_lacks_is_named(backup: Backup) -> None:
    with pytest.raises(ValidationFailed, match="It has: releases"):
        bring(backup, "realeases")
    assert not Restore.objects.exists()


SCRIPT = """
CREATE TYPE mood AS ENUM ('好', 'bad');
CREATE TABLE "Odd Name" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, m mood, at timestamptz, f float8, b bytea,
  t text COLLATE "C" NOT NULL DEFAULT 'x', twice int GENERATED ALWAYS AS (7 * 2) STORED);
INSERT INTO "Odd Name" (m, at, f, b) SELECT '好', now(), 0.1 + n / 3.0, '\\x00ff' FROM generate_series(1, 50) n;
CREATE TABLE other (id int);
"""


@pytest.mark.postgresql
def test_tables_come_into_a_schema_of_their_own(postgresql: Database, storage: Storage) -> None:
    execute(postgresql, SCRIPT)
    backup = take_backup(database=postgresql, storages=[storage], scope="full", progress=Silent())
    execute(postgresql, 'CREATE TABLE before AS TABLE "Odd Name"; DELETE FROM "Odd Name"')
    row = bring(backup, 'public."Odd Name"', "public.other")
    assert row.state == RestoreState.EXACT
    with psycopg.connect(**postgresql.connection().parameters()) as session:
        new = f'dbadmin_restored_{row.pk}."Odd Name"'
        lost = session.execute(f"SELECT count(*) FROM (TABLE before EXCEPT TABLE {new}) lost").fetchone()
        assert lost == (0,)
        assert session.execute(f"SELECT count(*) FROM {new}").fetchone() == (50,)
        left = session.execute("SELECT count(*) FROM pg_database WHERE datname LIKE '%\\_\\_restore\\_%'").fetchone()
        assert left == (0,)


@pytest.mark.postgresql
def test_a_type_that_is_gone_brings_nothing(postgresql: Database, storage: Storage) -> None:
    execute(postgresql, SCRIPT)
    backup = take_backup(database=postgresql, storages=[storage], scope="full", progress=Silent())
    execute(postgresql, 'DROP TABLE "Odd Name"; DROP TYPE mood')
    with pytest.raises(DbadminError, match="mood"):
        bring(backup, 'public."Odd Name"')
    assert Restore.objects.get().state == RestoreState.FAILED
    with psycopg.connect(**postgresql.connection().parameters()) as session:
        assert session.execute("SELECT count(*) FROM pg_namespace WHERE nspname ~ 'dbadmin'").fetchone() == (0,)
