from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from dbadmin.engines.base import Dump
from dbadmin.engines.postgresql import PostgreSQLConnection, PostgreSQLEngine, clients
from dbadmin.engines.postgresql.cluster import Cluster
from dbadmin.exceptions import Cancelled, ConnectionFailed, DbadminError, ToolMissing
from dbadmin.progress import Silent
from tests.engines.postgresql.conftest import NASTY, MakeDatabase, Recorder, dump, execute, restore
from tests.servers import PASSWORD, Servers

pytestmark = pytest.mark.postgresql


def dumping_that_waits(source: PostgreSQLConnection) -> psycopg.Connection:
    """Hold a sequence so that pg_dump, once it has begun, waits for it; the caller closes the session."""
    holder = psycopg.connect(**source.parameters("holder"))
    holder.execute("DROP SEQUENCE held")
    return holder


def ours(server: Cluster, source: PostgreSQLConnection) -> list[tuple]:
    return execute(
        server.connection(),
        "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'dbadmin%%'"
        f" AND datname = '{source.dbname}'",
    )


def command_lines(folder: Path) -> list[str]:
    """Return the command lines of programs that work in a folder."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(file.read_bytes().decode(errors="replace").replace("\0", " "))
    return [line for line in lines if str(folder) in line]


def dump_with(programs: Path, source: PostgreSQLConnection, spool: Path) -> None:
    """In a new process, where nobody said yet where programs are."""
    clients.configure([programs])
    dump(source, spool)


def eventually(true: Callable[[], bool], seconds: float = 300) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)


class CancelWhenRunning(Recorder):
    """Cancels a second after a program was started, when the dump is in its middle."""

    until = float("inf")

    def process(self, pid: int | None) -> None:
        super().process(pid)
        self.until = time.monotonic() + 1

    def check(self) -> None:
        if time.monotonic() > self.until:
            raise Cancelled


def test_the_facts_are_those_of_the_dumped_moment_while_others_write(
    engine: PostgreSQLEngine, server: Cluster, make_database: MakeDatabase, tmp_path: Path
) -> None:
    source = make_database(
        server,
        "CREATE TABLE t (id bigserial, filler text); INSERT INTO t (filler)"
        " SELECT repeat('x', 100) FROM generate_series(1, 100000)",
    )
    stop = threading.Event()

    def write() -> None:
        with psycopg.connect(**source.parameters("writer"), autocommit=True) as session:
            while not stop.is_set():
                session.execute("INSERT INTO t (filler) VALUES ('new')")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = dump(source, tmp_path)
    finally:
        stop.set()
        writer.join()
    target = engine.new_target(source, "moment")
    try:
        restore(target, tmp_path, made)
        assert made.facts.differences(engine.facts(target, progress=Silent())) == ()
    finally:
        engine.discard(target)
    assert made.facts.rows < execute(source, "SELECT count(*) FROM t")[0][0]


def test_cancelling_leaves_no_process_and_no_session(
    server: Cluster, make_database: MakeDatabase, tmp_path: Path
) -> None:
    source = make_database(server, NASTY + "; CREATE SEQUENCE held")
    progress = CancelWhenRunning()
    with dumping_that_waits(source), pytest.raises(Cancelled):
        dump(source, tmp_path, progress=progress)
    assert progress.pids
    assert not [pid for pid in progress.pids if Path(f"/proc/{pid}").exists()]
    eventually(lambda: ours(server, source) == [])


def test_killing_us_leaves_no_process_and_no_session(
    server: Cluster, make_database: MakeDatabase, tmp_path: Path
) -> None:
    source = make_database(server, "CREATE SEQUENCE held")
    child = multiprocessing.get_context("spawn").Process(target=dump_with, args=(server.bin_folder, source, tmp_path))
    with dumping_that_waits(source):
        child.start()
        eventually(lambda: any("pg_dump" in line for line in command_lines(tmp_path)))
        os.kill(child.pid or 0, signal.SIGKILL)
        eventually(lambda: not command_lines(tmp_path))
        eventually(lambda: ours(server, source) == [])
    child.join()


def test_cancelling_works_while_another_session_holds_a_table(
    server: Cluster, make_database: MakeDatabase, tmp_path: Path
) -> None:
    source = make_database(server, "CREATE TABLE t ()")
    until = time.monotonic() + 0.5

    class Impatient(Silent):
        def check(self) -> None:
            if time.monotonic() > until:
                raise Cancelled

    with psycopg.connect(**source.parameters("holder")) as holder:
        holder.execute("LOCK TABLE t")
        with pytest.raises(Cancelled):
            dump(source, tmp_path, progress=Impatient())
    eventually(lambda: ours(server, source) == [])


def test_a_server_that_is_killed_ends_the_dump_with_a_sentence(servers: Servers, tmp_path: Path) -> None:
    cluster = servers.make(16, "killed")
    cluster.start()
    source = cluster.connection()
    execute(source, "CREATE SEQUENCE held")
    holder = dumping_that_waits(source)

    class Killing(Recorder):
        def phase(self, name: object, **_: object) -> None:
            if str(name) == "Dumping":
                pid = int((cluster.data / "postmaster.pid").read_text().split()[0])
                threading.Timer(1, os.kill, (pid, 9)).start()

    with pytest.raises(ConnectionFailed):
        dump(source, tmp_path, progress=Killing())
    holder.close()
    cluster.start()  # safe after kill -9
    assert execute(source, "SELECT 1") == [(1,)]
    cluster.remove()


def test_the_password_is_on_no_command_line_and_in_no_line_of_the_log(
    server: Cluster, make_database: MakeDatabase, tmp_path: Path
) -> None:
    source = make_database(server, NASTY)
    seen: list[bytes] = []

    class Looking(Recorder):
        def check(self) -> None:
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.append(file.read_bytes())
                except OSError:
                    continue

    progress = Looking()
    made = dump(source, tmp_path, progress=progress)
    assert any(b"pg_dump" in line for line in seen)
    assert not [line for line in seen if PASSWORD.encode() in line]
    assert PASSWORD not in "\n".join(progress.lines) + repr(made)


def test_progress_grows_to_the_size_of_all_tables(
    server: Cluster, make_database: MakeDatabase, tmp_path: Path, progress: Recorder
) -> None:
    source = make_database(server, "CREATE TABLE t AS SELECT g, repeat('x', 500) FROM generate_series(1, 300000) g")
    dump(source, tmp_path, progress=progress)
    assert progress.phases == ["Reading the catalogue", "Dumping", "Counting rows"]
    assert progress.done == sorted(progress.done)
    assert progress.done[-1] > 300000 * 500


def test_a_full_disk_is_said_in_a_sentence(
    server: Cluster, make_database: MakeDatabase, full_disk: Path, progress: Recorder
) -> None:
    source = make_database(
        server,
        "CREATE TABLE t AS SELECT g, md5(g::text) || md5((-g)::text) AS noise FROM generate_series(1, 100000) g",
    )
    with pytest.raises(DbadminError, match="disk is full") as caught:
        dump(source, full_disk, progress=progress)
    assert str(full_disk) in str(caught.value.hint)


def test_without_any_client_the_sentence_says_how_to_get_one(server: Cluster) -> None:
    with pytest.raises(ToolMissing, match="clients install 17"):
        clients.dump_client(17, [])


def test_a_role_without_the_right_to_read_passwords_still_dumps(
    server: Cluster, make_database: MakeDatabase, tmp_path: Path
) -> None:
    source = make_database(server, "CREATE TABLE t AS SELECT 1 AS id")
    execute(source, "DROP ROLE IF EXISTS plain; CREATE ROLE plain LOGIN PASSWORD 'p'; GRANT SELECT ON t TO plain")
    made: Dump = dump(replace(source, user="plain", password="p"), tmp_path)
    assert "PASSWORD" not in (tmp_path / "globals.sql").read_text()
    assert [str(warning) for warning in made.warnings] == [
        "Roles were backed up without their passwords, which plain may not read."
    ]
