"""Workers that are killed or cancelled while PostgreSQL's programs work for them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from dbadmin import audit
from dbadmin.choices import JobKind, JobState, RestoreState
from dbadmin.engines.postgresql import PostgreSQLConnection, PostgreSQLEngine
from dbadmin.engines.postgresql.cluster import Cluster
from dbadmin.jobs import queue
from dbadmin.jobs.foreground import work_on
from dbadmin.models import Backup, Database, Job, Restore, Storage
from tests.backups.files import below, spools
from tests.factories import make_database, make_storage
from tests.jobs.workers import is_alive, over, supervised, until

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]
ANNE = audit.Actor(name="anne")
SCRIPT = """
CREATE TABLE orders (id int PRIMARY KEY);
INSERT INTO orders SELECT generate_series(1, 300);
CREATE TABLE words AS SELECT md5(n::text) AS word FROM generate_series(1, 200000) AS n;
CREATE FUNCTION slow(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.03); RETURN true; END';
ALTER TABLE orders ADD CONSTRAINT slow CHECK (slow(id)) NOT VALID;
"""


@dataclass(frozen=True)
class Shop:
    """A registered PostgreSQL database whose rows take their time to come back."""

    database: Database
    connection: PostgreSQLConnection

    def session(self) -> psycopg.Connection:
        return psycopg.connect(**self.connection.parameters("test"))


@pytest.fixture
def shop(db: None, server: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("DBADMIN_POSTGRESQL_BIN", str(server.bin_folder))
    connection = PostgreSQLEngine().new_target(server.connection(), "shop")
    with psycopg.connect(**server.connection().parameters("test"), autocommit=True) as session:
        session.execute("CREATE DATABASE shop")
    with psycopg.connect(**connection.parameters("test"), autocommit=True) as session:
        session.execute(SCRIPT)
    database = make_database(engine="postgresql", slug="shop", settings=settings_of(connection))
    database.password = connection.password
    database.save()
    yield Shop(database, connection)
    PostgreSQLEngine().discard(connection)


@pytest.fixture
def storage(db: None, tmp_path: Path) -> Storage:
    return make_storage(tmp_path / "archives", is_default=True)


def settings_of(connection: PostgreSQLConnection) -> dict[str, object]:
    return {
        "host": connection.host,
        "port": connection.port,
        "user": connection.user,
        "name": connection.dbname,
    }


def program_of(job: Job) -> int:
    """Wait until a program works for the job, and return its pid."""
    return until(lambda: Job.objects.get(pk=job.pk).process_id or 0)


def worker_of(job: Job) -> int:
    return int(Job.objects.get(pk=job.pk).worker.partition("/")[0])


def test_kill_9_during_pg_dump_leaves_no_program_and_the_repetition_succeeds(shop: Shop, storage: Storage) -> None:
    with supervised("worker", "--workers", "1", "--tick", "1"):
        job, _ = queue.enqueue(JobKind.BACKUP, shop.database, actor=ANNE)
        program = program_of(job)
        os.killpg(program, signal.SIGSTOP)  # it cannot notice by itself that its worker is gone
        os.kill(worker_of(job), signal.SIGKILL)
        until(over(job))
        until(lambda: not is_alive(program))
        assert job.state == JobState.LOST
        again = until(lambda: Job.objects.filter(retry_of=job).first())
        until(over(again))
    assert again.state == JobState.SUCCEEDED, again.message
    assert len(below(Path(storage.settings["path"]))) == 2
    assert spools() == []


def test_a_backup_that_waits_for_a_lock_can_be_cancelled(shop: Shop, storage: Storage) -> None:
    with supervised("worker", "--workers", "1", "--tick", "60"), shop.session() as session:
        session.execute("LOCK TABLE orders")
        job, _ = queue.enqueue(JobKind.BACKUP, shop.database, actor=ANNE)
        until(lambda: Job.objects.get(pk=job.pk).state == JobState.RUNNING)
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'orders'::regclass"
        until(lambda: session.execute(waiting).fetchone() != (0,))
        queue.cancel(job, actor=ANNE)
        until(over(job))
        assert job.state == JobState.CANCELLED, job.message
    assert below(Path(storage.settings["path"])) == [] == spools()


def test_a_cancelled_restore_ends_its_program_and_removes_the_database(shop: Shop, storage: Storage) -> None:
    made = work_on(JobKind.BACKUP, shop.database, actor=ANNE, params={})
    assert made.state == JobState.SUCCEEDED, made.message
    params = {"backup": Backup.objects.get().pk, "target_name": "copy"}
    with supervised("worker", "--workers", "1", "--tick", "60"):
        job, _ = queue.enqueue(JobKind.RESTORE, shop.database, actor=ANNE, params=params)
        target = PostgreSQLEngine().new_target(shop.connection, "copy")
        until(lambda: PostgreSQLEngine().exists(target))
        program = program_of(job)
        queue.cancel(job, actor=ANNE)
        until(over(job))
        assert job.state == JobState.CANCELLED
        assert not is_alive(program)
        assert not PostgreSQLEngine().exists(target)
    assert Restore.objects.get().state == RestoreState.FAILED


def test_kill_9_during_pg_restore_removes_the_half_made_database(shop: Shop, storage: Storage) -> None:
    made = work_on(JobKind.BACKUP, shop.database, actor=ANNE, params={})
    assert made.state == JobState.SUCCEEDED, made.message
    params = {"backup": Backup.objects.get().pk, "target_name": "copy"}
    with supervised("worker", "--workers", "1", "--tick", "1"):
        job, _ = queue.enqueue(JobKind.RESTORE, shop.database, actor=ANNE, params=params)
        target = PostgreSQLEngine().new_target(shop.connection, "copy")
        until(lambda: PostgreSQLEngine().exists(target))
        program = program_of(job)
        os.kill(worker_of(job), signal.SIGKILL)
        until(over(job))
        until(lambda: Restore.objects.get().state == RestoreState.FAILED)
        until(lambda: not PostgreSQLEngine().exists(target))
        until(lambda: not spools())
    assert not is_alive(program)
    assert job.state == JobState.LOST
    assert not Job.objects.filter(retry_of=job).exists()
