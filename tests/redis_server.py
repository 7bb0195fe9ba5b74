"""A real Redis on a port of its own, without persistence."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from dbadmin.engines.postgresql.cluster import free_port
from dbadmin.jobs import bell
from dbadmin.jobs.bells import redis as redis_bells
from project.queues import tasks
from tests.jobs.workers import until
from tests.servers import absent


class RedisServer:
    """It forgets everything when it is stopped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
        self._process = subprocess.Popen(
            ["redis-server", *options, "--dir", str(self._folder)], stdout=subprocess.DEVNULL, start_new_session=True
        )
        until(self._answers)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        absent("redis-server is not installed")
    with tempfile.TemporaryDirectory(prefix="dbadmin-redis-") as folder:
        server = RedisServer(Path(folder))
        yield server
        server.kill()


@pytest.fixture
def through_redis(redis_server: RedisServer, settings: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """Bells of this process go through an empty Redis."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    settings.REDIS_URL = redis_server.url  # type: ignore[attr-defined]
    settings.TASKS = {"default": tasks(redis_server.url)}  # type: ignore[attr-defined]
    _forget_connections()
    yield redis_server
    _forget_connections()


def _forget_connections() -> None:
    bell.bells.cache_clear()
    redis_bells.connection.cache_clear()
