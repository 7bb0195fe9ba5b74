"""Real PostgreSQL servers for tests: one of each version, started when first asked for, stopped at the end."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from dbadmin.engines.postgresql import clients, fetch
from dbadmin.engines.postgresql.cluster import Cluster
from dbadmin.exceptions import ToolMissing

VERSIONS = (15, 16, 17, 18)
# Where fetched programs are kept: root's home would be out of reach for the user that servers run as.
CACHE = Path(
    os.environ.get("DBADMIN_TEST_POSTGRESQL")
    or ("/var/cache/dbadmin/postgresql" if os.geteuid() == 0 else Path.home() / ".cache/dbadmin/postgresql")
)
PASSWORD = "pass word's \\ 密"


class Servers:
    """Servers by major version; their superuser is postgres with PASSWORD."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self._folder = folder
        self._cache = cache
        self._started: dict[int, Cluster] = {}

    def __getitem__(self, major: int) -> Cluster:
        """Return the running server of a version; skips the test where it cannot be had, fails in CI."""
        if major not in self._started:
            self._started[major] = cluster = self.make(major, f"server-{major}")
            cluster.start()
        return self._started[major]

    def make(self, major: int, name: str, **options: Any) -> Cluster:
        """Return a server that is not started; the caller stops it."""
        return Cluster(
            folder=self._folder / name, bin_folder=self._programs(major), password=PASSWORD, durable=False, **options
        )

    def readable_folder(self, name: str) -> Path:
        """Return a new folder that the servers' user can read."""
        folder = self._folder / name
        folder.mkdir()
        folder.chmod(0o755)
        return folder

    def hand_over(self, path: Path) -> None:
        """Give a file to the servers' user alone."""
        path.chmod(0o600)
        owner = self[16].data.stat()
        os.chown(path, owner.st_uid, owner.st_gid)

    def stop(self) -> None:
        for cluster in self._started.values():
            cluster.stop()

    def _programs(self, major: int) -> Path:
        system = Path(f"/usr/lib/postgresql/{major}/bin")
        if (system / "initdb").exists():
            return system
        try:
            return fetch.install(major, self._cache)
        except ToolMissing as error:
            absent(f"PostgreSQL {major} is not here: {error}")
            raise


def absent(reason: str) -> None:
    """Skip a test for something that this machine lacks; in CI nothing may be lacking."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    folder = Path(tempfile.mkdtemp(prefix="dbadmin-servers-"))
    folder.chmod(0o755)
    clients.configure(settings.POSTGRESQL_BIN, fetched=CACHE, jobs=2)
    running = Servers(folder, CACHE)
    # Of the clients only 15 may be the system's: the one for servers up to 16 is always wanted.
    try:
        fetch.install(16, CACHE)
        yield running
    except ToolMissing as error:
        absent(f"PostgreSQL's programs are not here: {error}")
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server(servers: Servers) -> Cluster:
    """One server, where the version does not matter."""
    return servers[16]
