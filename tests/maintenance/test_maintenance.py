"""Looking after live databases, and keeping hands off damaged ones."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import apsw
import psycopg
import pytest
from django.core.management import call_command

from dbadmin.choices import JobKind, JobState
from dbadmin.exceptions import Cancelled, DatabaseError, DbadminError, ValidationFailed
from dbadmin.jobs.execution import run_now
from dbadmin.jobs.queue import enqueue
from dbadmin.maintenance.run import maintain
from dbadmin.models import AuditEvent, Database
from dbadmin.progress import Silent
from tests.factories import make_database
from tests.postgresql_database import execute
from tests.postgresql_database import postgresql as postgresql
from tests.small_disk import small_disk as small_disk
from tests.sqlite_file import make_sqlite_file, sqlite_database

pytestmark = pytest.mark.django_db


def verdicts(database: Database, *steps: str) -> list[tuple[str, str]]:
    done = maintain(database, steps=steps, progress=Silent())
    return [(each.verdict, str(each.message)) for each in done]


@pytest.fixture
def grown(tmp_path: Path) -> Database:
    """A file in WAL mode, mostly of removed rows."""
    path = make_sqlite_file(tmp_path / "shop.db", rows=5000)
    db = apsw.Connection(str(path))
    db.execute("PRAGMA journal_mode=wal").fetchall()
    db.execute("DELETE FROM releases WHERE rowid > 50").fetchall()
    db.close()
    return sqlite_database(path, slug="shop")


def test_sqlite_becomes_small_while_its_application_has_it_open(grown: Database) -> None:
    path = Path(grown.settings["path"])
    before = path.stat().st_size
    application = apsw.Connection(str(path))
    assert application.execute("SELECT count(*) FROM releases").fetchall() == [(50,)]
    found = verdicts(grown)
    assert {verdict for verdict, _message in found} == {"ok"}
    assert found[-1][1] == "The log is empty."
    assert path.stat().st_size < before / 2
    assert application.execute("SELECT count(*) FROM releases").fetchall() == [(50,)]
    assert AuditEvent.objects.filter(action="maintenance.complete").exists()


def test_a_lock_is_a_warning_and_changes_nothing(grown: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbadmin.engines.sqlite.replace.WAIT_SECONDS", 0.05)
    path = Path(grown.settings["path"])
    writer = apsw.Connection(str(path))
    writer.execute("BEGIN IMMEDIATE").fetchall()
    ((verdict, message),) = verdicts(grown, "vacuum")
    assert (verdict, "locked by another program" in message) == ("warning", True)
    writer.execute("ROLLBACK").fetchall()


def test_a_reader_keeps_the_log_and_that_is_said(grown: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbadmin.engines.sqlite.replace.WAIT_SECONDS", 0.05)
    reader = apsw.Connection(grown.settings["path"])
    reader.execute("BEGIN; SELECT count(*) FROM releases").fetchall()
    writer = apsw.Connection(grown.settings["path"])
    writer.execute("DELETE FROM releases WHERE rowid = 1").fetchall()
    assert "Somebody is reading" in verdicts(grown, "checkpoint")[0][1]
    reader.close()


def test_a_damaged_file_is_left_alone(grown: Database) -> None:
    path = Path(grown.settings["path"])
    db = apsw.Connection(str(path))
    db.execute("PRAGMA journal_mode=delete").fetchall()
    db.close()
    content = bytearray(path.read_bytes())
    content[4096:8192] = b"\x07" * 4096
    path.write_bytes(content)
    with pytest.raises(DbadminError, match="is damaged"):
        maintain(grown, progress=Silent())
    assert path.read_bytes() == content


def test_without_space_nothing_is_compacted(small_disk: Path) -> None:
    database = sqlite_database(make_sqlite_file(small_disk / "shop.db", rows=90_000), slug="shop")
    ((verdict, message),) = verdicts(database, "vacuum")
    assert (verdict, "MB free" in message) == ("warning", True)


def test_an_unknown_step_is_named_before_anything(grown: Database) -> None:
    with pytest.raises(ValidationFailed, match="knows no step “polish”"):
        maintain(grown, steps=("vacuum", "polish"), progress=Silent())


@pytest.mark.postgresql
def test_postgresql_frees_space_and_gathers_statistics(postgresql: Database) -> None:
    execute(postgresql, "CREATE TABLE t AS SELECT n, repeat('x', 200) AS w FROM generate_series(1, 5000) AS n")
    execute(postgresql, "DELETE FROM t")
    assert [verdict for verdict, _message in verdicts(postgresql)] == ["ok", "ok"]
    with psycopg.connect(**postgresql.connection().parameters()) as session:
        row = session.execute("SELECT pg_relation_size('t'), reltuples FROM pg_class WHERE relname = 't'").fetchone()
    assert row == (0, 0)


@pytest.mark.postgresql
def test_a_locked_table_is_left_out_and_named(postgresql: Database) -> None:
    execute(postgresql, "CREATE TABLE t (n int); CREATE TABLE u (n int)")
    with psycopg.connect(**postgresql.connection().parameters()) as session:
        session.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        found = verdicts(postgresql, "vacuum")
    assert found[0][0] == "warning"
    assert "public.t (" in found[0][1]
    assert "public.u" not in found[0][1]


@pytest.mark.postgresql
def test_cancelling_stops_between_two_tables(postgresql: Database) -> None:
    execute(postgresql, "CREATE TABLE t (n int)")

    class Cancelling(Silent):
        def check(self) -> None:
            raise Cancelled

    with pytest.raises(Cancelled):
        maintain(postgresql, progress=Cancelling())


def test_a_job_and_a_command_do_it(grown: Database) -> None:
    from dbadmin import audit

    job, _new = enqueue(JobKind.MAINTENANCE, grown, actor=audit.SYSTEM, ring=False)
    done = run_now(job)
    assert (done.state, str(done.message)) == (JobState.SUCCEEDED, "All is well: 5 steps done.")
    out = StringIO()
    call_command("maintain", "--database", "shop", "--step", "optimize", "--json", stdout=out)
    assert json.loads(out.getvalue())["results"][0]["state"] == "succeeded"


def test_files_are_parsed(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.json").write_text("{broken")
    database = make_database(engine="files", settings={"folder": str(tmp_path / "set"), "required": ["*.json"]})
    with pytest.raises(DatabaseError, match=r"a\.json"):
        maintain(database, progress=Silent())
