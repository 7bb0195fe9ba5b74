from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import psycopg
import pytest

from dbadmin.backups.replace import replace_with_backup
from dbadmin.backups.take import take_backup
from dbadmin.backups.undo import undo_restore
from dbadmin.choices import RestoreState
from dbadmin.engines.base import NotAllRestored, in_words
from dbadmin.exceptions import DbadminError, Refused
from dbadmin.models import Backup, Database, Restore, Storage
from dbadmin.progress import Silent
from tests.jobs.workers import until
from tests.postgresql_database import execute
from tests.postgresql_database import postgresql as postgresql

pytestmark = pytest.mark.postgresql


def connected(database: Database) -> psycopg.Connection:
    return psycopg.connect(**database.connection().parameters("app"), autocommit=True)


def ask(database: Database, sql: str) -> list[tuple]:
    with connected(database) as session:
        return session.execute(sql).fetchall()


def names(database: Database) -> set[str]:
    like = database.connection().dbname
    return {name for (name,) in ask(database, "SELECT datname FROM pg_database") if name.startswith(like)}


@pytest.fixture
def live(postgresql: Database) -> Iterator[Database]:
    """A database that was backed up (see ``first``), and what the tests leave of it."""
    name = postgresql.connection().dbname
    execute(postgresql, "CREATE TABLE t (id int PRIMARY KEY, word text)")
    execute(postgresql, "INSERT INTO t SELECT n, 'old' FROM generate_series(1, 50) n")
    yield postgresql
    for (other,) in ask(postgresql, f"SELECT datname FROM pg_database WHERE datname LIKE '{name}\\_\\_%'"):
        execute(postgresql, f'DROP DATABASE "{other}" WITH (FORCE)')


@pytest.fixture
def first(live: Database, storage: Storage) -> Backup:
    backup = take_backup(database=live, storages=[storage], scope="full", progress=Silent())
    name = live.connection().dbname
    execute(live, "UPDATE t SET word = 'new'; CREATE TABLE later (id int)")
    execute(live, f"ALTER DATABASE {name} SET statement_timeout = '77s'")
    execute(live, f"COMMENT ON DATABASE {name} IS 'the shop'")
    execute(live, f"ALTER DATABASE {name} CONNECTION LIMIT 50")
    execute(live, f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    return backup


def replace(backup: Backup, **options: object) -> Restore:
    return replace_with_backup(backup=backup, database=backup.database, progress=Silent(), **options)


OBJECT = """SELECT datconnlimit, shobj_description(oid, 'pg_database'), datacl::text, datallowconn,
  (SELECT setconfig::text FROM pg_db_role_setting WHERE setdatabase = d.oid)
FROM pg_database d WHERE datname = current_database()"""


def test_a_database_becomes_what_the_backup_has_and_can_be_undone(live: Database, first: Backup) -> None:
    place = ask(live, OBJECT)
    row = replace(first)
    assert row.state == RestoreState.EXACT
    assert ask(live, "SELECT word, count(*) FROM t GROUP BY 1") == [("old", 50)]
    assert ask(live, OBJECT) == place
    name = live.connection().dbname
    assert names(live) == {name, f"{name}__before_{row.pk}"}
    undo_restore(row=row, progress=Silent())
    assert ask(live, "SELECT word, count(*) FROM t GROUP BY 1") == [("new", 50)]
    assert ask(live, "SELECT count(*) FROM later") == [(0,)]
    assert ask(live, OBJECT) == place
    assert names(live) == {name, f"{name}__undone_{row.pk}"}


def test_a_view_that_was_not_refreshed_hinders_no_replacing(live: Database, storage: Storage) -> None:
    execute(live, "CREATE MATERIALIZED VIEW kept AS TABLE t; DELETE FROM t WHERE id > 40")
    backup = take_backup(database=live, storages=[storage], scope="full", progress=Silent())
    execute(live, "DROP MATERIALIZED VIEW kept")
    row = replace(backup)
    assert (row.state, row.differences) == (RestoreState.EXACT, [])
    assert ask(live, "SELECT count(*) FROM kept") == [(40,)]
    said = [line["message"] for line in in_words(row.lines)]
    assert "public.kept was filled anew from its tables. Rows now: 40; when it was backed up: 50." in said


def test_a_failed_report_ties_each_message_to_its_object(live: Database, storage: Storage) -> None:
    execute(
        live, "CREATE TABLE a (t int CONSTRAINT to_t REFERENCES t); CREATE TABLE b (t int CONSTRAINT too REFERENCES t)"
    )
    execute(live, "INSERT INTO a VALUES (7); INSERT INTO b VALUES (8)")
    execute(live, "SET session_replication_role = replica; DELETE FROM t WHERE id IN (7, 8)")
    backup = take_backup(database=live, storages=[storage], scope="full", progress=Silent())
    with pytest.raises(NotAllRestored):
        replace(backup)
    row = Restore.objects.get()
    assert row.state == RestoreState.FAILED
    objects = {line["object"]: line["message"] for line in in_words(row.lines)}
    assert set(objects) == {"", "FK CONSTRAINT a to_t", "FK CONSTRAINT b too"}
    assert "violates foreign key constraint" in objects["FK CONSTRAINT b too"]


def test_sessions_that_read_and_write_are_moved_over(live: Database, first: Backup) -> None:
    stop, seen, failures = threading.Event(), [], []

    def work() -> None:
        while not stop.is_set():
            with contextlib.suppress(psycopg.OperationalError), connected(live) as session:
                while not stop.is_set():
                    seen.append({word for (word,) in session.execute("SELECT DISTINCT word FROM t WHERE id <= 50")})
                    session.execute("INSERT INTO t VALUES ((SELECT max(id) + 1 FROM t), 'app')")

    def watched() -> None:
        try:
            work()
        except psycopg.Error as error:
            failures.append(error)

    threads = [threading.Thread(target=watched) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: {"new"} in seen)
    row = replace(first)
    until(lambda: {"old"} in seen)
    stop.set()
    for thread in threads:
        thread.join()
    assert [error for error in failures if not isinstance(error, psycopg.errors.UniqueViolation)] == []
    assert all(words in ({"new"}, {"old"}) for words in seen)
    assert {"old"} in seen
    undo_restore(row=row, progress=Silent())
    assert ask(live, "SELECT DISTINCT word FROM t WHERE id <= 50") == [("new",)]


def test_a_role_that_may_not_create_databases_is_refused_before_anything(live: Database, first: Backup) -> None:
    name = live.connection().dbname
    execute(live, "CREATE ROLE modest LOGIN PASSWORD 'm'")
    execute(live, f"ALTER DATABASE {name} OWNER TO modest")
    live.settings = live.settings | {"user": "modest"}
    live.password = "m"
    live.save()
    first.database = live
    try:
        with pytest.raises(Refused, match="modest may not create databases"):
            replace(first)
        assert Backup.objects.count() == 1
    finally:
        live.settings = live.settings | {"user": "postgres"}
        live.password = "pass word's \\ 密"
        live.save()
        execute(live, f"ALTER DATABASE {name} OWNER TO postgres")
        execute(live, "DROP ROLE modest")


def test_a_name_of_63_bytes_is_shortened(live: Database) -> None:
    engine, current = live.adapter, live.adapter.new_target(live.connection(), "表" * 21)
    name = engine.beside_name(current, "__restore_7")
    assert name == "表" * 17 + "__restore_7"
    assert len(name.encode()) <= 63


def test_a_switch_that_fails_leaves_all_as_it_was_and_open(live: Database, first: Backup) -> None:
    before = ask(live, OBJECT)
    with pytest.MonkeyPatch.context() as patch:

        def fails(*args: object) -> None:
            raise psycopg.errors.ObjectInUse("database is being accessed by other users")

        patch.setattr("dbadmin.engines.postgresql.replace._rename", fails)
        with pytest.raises(DbadminError):
            replace(first)
    assert ask(live, OBJECT) == before
    assert ask(live, "SELECT DISTINCT word FROM t") == [("new",)]
    assert names(live) == {live.connection().dbname}
    assert Restore.objects.get().state == RestoreState.FAILED
