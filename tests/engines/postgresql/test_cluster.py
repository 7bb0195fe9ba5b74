from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbadmin.engines.postgresql.cluster import Cluster
from dbadmin.exceptions import DatabaseError
from tests.engines.postgresql.conftest import execute
from tests.servers import Servers, absent

pytestmark = pytest.mark.postgresql


@pytest.fixture
def sleeper() -> Iterator[int]:
    process = subprocess.Popen(["sleep", "60"])
    yield process.pid
    process.kill()
    process.wait()


def test_a_recorded_number_that_is_another_process_is_not_our_server(servers: Servers, sleeper: int) -> None:
    cluster = servers.make(16, "stale")
    cluster.start()
    try:
        cluster.stop()
        (cluster.data / "postmaster.pid").write_text(f"{sleeper}\n{cluster.data}\n")
        assert not cluster.running()
        cluster.stop()
        os.kill(sleeper, 0)
        cluster.start()
        assert execute(cluster.connection(), "SELECT 1") == [(1,)]
    finally:
        cluster.remove()
    assert not cluster.folder.exists()


def test_two_servers_do_not_touch_each_other(servers: Servers, server: Cluster) -> None:
    other = servers.make(16, "other")
    other.start()
    other.start()
    other.remove()
    assert server.running()


def test_a_long_path_gets_a_short_socket_folder(servers: Servers) -> None:
    cluster = servers.make(16, "long-" + "x" * 100)
    cluster.start()
    try:
        assert len(str(cluster.socket_folder)) < 60
        assert execute(cluster.connection(), "SELECT 1") == [(1,)]
    finally:
        cluster.remove()
    assert not cluster.socket_folder.exists()


def test_a_creation_that_was_interrupted_is_done_again(servers: Servers) -> None:
    cluster = servers.make(16, "interrupted")
    cluster.create()
    (cluster.data / "dbadmin.conf").unlink()
    try:
        cluster.start()
        assert execute(cluster.connection(), "SHOW server_encoding") == [("UTF8",)]
    finally:
        cluster.remove()


def test_a_broken_configuration_is_said_with_the_log(servers: Servers) -> None:
    cluster = servers.make(16, "broken", settings=(("work_mem", "much"),))
    with pytest.raises(DatabaseError, match="did not start"):
        cluster.start()
    cluster.remove()


def test_a_folder_that_the_server_cannot_reach_is_named(servers: Servers) -> None:
    if os.geteuid() != 0:
        absent("Only root starts servers as another user.")
    with tempfile.TemporaryDirectory() as private:
        cluster = Cluster(folder=Path(private, "server"), bin_folder=servers[16].bin_folder)
        with pytest.raises(DatabaseError, match="cannot reach"):
            cluster.start()
