from __future__ import annotations

import multiprocessing
import threading
from dataclasses import replace

import pytest

from dbadmin.engines.postgresql import PostgreSQLConnection, PostgreSQLEngine, pool_statistics, sessions
from dbadmin.engines.postgresql.cluster import Cluster, free_port
from dbadmin.exceptions import ConnectionFailed, DatabaseError
from tests.clock import Clock
from tests.engines.postgresql.conftest import MakeDatabase, Recorder, execute
from tests.servers import Servers

pytestmark = pytest.mark.postgresql


def test_25_callers_share_at_most_10_sessions(server: Cluster, make_database: MakeDatabase) -> None:
    source = make_database(server)
    counts: list[int] = []

    def call() -> None:
        with sessions.session(source) as lent:
            lent.execute("SELECT pg_sleep(0.2)")
            row = lent.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()").fetchone()
            counts.append(row[0])

    threads = [threading.Thread(target=call) for _ in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counts) == 25
    assert max(counts) <= 10
    (pool,) = [row for row in pool_statistics() if row["address"] == source.address]
    assert (pool["most"], pool["waiting"], pool["errors"]) == (10, 0, 0)
    assert pool["requests"] == 25


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO t VALUES (2)",
        "WITH x AS (INSERT INTO t VALUES (2) RETURNING id) SELECT id FROM x",
        "SELECT 1; COMMIT; INSERT INTO t VALUES (2)",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "COMMIT",
    ],
)
def test_rows_cannot_write(
    engine: PostgreSQLEngine, server: Cluster, make_database: MakeDatabase, statement: str
) -> None:
    source = make_database(server, "CREATE TABLE t AS SELECT 1 AS id")
    with pytest.raises(DatabaseError):
        engine.rows(source, statement)
    assert engine.rows(source, "SELECT id FROM t WHERE id = %s", (1,)) == [(1,)]


def test_a_percent_sign_needs_no_escape_without_parameters(engine: PostgreSQLEngine, server: Cluster) -> None:
    assert engine.rows(server.connection(), "SELECT 'a%' LIKE 'a%';") == [(True,)]


def test_a_statement_that_takes_too_long_is_ended(server: Cluster) -> None:
    with (
        pytest.raises(DatabaseError, match="time limit"),
        sessions.session(server.connection(), seconds=0.2) as lent,
    ):
        lent.execute("SELECT pg_sleep(3600)")


def test_connecting_is_tried_three_times_and_each_attempt_is_logged(
    server: Cluster, progress: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(sessions, "time", clock)
    gone = replace(server.connection(), host="127.0.0.1", port=free_port())
    began = clock.now
    with pytest.raises(ConnectionFailed) as caught:
        sessions.connect(gone, progress=progress)
    assert caught.value.stage == "TCP"
    assert clock.now - began == pytest.approx(3 * sessions.FIRST_DELAY_SECONDS)  # then twice as long
    assert [line.partition(":")[0] for line in progress.lines] == ["warning", "warning", "error"]
    assert f"attempt 2 of 3), retrying in {2 * sessions.FIRST_DELAY_SECONDS} s" in progress.lines[1]
    assert "failed after 3 attempts" in progress.lines[2]


def test_a_server_that_comes_back_is_reached_by_a_later_attempt(
    servers: Servers, progress: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = servers.make(16, "late")
    cluster.start()
    cluster.stop()
    attempts: list[str] = []

    def start_after_the_first(line: object, *, level: str) -> None:
        attempts.append(level)
        cluster.start()

    monkeypatch.setattr(progress, "log", start_after_the_first)
    try:
        sessions.connect(cluster.connection(), progress=progress).close()
    finally:
        cluster.remove()
    assert attempts == ["warning"]


def test_pooled_sessions_survive_a_restart_of_the_server(engine: PostgreSQLEngine, servers: Servers) -> None:
    cluster = servers.make(16, "restarted")
    cluster.start()
    try:
        assert engine.rows(cluster.connection(), "SELECT 1") == [(1,)]
        cluster.stop()
        cluster.start()
        assert engine.rows(cluster.connection(), "SELECT 1") == [(1,)]
    finally:
        cluster.remove()


def _backend(connection: PostgreSQLConnection, answers: multiprocessing.SimpleQueue) -> None:
    answers.put(PostgreSQLEngine().rows(connection, "SELECT pg_backend_pid()"))


def test_a_forked_process_opens_sessions_of_its_own(engine: PostgreSQLEngine, server: Cluster) -> None:
    connection = server.connection()
    before = engine.rows(connection, "SELECT pg_backend_pid()")
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=_backend, args=(connection, answers))
    child.start()
    child.join(300)
    assert child.exitcode == 0
    assert answers.get() != before
    assert engine.rows(connection, "SELECT pg_backend_pid()") == before


def test_the_snapshot_has_what_health_looks_at(engine: PostgreSQLEngine, server: Cluster) -> None:
    snapshot = engine.snapshot(server.connection())
    assert snapshot.unavailable == {}
    assert snapshot.values["server_version_num"] // 10000 == 16
    assert 0 < snapshot.values["connections_used"] < snapshot.values["connections_max"] == 97


def test_a_plain_role_does_not_know_how_many_sessions_there_are(engine: PostgreSQLEngine, server: Cluster) -> None:
    execute(server.connection(), "DROP ROLE IF EXISTS looker; CREATE ROLE looker LOGIN PASSWORD 'l'")
    snapshot = engine.snapshot(replace(server.connection(), user="looker", password="l"))
    assert "connections_used" not in snapshot.values
    assert "pg_monitor TO looker" in str(snapshot.unavailable["connections_used"])


def test_migration_histories_are_found_in_every_schema(
    engine: PostgreSQLEngine, server: Cluster, make_database: MakeDatabase
) -> None:
    source = make_database(
        server,
        'CREATE SCHEMA "My App"; CREATE TABLE "My App".alembic_version (version_num text);'
        " INSERT INTO \"My App\".alembic_version VALUES ('abc')",
    )
    (history,) = engine.history(source)
    assert (history.tool, history.heads) == ("alembic", ("abc",))
