from __future__ import annotations

import http.client
import signal
import socket

import pytest

from dbadmin.engines.postgresql.cluster import free_port
from tests.jobs.workers import children, is_alive, supervised, until

pytestmark = pytest.mark.django_db(transaction=True)


def status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except ConnectionRefusedError:
        return 0
    finally:
        connection.close()


def test_serve_answers_and_ends_everything_it_started() -> None:
    port = free_port()
    with supervised("serve", "--port", str(port)) as supervisor:
        assert until(lambda: status(port, "/")) == 302
        # web, two for long work, one for short, the clock
        started = until(lambda: len(found := children(supervisor.pid)) == 5 and found)
        supervisor.send_signal(signal.SIGINT)
        assert supervisor.wait(120) == 0
        assert not any(is_alive(pid) for pid in started)


def test_a_port_that_is_taken_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with supervised("serve", "--port", str(port)) as supervisor:
            assert supervisor.wait(120) == 4
            assert supervisor.stderr is not None
            assert "Choose another with --port." in supervisor.stderr.read()
