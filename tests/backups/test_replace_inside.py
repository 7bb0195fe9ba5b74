"""A role that may not create databases: all is replaced inside the database, in one transaction, or nothing is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from dbadmin.backups.contents import must_be_in_place, replace_content
from dbadmin.backups.preflight_replace import look_ahead_of_replacing
from dbadmin.backups.undo import require_undoable, settle_unfinished
from dbadmin.choices import JobKind, RestoreState, Verdict
from dbadmin.engines.base import Dump, in_words
from dbadmin.engines.postgresql import PostgreSQLEngine, in_place
from dbadmin.engines.postgresql.cluster import Cluster
from dbadmin.exceptions import DatabaseError, Refused
from dbadmin.models import Backup, Database, Restore, Storage
from dbadmin.progress import Silent
from tests.backups.files import spools
from tests.backups.test_drill_postgresql import take
from tests.backups.test_replace_kill import KILLED, Target, found
from tests.postgresql_database import execute
from tests.postgresql_database import postgresql as postgresql

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

ODD = """
CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE SCHEMA "Shop 店"; CREATE SCHEMA ext; CREATE EXTENSION IF NOT EXISTS citext SCHEMA ext;
CREATE TYPE mood AS ENUM ('low', 'high'); CREATE DOMAIN price AS numeric CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text); CREATE SEQUENCE alone START 100; SELECT nextval('alone');
CREATE FUNCTION twice(x int) RETURNS int LANGUAGE sql IMMUTABLE RETURN x * 2;
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE TABLE "Shop 店"."it's" (id serial PRIMARY KEY, m mood, p price, two int GENERATED ALWAYS AS (twice(id)) STORED);
INSERT INTO "Shop 店"."it's" (m, p) SELECT 'low', n * 1.5 FROM generate_series(1, 300) AS n;
CREATE TABLE t (id int PRIMARY KEY REFERENCES "Shop 店"."it's", word text);
INSERT INTO t SELECT n, 'old' FROM generate_series(1, 50) n;
CREATE TABLE ext.in_ext (c ext.citext);
CREATE VIEW v AS SELECT * FROM t; CREATE MATERIALIZED VIEW mv AS SELECT count(*) FROM t;
SELECT lo_from_bytea(0, 'large');
"""
LATER = """
UPDATE t SET word = 'new'; DROP TABLE ext.in_ext; CREATE TABLE later (id serial, p pair, m mood);
CREATE SCHEMA later; CREATE TABLE later.also (id int); ALTER TABLE t ADD more int;
CREATE FUNCTION later_too() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT nextval('alone');
SELECT lo_from_bytea(0, 'later');
"""
DEFINED = """SELECT n.nspname, c.relname, c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1, 2"""
LOOK = [
    DEFINED,
    "SELECT word, count(*) FROM t GROUP BY 1",
    "SELECT last_value, is_called FROM alone",
    'SELECT * FROM "Shop 店"."it\'s" ORDER BY 1 LIMIT 3',
    "SELECT proname FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = 'public' ORDER BY 1",
    "SELECT count(*), sum(length(lo_get(oid))) FROM pg_largeobject_metadata",
    "SELECT typname FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace WHERE nspname = 'public' ORDER BY 1",
]


def look(database: Database) -> list[Any]:
    with psycopg.connect(**database.connection().parameters(), autocommit=True) as session:
        return [session.execute(query).fetchall() for query in LOOK]


@pytest.fixture
def modest(postgresql: Database, server: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database whose own role may do nothing outside it; its extensions are the superuser's."""
    monkeypatch.setenv("DBADMIN_POSTGRESQL_BIN", str(server.bin_folder))
    name = postgresql.settings["name"]
    role = f"modest_{name}"
    superuser = dict(postgresql.settings), postgresql.password
    execute(postgresql, "CREATE EXTENSION pgcrypto; CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext")
    execute(postgresql, f"CREATE ROLE {role} LOGIN PASSWORD 'm'; ALTER DATABASE {name} OWNER TO {role}")
    execute(postgresql, f"ALTER SCHEMA ext OWNER TO {role}; GRANT ALL ON SCHEMA public TO {role}")
    postgresql.settings, postgresql.password = postgresql.settings | {"user": role}, "m"
    postgresql.save()
    execute(postgresql, ODD.replace("CREATE SCHEMA ext;", ""))
    postgresql.superuser = superuser  # type: ignore[attr-defined]
    yield postgresql
    postgresql.settings, postgresql.password = superuser
    postgresql.save()
    execute(postgresql, f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}")


def as_superuser(database: Database, sql: str) -> None:
    admin = Database.objects.get(pk=database.pk)
    admin.settings, admin.password = database.superuser  # type: ignore[attr-defined]
    execute(admin, sql)


@pytest.fixture
def backup(modest: Database, storage: Storage) -> Backup:
    taken = take(modest, storage)
    modest.then = look(modest)  # type: ignore[attr-defined]
    execute(modest, LATER)
    return taken


def replaced(backup: Backup, database: Database, progress: Silent | None = None) -> Restore:
    return replace_content(
        backup=backup,
        database=database,
        keep_owners=True,
        without_safety=False,
        progress=progress or Silent(),
        job=None,
    )


def test_the_database_becomes_exactly_what_the_backup_has(modest: Database, backup: Backup) -> None:
    assert must_be_in_place(modest)
    row = replaced(backup, modest)
    assert row.state == RestoreState.EXACT
    assert look(modest) == modest.then  # type: ignore[attr-defined]
    assert row.safety_backup is not None
    with pytest.raises(Refused, match="safety backup"):
        require_undoable(row)
    assert replaced(row.safety_backup, modest).state == RestoreState.EXACT
    assert look(modest)[1] == [("new", 50)]


def test_a_view_that_was_not_refreshed_is_filled_anew_and_said(modest: Database, storage: Storage) -> None:
    execute(modest, "CREATE MATERIALIZED VIEW kept AS TABLE t; DELETE FROM t WHERE id > 40")
    row = replaced(take(modest, storage), modest)
    assert row.state == RestoreState.EXACT
    said = [line["message"] for line in in_words(row.lines)]
    assert "public.kept was filled anew from its tables. Rows now: 40; when it was backed up: 50." in said


def test_it_is_said_beforehand(modest: Database, backup: Backup) -> None:
    ahead = look_ahead_of_replacing(backup=backup, database=modest, keep_owners=True)
    said = next(item for item in ahead.items if "replaced inside" in str(item.message))
    assert said.verdict == Verdict.WARNING
    assert ahead.may_start


def test_a_copy_that_differs_changes_nothing(
    modest: Database, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = modest.adapter.facts(modest.connection(), progress=Silent())
    execute(modest, "DELETE FROM t WHERE id = 7")
    dump = PostgreSQLEngine.dump

    def lossy(self: PostgreSQLEngine, connection: object, **options: object) -> Dump:
        taken = dump(self, connection, **options)  # type: ignore[arg-type]
        return Dump(**{**vars(taken), "facts": facts})

    with monkeypatch.context() as patched:
        patched.setattr(PostgreSQLEngine, "dump", lossy)
        backup = take(modest, storage)
    execute(modest, LATER)
    now = look(modest)
    with pytest.raises(DatabaseError, match=r"public\.t: expected 50, found 49"):
        replaced(backup, modest)
    assert look(modest) == now
    assert Restore.objects.get().state == RestoreState.FAILED


def test_what_belongs_to_others_stops_it_and_nothing_changes(modest: Database, backup: Backup) -> None:
    as_superuser(modest, "CREATE SCHEMA others; GRANT USAGE ON SCHEMA others TO PUBLIC")
    as_superuser(modest, "CREATE TABLE others.t (id int); GRANT SELECT ON others.t TO PUBLIC")
    now = look(modest)
    with pytest.raises(Refused, match="may not remove everything"):
        replaced(backup, modest)
    assert look(modest) == now


def test_readers_wait_and_see_one_of_the_two_states(modest: Database, backup: Backup) -> None:
    seen: set[Any] = set()
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            with psycopg.connect(**modest.connection().parameters(), autocommit=True) as session:
                seen.add(session.execute("SELECT min(word), max(word), count(*) FROM t").fetchone())

    reader = threading.Thread(target=read)
    reader.start()
    replaced(backup, modest)
    over.set()
    reader.join()
    assert seen <= {("new", "new", 50), ("old", "old", 50)}


def test_kill_9_at_every_boundary_leaves_one_of_the_two_states(modest: Database, storage: Storage) -> None:
    new, backup = look(modest), take(modest, storage)
    execute(modest, LATER)
    target = Target(modest, backup, lambda: look(modest), lambda: found(modest), look(modest), new)
    states: list[str] = []
    code = KILLED
    while code == KILLED:
        params = {"backup": backup.pk, "mode": "replace"}
        code = target.run(JobKind.RESTORE, len(states) + 1, **params)
        settle_unfinished()
        row = Restore.objects.latest("pk")
        states.append(row.state)
        assert target.content() == (new if row.state == RestoreState.EXACT else target.old)
        if row.state == RestoreState.EXACT and code == KILLED:
            execute(modest, LATER)
    assert states[0] == RestoreState.FAILED
    assert states.count(RestoreState.EXACT) > 1  # killed after the commit, and not killed
    assert spools() == []


def test_an_owner_who_may_create_databases_gets_the_short_switch(modest: Database) -> None:
    as_superuser(modest, f"ALTER ROLE {modest.settings['user']} CREATEDB")
    assert not in_place.is_needed(modest.connection())
