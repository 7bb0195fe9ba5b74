"""Bells in Redis, by django-tasks-rq: for workers on many machines.

Only the number of the job travels, as JSON, in RQ's own format. A worker takes the bell out before it works, so that
RQ knows nothing of running jobs: no timeout, retry or registry of its own can end a job or start it twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Any

import redis
from django.conf import settings
from django_tasks.base import Task, TaskResult, TaskResultStatus
from django_tasks.signals import task_enqueued
from django_tasks.utils import get_random_id
from django_tasks_rq.backend import Job as RQJob
from django_tasks_rq.backend import RQBackend
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.exceptions import DequeueTimeout
from rq.serializers import JSONSerializer

from dbadmin.jobs.bells.base import Bell, Unreachable
from dbadmin.text import Text

CONNECT_SECONDS = 2
WAIT_SECONDS = 5
# A bell whose worker died after taking it leaves its description behind; the job is rung for again.
DESCRIPTION_SECONDS = 86_400


class RedisBackend(RQBackend):
    """django-tasks' way to RQ, for queues of any name, with the number of the job in the name of the bell."""

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self.queues = set()

    def enqueue(self, task: Task[Any, Any], args: Any, kwargs: Any) -> TaskResult[Any]:
        """Ring; ``args`` is the number of the job alone. ``Unreachable`` when Redis does not answer."""
        self.validate_task(task)
        (job_id,) = args
        name = f"{job_id}-{get_random_id()}"
        result: TaskResult[Any] = TaskResult(
            task=task,
            id=name,
            status=TaskResultStatus.READY,
            enqueued_at=None,
            started_at=None,
            last_attempted_at=None,
            finished_at=None,
            args=list(args),
            kwargs=kwargs,
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )
        with _sentences():
            queue = _queue(task.queue_name)
            bell = queue.create_job(
                task.module_path, args=args, job_id=name, ttl=DESCRIPTION_SECONDS, meta={"backend_name": self.alias}
            )
            bell = queue.enqueue_job(bell)
        object.__setattr__(result, "enqueued_at", bell.enqueued_at)
        task_enqueued.send(type(self), task_result=result)
        return result

    def check(self, **_options: Any) -> list[Any]:
        """Nothing: django-rq's own pages and commands are not used, so it need not be installed as an application."""
        return []


class RedisBells:
    """The queue of an installation on many machines."""

    def standing(self) -> set[Bell]:
        """Read the names of all bells in all queues that were ever used."""
        with _sentences():
            queues = Queue.all(connection=connection(), serializer=JSONSerializer)
            return {Bell(int(name.partition("-")[0]), queue.name) for queue in queues for name in queue.get_job_ids()}

    def failure(self, job_id: int) -> str | None:
        """Nothing is known: a worker that fails to begin ends, and is started again with the newest files."""
        return None

    def prune(self, now: datetime) -> None:
        """Nothing to do: a bell is gone when it was heard."""

    def hear(self, queues: Sequence[str], *, seconds: int = WAIT_SECONDS) -> int | None:
        """Take the next bell out of ``queues``, the first of them first, and return its job; None after ``seconds``."""
        with _sentences():
            try:
                _key, name = Queue.lpop([_queue(each).key for each in queues], seconds, connection=connection())
            except DequeueTimeout:
                return None
            connection().delete(RQJob.key_for(name.decode()))
        return int(name.decode().partition("-")[0])

    def require(self) -> None:
        """Raise ``Unreachable`` when Redis does not answer now."""
        with _sentences():
            connection().ping()


@cache
def connection() -> redis.Redis:
    """Return the pool of this process. A dead connection is noticed, not waited for."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=2 * WAIT_SECONDS,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 1),
        client_name="dbadmin",
    )


def _queue(name: str) -> Queue:
    return Queue(name, connection=connection(), job_class=RQJob, serializer=JSONSerializer, default_timeout=-1)


@contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        reason = str(error).strip().rstrip(".") or type(error).__name__
        raise Unreachable(
            Text("Redis does not answer as it should: {reason}.", reason=reason),
            Text("Start it, or correct DBADMIN_REDIS_URL. Jobs wait in the catalogue and are done when it works."),
        ) from error
