"""A drill on a chosen server that is killed leaves no database there, also when the server is away at that moment."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psycopg
import pytest
from django.test import Client
from django.utils import timezone

from dbadmin.choices import DrillState, JobKind, JobState
from dbadmin.engines.postgresql import PostgreSQLEngine
from dbadmin.engines.postgresql.cluster import Cluster
from dbadmin.jobs import queue
from dbadmin.jobs.clock import tick
from dbadmin.jobs.foreground import work_on
from dbadmin.jobs.reaper import reap
from dbadmin.models import Backup, Database, Drill, Job, Storage
from tests.backups.files import spools
from tests.factories import make_database
from tests.jobs.forked import forked
from tests.jobs.test_worker_postgresql import ANNE, Shop, program_of, settings_of, shop, storage, worker_of
from tests.jobs.workers import is_alive, over, supervised, until
from tests.servers import Servers

__all__ = ["shop", "storage"]
pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def other(servers: Servers) -> Iterator[Cluster]:
    """A server of its own, which a test may stop."""
    cluster = servers.make(16, "stopped-by-tests")
    cluster.start()
    yield cluster
    cluster.stop()
    cluster.remove()


@pytest.fixture
def place(other: Cluster, shop: Shop, storage: Storage) -> Database:
    connection = other.connection("postgres")
    database = make_database(engine="postgresql", slug="other", settings=settings_of(connection))
    database.password = connection.password
    database.save()
    assert work_on(JobKind.BACKUP, shop.database, actor=ANNE, params={}).state == JobState.SUCCEEDED
    return database


def left(other: Cluster) -> list[str]:
    with psycopg.connect(**other.connection("postgres").parameters()) as session:
        rows = session.execute("SELECT datname FROM pg_database WHERE datname LIKE 'dbadmin%'").fetchall()
    return [name for (name,) in rows]


def params() -> dict[str, object]:
    return {"backup": Backup.objects.latest("pk").pk, "on": "other"}


def quick(shop: Shop) -> None:
    """Back up again, without what takes its time."""
    with shop.session() as session:
        session.execute("ALTER TABLE orders DROP CONSTRAINT slow")
    assert work_on(JobKind.BACKUP, shop.database, actor=ANNE, params={}).state == JobState.SUCCEEDED


def begun(shop: Shop, other: Cluster) -> Job:
    """Wait until pg_restore works in the throw-away database."""
    job, _ = queue.enqueue(JobKind.DRILL, shop.database, actor=ANNE, params=params())
    until(lambda: left(other) or over(job)(), seconds=120)
    assert job.is_active, job.message
    program_of(job)
    return job


def test_kill_9_leaves_nothing_although_the_server_is_away_at_first(
    shop: Shop, place: Database, other: Cluster
) -> None:
    with supervised("worker", "--workers", "1", "--tick", "600") as supervisor:
        job = begun(shop, other)
        worker = worker_of(job)
        os.kill(supervisor.pid, signal.SIGKILL)
        os.kill(worker, signal.SIGKILL)
        until(lambda: not is_alive(worker))
        other.stop()
        reap(timezone.now())
    job.refresh_from_db()
    assert (job.state, Drill.objects.get(job=job).state) == (JobState.LOST, DrillState.FAILED)
    assert "Removing what was half done failed" in " ".join(str(line) for line in job.log_lines.all())
    other.start()
    assert left(other) == [job.params["scratch"]["name"]]
    assert Job.objects.get(retry_of=job).params == params()
    tick(timezone.now())
    job.refresh_from_db()
    assert (left(other), "scratch" in job.params, spools()) == ([], False, [])


def test_a_cancelled_one_leaves_nothing(
    shop: Shop, place: Database, other: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(shop)
    examine = PostgreSQLEngine.examine

    def cancelled(self: PostgreSQLEngine, target: object, **options: object) -> object:
        assert left(other)
        queue.cancel(Job.objects.get(kind=JobKind.DRILL), actor=ANNE)
        return examine(self, target, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(PostgreSQLEngine, "examine", cancelled)
    job = work_on(JobKind.DRILL, shop.database, actor=ANNE, params=params())
    assert (job.state, left(other), "scratch" in job.params) == (JobState.CANCELLED, [], False)


def test_wherever_it_is_killed_the_reaper_leaves_nothing(shop: Shop, place: Database, other: Cluster) -> None:
    quick(shop)
    seen = []
    for steps in (3, 5, 7, 99):
        code, became = forked().run("tests.backups.killed:work", "drill", "shop", params(), steps)
        seen.append((code, bool(left(other))))
        reap(timezone.now())
        assert (left(other), spools()) == ([], []), steps
        Job.objects.filter(state=JobState.QUEUED).delete()  # its repetition
    assert (-signal.SIGKILL, True) in seen
    assert seen[-1] == (0, False), became
    assert Drill.objects.latest("pk").state == DrillState.PROVEN


def test_what_could_not_be_dropped_is_said_and_dropped_later(
    shop: Shop, place: Database, other: Cluster, monkeypatch: pytest.MonkeyPatch, admin_client: Client
) -> None:
    quick(shop)
    examine = PostgreSQLEngine.examine

    def gone(self: PostgreSQLEngine, target: object, **options: object) -> object:
        found = examine(self, target, **options)  # type: ignore[arg-type]
        other.stop()
        return found

    monkeypatch.setattr(PostgreSQLEngine, "examine", gone)
    job = work_on(JobKind.DRILL, shop.database, actor=ANNE, params=params())
    row = Drill.objects.get(job=job)
    assert (job.state, row.state) == (JobState.SUCCEEDED, DrillState.PROVEN)
    assert "is not removed yet" in " ".join(str(line) for line in job.log_lines.all())
    assert "not removed yet" in admin_client.get(row.get_absolute_url()).content.decode()
    tick(timezone.now())  # the server is still away
    other.start()
    assert left(other)
    tick(timezone.now())
    assert left(other) == []
    assert "not removed yet" not in admin_client.get(row.get_absolute_url()).content.decode()
