"""The rows of a restored copy, hashed as pg_dump would have written them, without writing them anywhere.

A server that is ours and on this machine writes each table into a named pipe (``COPY … TO 'file'``), which is read and
hashed here. That spares a second dump its protocol, its compression and its files. Any other server sends the rows
through our session.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any

import psycopg
from psycopg import sql

from dbadmin.engines.postgresql.background import Background, background
from dbadmin.engines.postgresql.clients import parallel_jobs
from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.engines.postgresql.inventory import qualified
from dbadmin.engines.postgresql.sessions import Session, connect, sentences
from dbadmin.engines.postgresql.toc import Entry
from dbadmin.exceptions import Cancelled
from dbadmin.progress import Progress

# What pg_dump writes after the rows of a table, into the same file.
END_OF_ROWS = b"\\.\n\n\n"
# What pg_dump sets before it reads rows (setup_connection in pg_dump.c).
SETTINGS = {
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "extra_float_digits": "3",
    "synchronize_seqscans": "off",
    "row_security": "off",
    "search_path": "",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
# Of a session, what COPY reads and what tells to stop: the SHA-256 of the rows.
Hashing = Callable[[Session, str, Event], str]
PIPE_BYTES = CHUNK = 1 << 20
POLL_SECONDS = 0.1
# Rows of a large table gather in the pipe meanwhile: fewer, larger reads spare a sixth of the processor's time.
GATHER_SECONDS = 0.002
GONE = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.InvalidSchemaName)
_CONDITIONS = """
SELECT c.oid::regclass::text, each.condition FROM pg_extension x
CROSS JOIN unnest(x.extconfig, x.extcondition) AS each (table_oid, condition)
JOIN pg_class c ON c.oid = each.table_oid WHERE each.condition <> ''
"""


def hash_rows(
    target: PostgreSQLConnection, entries: Sequence[Entry], *, output: Mapping[str, str], progress: Progress
) -> dict[str, str]:
    """Return qualified table -> SHA-256 of its rows in ``target``, a scratch database.

    ``entries``: the tables' entries in the original's table of contents, the largest first; ``output``: the settings
    of the server in which their rows were written. A table that the copy does not have is left out.
    """
    waiting: SimpleQueue[Entry] = SimpleQueue()
    for entry in entries:
        waiting.put(entry)
    stop = Event()
    pinned = replace(target, options={**target.options, **output, **SETTINGS})
    lanes = range(min(parallel_jobs(), len(entries)))
    read: SimpleQueue[object] = SimpleQueue()
    with ThreadPoolExecutor(max_workers=max(1, len(lanes))) as pool:
        try:
            futures = [pool.submit(_lane, pinned, number, Tables(waiting, read, stop)) for number in lanes]
            _wait(futures, read, progress)
        finally:
            stop.set()
        return {name: digest for future in futures for name, digest in future.result().items()}


def hash_large_objects(target: PostgreSQLConnection, progress: Progress) -> dict[str, str]:
    """Return the name pg_dump gives a large object's file -> SHA-256 of the object."""
    found = {}
    with connect(target) as session, sentences(target):
        for (oid,) in session.execute("SELECT oid FROM pg_largeobject_metadata ORDER BY oid").fetchall():
            progress.check()
            digest = hashlib.sha256()
            for chunk in _large_object(session, oid):
                digest.update(chunk)
            found[f"blob_{oid}"] = digest.hexdigest()
    return found


def _large_object(session: Session, oid: int) -> Iterator[bytes]:
    offset = 0
    while True:
        row = session.execute("SELECT lo_get(%s, %s, %s)", (oid, offset, CHUNK), binary=True).fetchone()
        chunk: bytes = row[0] if row else b""
        yield chunk
        offset += len(chunk)
        if len(chunk) < CHUNK:
            return


def _wait(futures: list[Future[dict[str, str]]], read: SimpleQueue[object], progress: Progress) -> None:
    """Ask for each table that was read whether to go on, however quick that was, and while one is read, too."""
    for future in futures:
        future.add_done_callback(read.put)
    while not read.empty() or not all(future.done() for future in futures):
        progress.check()
        if any(future.done() and future.exception() for future in futures):
            return  # the others are told to stop, and the exception is raised where results are asked for
        with contextlib.suppress(Empty):
            read.get(timeout=POLL_SECONDS)


@dataclass(frozen=True)
class Tables:
    """What the lanes share. read: something for each table that was, so that whoever waits hears of it."""

    waiting: SimpleQueue[Entry]
    read: SimpleQueue[object]
    stop: Event


def _lane(target: PostgreSQLConnection, number: int, tables: Tables) -> dict[str, str]:
    """Take table after table through one session."""
    found = {}
    way = contextlib.nullcontext(_hash_sent) if target.guest else _pipe(target, number)
    with way as hashed, connect(target) as session, sentences(target):
        session.execute("SELECT set_config('client_encoding', current_setting('server_encoding'), false)")
        conditions: dict[str, str] = dict(session.execute(_CONDITIONS).fetchall())
        with contextlib.suppress(Empty):
            while not tables.stop.is_set():
                entry = tables.waiting.get_nowait()
                with contextlib.suppress(*GONE):
                    source = _source(entry, conditions)
                    found[qualified(entry.schema, entry.name)] = hashed(session, source, tables.stop)
                tables.read.put(entry)
    return found


@contextlib.contextmanager
def _pipe(target: PostgreSQLConnection, number: int) -> Iterator[Hashing]:
    """Give what hashes rows that the server writes into a pipe."""
    # The folder of the socket is the server's and ours, and goes with the scratch server, also after kill -9.
    pipe = Path(target.host) / f"rows-{number}"
    os.mkfifo(pipe, 0o600)
    pipe.chmod(0o622)  # whoever the server runs as writes, we read
    try:
        yield lambda session, source, stop: _hash_written(session, source, stop, pipe=pipe)
    finally:
        pipe.unlink()


def _source(entry: Entry, conditions: Mapping[str, str]) -> str:
    """Turn the ``COPY … FROM stdin`` of the dump into what reads the same columns in the same order.

    Of the configuration tables of extensions pg_dump writes only the rows that their condition wants.
    """
    source = entry.copy.strip().removesuffix(";").removesuffix("FROM stdin").removeprefix("COPY").strip()
    table, _space, columns = source.partition(" (")
    if condition := conditions.get(table):
        source = f"(SELECT {columns.removesuffix(')') or '*'} FROM {table} {condition})"  # noqa: S608
    return source


def _hash_sent(session: Session, source: str, stop: Event) -> str:
    digest = hashlib.sha256()

    def read() -> None:
        with session.cursor() as cursor, cursor.copy(f"COPY {source} TO STDOUT".encode()) as rows:
            for row in rows:
                digest.update(row)

    with background(session, read) as copying:
        while copying.is_alive():
            if stop.is_set():
                raise Cancelled
            copying.join(POLL_SECONDS)
        copying.check()
    digest.update(END_OF_ROWS)
    return digest.hexdigest()


def _hash_written(session: Session, source: str, stop: Event, *, pipe: Path) -> str:
    statement = f"COPY {source} TO {sql.Literal(str(pipe)).as_string()}"
    digest = hashlib.sha256()
    # Opened before the statement begins: a program that is just being started somewhere holds what we had open for
    # the table before, the server would take that for its reader, and write rows that nobody reads.
    with _reading(pipe) as reader, background(session, lambda: session.execute(statement.encode())) as copying:
        try:
            for chunk in _chunks(reader, copying, stop):
                digest.update(chunk)
        finally:
            reader.close()
            _let_go(session, pipe, copying)
        copying.check()
    digest.update(END_OF_ROWS)
    return digest.hexdigest()


def _let_go(session: Session, pipe: Path, copying: Background[Any]) -> None:
    """End a statement that was broken off.

    Before its first row it is told to cancel, which it does not hear while it opens the pipe or writes into it:
    there it finds no reader.
    """
    while copying.is_alive():
        with _reading(pipe):
            copying.join(0.01)
        if copying.is_alive():
            with contextlib.suppress(psycopg.Error):
                session.cancel_safe(timeout=2)


def _reading(pipe: Path) -> FileIO:
    """Open without waiting for a writer: a statement that fails never becomes one."""
    reader = FileIO(pipe, opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK))
    with contextlib.suppress(OSError):  # a smaller pipe is only slower
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return reader


def _chunks(reader: FileIO, copying: Background[Any], stop: Event) -> Iterator[memoryview]:
    """Yield what the server writes until the statement has ended and the pipe is empty, always in the same memory."""
    buffer = bytearray(CHUNK)
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    taken = 0
    while True:
        if stop.is_set():
            raise Cancelled
        ended = not copying.is_alive()  # looked at before reading: what it wrote is in the pipe by then
        size = reader.readinto(buffer)
        if size is None:
            poll.poll(1000 * POLL_SECONDS)
        elif size:
            yield memoryview(buffer)[:size]
            taken += size
            if taken > PIPE_BYTES:
                time.sleep(GATHER_SECONDS)
        elif ended:
            return
        else:  # nobody writes yet, or not any more
            copying.join(0.001)
