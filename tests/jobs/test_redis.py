"""Many machines: workers with homes of their own, a Redis that forgets, a catalogue on PostgreSQL."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from dbadmin import audit
from dbadmin.checks import redis_answers
from dbadmin.choices import BackupState, JobKind, JobState
from dbadmin.jobs import bell, clock, presence, queue, workers
from dbadmin.jobs.bells.base import Unreachable
from dbadmin.jobs.bells.redis import RedisBells
from dbadmin.jobs.execution import execute
from dbadmin.models import Backup, Database, Job, JobLogLine, Storage, WorkerProcess
from tests.backups.files import below
from tests.factories import make_application, make_database, make_job, make_storage, make_worker
from tests.jobs.workers import (
    children,
    environment,
    frozen_in_the_middle,
    is_alive,
    over,
    supervised,
    until,
)
from tests.postgresql_catalogue import postgresql_catalogue as postgresql_catalogue
from tests.redis_server import RedisServer
from tests.redis_server import redis_server as redis_server
from tests.redis_server import through_redis as through_redis
from tests.sqlite_file import make_large_sqlite_file, make_sqlite_file, sqlite_database

ANNE = audit.Actor(name="anne")
BACKUPS, CHECKS = 170, 330


def worker_environment(server: RedisServer, home: Path) -> dict[str, str]:
    """All that a worker on another machine is given."""
    kept = {"PATH", "HOME", "LANG", "CI", "DATABASE_URL", "DJANGO_SETTINGS_MODULE"}
    return {name: value for name, value in environment().items() if name in kept} | {
        "DBADMIN_HOME": str(home),
        "DBADMIN_REDIS_URL": server.url,
        "SECRET_KEY": settings.SECRET_KEY,
        "DBADMIN_ENCRYPTION_KEY": settings.ENCRYPTION_KEY,
    }


@pytest.mark.django_db
def test_the_bell_of_a_job_waits_in_redis_and_not_in_the_catalogue(through_redis: RedisServer) -> None:
    job = make_job(kind="health")
    assert bell.ring(job)
    assert bell.standing() == {(job.pk, "short")}
    assert RedisBells().hear(["long", "short"], seconds=1) == job.pk
    assert bell.standing() == set()
    assert RedisBells().hear(["long", "short"], seconds=1) is None
    assert not DBTaskResult.objects.exists()


@pytest.mark.django_db
def test_nothing_is_left_of_a_bell_that_was_heard(through_redis: RedisServer) -> None:
    from dbadmin.jobs.bells.redis import connection

    bell.ring(make_job())
    (name,) = connection().scan_iter("rq:job:*")
    assert b"\x80" not in connection().hget(name, "data")  # no pickle
    assert connection().ttl(name) > 0
    RedisBells().hear(["long"], seconds=1)
    assert not list(connection().scan_iter("rq:job:*"))


@pytest.mark.django_db
def test_a_redis_that_forgot_is_told_again_once_for_each_job(through_redis: RedisServer) -> None:
    now = timezone.now()
    jobs = [make_job(created_at=now - timedelta(minutes=2)) for _ in range(3)]
    for job in jobs:
        bell.ring(job)
    through_redis.kill()
    with pytest.raises(Unreachable, match="Redis does not answer"):
        bell.standing()
    assert not bell.ring(jobs[0])
    clock.ring_again(now)  # says nothing and does nothing
    through_redis.start()
    clock.ring_again(now)
    clock.ring_again(now)
    assert [job.pk for job in jobs] == [RedisBells().hear(["long"], seconds=1) for _ in jobs]
    assert bell.standing() == set()


@pytest.mark.django_db
def test_a_job_goes_to_the_queue_of_its_site(through_redis: RedisServer) -> None:
    job = make_job(database=make_database(site="osaka"))
    bell.ring(job)
    assert RedisBells().hear(["long", "short"], seconds=1) is None
    assert RedisBells().hear(["long@osaka", "long"], seconds=1) == job.pk


@pytest.mark.django_db(transaction=True)
def test_a_database_that_moved_is_worked_on_at_its_new_site(through_redis: RedisServer) -> None:
    job = make_job(kind="health", database=make_database(site="osaka"))
    bell.ring(job)
    Database.objects.update(site="kobe")
    with presence.Presence(["long@osaka", "short@osaka"]):
        execute(job.pk)
    job.refresh_from_db()
    assert job.state == JobState.QUEUED
    assert (job.pk, "short@kobe") in bell.standing()


@pytest.mark.django_db
def test_a_site_without_a_worker_is_told_of(through_redis: RedisServer) -> None:
    job = make_job(database=make_database(site="osaka"))
    now = timezone.now()
    make_worker()
    (gap,) = workers.gaps(now)
    assert "osaka" in str(gap.sentence)
    assert gap.command == "manage.py worker --site osaka"
    assert "osaka" in str(workers.nobody_takes(job, now))
    assert workers.nobody_takes(make_job(), now) is None
    assert workers.nobody_takes(make_job(), now + timedelta(minutes=2)) is not None


@pytest.mark.django_db(transaction=True)
def test_cancel_and_kill_9_work_as_with_the_other_bell(through_redis: RedisServer, tmp_path: Path) -> None:
    storage = make_storage(tmp_path / "archives", is_default=True, bandwidth_kilobytes=100)
    database = sqlite_database(make_large_sqlite_file(tmp_path / "large.db", megabytes=150), slug="large")
    with supervised("worker", "--workers", "1", "--tick", "1", env={"DBADMIN_REDIS_URL": through_redis.url}) as one:
        job, _ = queue.enqueue(JobKind.BACKUP, database, actor=ANNE)
        worker = frozen_in_the_middle(job)
        queue.cancel(job, actor=ANNE)
        os.kill(worker, signal.SIGCONT)
        until(over(job))
        assert job.state == JobState.CANCELLED
        assert worker in children(one.pid)
        assert is_alive(worker)

        job, _ = queue.enqueue(JobKind.BACKUP, database, actor=ANNE)
        worker = frozen_in_the_middle(job)
        Storage.objects.update(bandwidth_kilobytes=0)
        os.kill(worker, signal.SIGKILL)
        until(over(job))
        assert job.state == JobState.LOST
        again = until(lambda: Job.objects.filter(retry_of=job).first())
        until(over(again))
    assert again.state == JobState.SUCCEEDED
    backup = Backup.objects.get()
    assert below(Path(storage.settings["path"])) == [f"{backup.key}/backup.tar", f"{backup.key}/manifest.json"]


@pytest.mark.django_db(transaction=True)
def test_told_to_end_a_worker_gives_its_job_back(through_redis: RedisServer, tmp_path: Path) -> None:
    make_storage(tmp_path / "archives", is_default=True, bandwidth_kilobytes=100)
    database = sqlite_database(make_large_sqlite_file(tmp_path / "large.db", megabytes=150), slug="large")
    with supervised("redis_worker", "long", env={"DBADMIN_REDIS_URL": through_redis.url}) as worker:
        job, _ = queue.enqueue(JobKind.BACKUP, database, actor=ANNE)
        frozen_in_the_middle(job)
        assert WorkerProcess.objects.get().stopped_at is None
        worker.terminate()
        worker.send_signal(signal.SIGINT)  # told twice, by signals that do not become one
        os.kill(worker.pid, signal.SIGCONT)
        worker.wait(120)
    job.refresh_from_db()
    assert job.state == JobState.LOST
    assert Job.objects.get(retry_of=job).state == JobState.QUEUED
    assert WorkerProcess.objects.get().stopped_at is not None
    assert below(tmp_path / "archives") == []


@pytest.mark.postgresql
def test_500_jobs_three_workers_two_killed_and_a_redis_that_forgets(
    through_redis: RedisServer, postgresql_catalogue: None, tmp_path: Path
) -> None:
    archives = tmp_path / "archives"
    make_storage(archives, is_default=True)
    databases = many_databases(tmp_path)
    with ExitStack() as stack:
        machines = [
            stack.enter_context(
                supervised("worker", "--workers", "1", "--tick", "2", only=worker_environment(through_redis, home))
            )
            for home in (tmp_path / name for name in ("tokyo", "osaka", "kobe"))
        ]
        until(lambda: len(workers.gather(timezone.now()).alive) == 6)
        kinds = [(JobKind.BACKUP, database) for database in databases[:BACKUPS]]
        kinds += [(JobKind.HEALTH, database) for database in databases[BACKUPS:]]
        jobs = [queue.enqueue(kind, database, actor=ANNE)[0] for kind, database in kinds]
        until(lambda: done() > 40)
        kill_a_busy_worker(machines)
        until(lambda: done() > 120)
        through_redis.kill()
        time.sleep(1)
        through_redis.start()
        kill_a_busy_worker(machines)
        until(lambda: not Job.objects.active().exists(), seconds=900)
    every_job_has_one_good_result(jobs)
    nothing_ran_twice_at_a_time()
    assert Counter(Backup.objects.values_list("database", "state")) == {
        (database.pk, BackupState.AVAILABLE): 1 for database in databases[:BACKUPS]
    }
    assert len(below(archives)) == 2 * BACKUPS


def many_databases(folder: Path) -> list[Database]:
    """All of them files of one application, whose histories have just been read."""
    application = make_application()
    found = []
    for number in range(BACKUPS + CHECKS):
        path = make_sqlite_file(folder / f"{number}.db")
        found.append(sqlite_database(path, application=application))
        for kind in (JobKind.HISTORY, JobKind.HEALTH):
            make_job(database=found[-1], kind=kind, state=JobState.SUCCEEDED)
    return found


def done() -> int:
    return Job.objects.filter(state=JobState.SUCCEEDED, actor="anne").count()


def kill_a_busy_worker(machines: list[subprocess.Popen[str]]) -> None:
    ours = {child for machine in machines for child in children(machine.pid)}
    running = Job.objects.filter(state=JobState.RUNNING, attempt=1)  # what is lost is repeated once only

    def busy() -> list[int]:
        return [pid for name in running.values_list("worker", flat=True) if (pid := int(name.split("/")[0])) in ours]

    os.kill(random.choice(until(busy)), signal.SIGKILL)


def every_job_has_one_good_result(jobs: list[Job]) -> None:
    """It succeeded, or its repetition did, or its worker died right after the backup was there."""
    for job in Job.objects.filter(pk__in=[job.pk for job in jobs]).select_related("retried_by"):
        attempts = [job, job.retried_by] if hasattr(job, "retried_by") else [job]
        good = [attempt.state for attempt in attempts].count(JobState.SUCCEEDED)
        if job.state == JobState.LOST and len(attempts) == 1:
            good += Backup.objects.filter(job=job).count()
        assert good == 1, (job, job.message)


def nothing_ran_twice_at_a_time() -> None:
    """No two attempts overlap, and no attempt was begun twice: each writes the line of a phase once."""
    ran = Job.objects.exclude(started_at=None).order_by("database", "kind", "started_at")
    before: Job | None = None
    for job in ran:
        if before and (before.database_id, before.kind) == (job.database_id, job.kind):
            assert before.finished_at is not None
            assert before.finished_at <= job.started_at
        before = job
    lines = Counter((line.job_id, str(line.text)) for line in JobLogLine.objects.filter(job__kind=JobKind.BACKUP))
    assert max(lines.values()) == 1


@pytest.mark.django_db
def test_a_redis_that_is_away_is_told_by_check_healthz_and_page(through_redis: RedisServer, viewer: Client) -> None:
    make_worker()
    assert redis_answers() == []
    through_redis.kill()
    (warning,) = redis_answers()
    assert "Redis does not answer" in warning.msg
    assert Client().get("/healthz").content == b"queue"
    assert "Redis does not answer" in viewer.get("/workers/").content.decode()
    through_redis.start()
    assert Client().get("/healthz").content == b"ok"
