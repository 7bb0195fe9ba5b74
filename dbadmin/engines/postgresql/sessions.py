"""Sessions: one bounded pool per database and process, and tries again while a server is not reachable."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.engines.postgresql.diagnosis import diagnose
from dbadmin.exceptions import ConnectionFailed, DatabaseError
from dbadmin.progress import Progress, Silent
from dbadmin.text import Text

ATTEMPTS = 3
FIRST_DELAY_SECONDS = 1.0
WAIT_SECONDS = 10.0
IDLE_SECONDS = 60.0
STATEMENT_SECONDS = 10.0
PROVEN_SECONDS = 5.0

Session = psycopg.Connection[tuple[Any, ...]]
log = logging.getLogger(__name__)
# psycopg_pool repeats in its own words what we raise as a sentence.
logging.getLogger("psycopg.pool").setLevel(logging.ERROR)


@dataclass
class _Pool:
    address: str
    pool: ConnectionPool[Session]
    lock: threading.Lock = field(default_factory=threading.Lock)
    proven: float = float("-inf")


_pools: dict[str, _Pool] = {}
_inherited: list[_Pool] = []
_pools_lock = threading.Lock()


def connect(
    connection: PostgreSQLConnection,
    *,
    progress: Progress | None = None,
    autocommit: bool = True,
    application_name: str = "dbadmin",
) -> Session:
    """Open a session of its own, trying three times, 1 s and 2 s apart, while the server cannot be reached.

    Each attempt that failed is logged. ``ConnectionFailed`` names the stage; what trying again cannot mend, such as a
    wrong password, is raised at once. The caller closes the session.
    """
    watcher = progress or Silent()
    delay = FIRST_DELAY_SECONDS
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return psycopg.connect(**connection.parameters(application_name), autocommit=autocommit)
        except psycopg.OperationalError as error:
            # Looking for the reason of a silence would take as long again.
            silent = isinstance(error, psycopg.errors.ConnectionTimeout) and attempt < ATTEMPTS
            diagnosis = None if silent else diagnose(connection, error)
            if diagnosis and not diagnosis.passing:
                raise diagnosis.failure() from error
            if diagnosis and attempt == ATTEMPTS:
                _say(watcher, _gave_up(connection), level="error")
                raise diagnosis.failure() from error
            _say(watcher, _retrying(connection, attempt, delay), level="warning")
        _sleep(delay, watcher)
        delay *= 2
    raise AssertionError("unreachable")


@contextlib.contextmanager
def session(connection: PostgreSQLConnection, *, seconds: float = STATEMENT_SECONDS) -> Iterator[Session]:
    """Lend a session of the pool inside one read-only transaction whose statements may take ``seconds``.

    At most ``pool_size`` are lent at a time per process; further callers wait, then get ``ConnectionFailed``.
    """
    entry = _pool(connection)
    _prove(entry, connection)
    with _lent(entry, connection) as lent, sentences(connection), lent.transaction():
        lent.execute("SET TRANSACTION READ ONLY")
        for name in ("statement_timeout", "lock_timeout"):
            lent.execute("SELECT set_config(%s, %s, true)", (name, str(int(seconds * 1000))))
        yield lent


@contextlib.contextmanager
def sentences(connection: PostgreSQLConnection) -> Iterator[None]:
    """Turn what a server answers inside the block into ``DbadminError``."""
    try:
        yield
    except psycopg.errors.QueryCanceled as error:
        raise DatabaseError(
            Text("{address} did not answer within the time limit.", address=connection.address),
            Text("Look for long transactions and locks, or try again when the server is less busy."),
        ) from error
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        raise DatabaseError(
            Text(
                "{address}: another session holds a lock that is needed: {reason}",
                address=connection.address,
                reason=words(error),
            ),
            Text("Wait until the schema change or maintenance there has ended, then try again."),
        ) from error
    except (psycopg.errors.DiskFull, psycopg.errors.InsufficientResources) as error:
        raise DatabaseError(
            Text("The server has not enough disk or memory: {reason}", reason=words(error)),
            Text("Free space on the server, then try again."),
        ) from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise ConnectionFailed(
            Text("The connection to {address} was lost: {reason}", address=connection.address, reason=words(error)),
            Text("Check that the server runs and what its log says."),
            stage="database",
        ) from error
    except psycopg.Error as error:
        raise DatabaseError(
            Text("{address} answered: {reason}", address=connection.address, reason=words(error)),
        ) from error


def words(error: BaseException) -> str:
    """Return the first line of what the server or libpq said."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def pool_statistics() -> list[dict[str, Any]]:
    """Return one row per pool of this process: address, size, available, waiting, most, wait_ms, requests, errors."""
    with _pools_lock:
        entries = list(_pools.values())
    return [_statistics(entry) for entry in entries]


def close_pool(connection: PostgreSQLConnection) -> None:
    """End the pooled sessions of one database that is about to go away."""
    with _pools_lock:
        entry = _pools.pop(connection.key, None)
    if entry is not None:
        entry.pool.close(timeout=1)


def close_pools() -> None:
    """End all pooled sessions of this process."""
    with _pools_lock:
        entries = list(_pools.values())
        _pools.clear()
    for entry in entries:
        entry.pool.close(timeout=1)


def _statistics(entry: _Pool) -> dict[str, Any]:
    stats = entry.pool.get_stats()
    return {
        "address": entry.address,
        "size": stats.get("pool_size", 0),
        "available": stats.get("pool_available", 0),
        "waiting": stats.get("requests_waiting", 0),
        "most": stats.get("pool_max", 0),
        "wait_ms": stats.get("requests_wait_ms", 0),
        "requests": stats.get("requests_num", 0),
        "errors": stats.get("requests_errors", 0) + stats.get("connections_errors", 0),
    }


def _pool(connection: PostgreSQLConnection) -> _Pool:
    """Return the pool of a connection; opened at the first use, so that no session is shared over a fork."""
    with _pools_lock:
        if connection.key not in _pools:
            _pools[connection.key] = _Pool(address=connection.address, pool=_open(connection))
        return _pools[connection.key]


def _open(connection: PostgreSQLConnection) -> ConnectionPool[Session]:
    return ConnectionPool(
        kwargs=connection.parameters() | {"autocommit": True},
        min_size=0,
        max_size=connection.pool_size,
        max_idle=IDLE_SECONDS,
        timeout=WAIT_SECONDS,
        reconnect_timeout=1,
        check=ConnectionPool.check_connection,
        open=True,
    )


def _prove(entry: _Pool, connection: PostgreSQLConnection) -> None:
    """Fail at once with the reason; a pool would only say that it waited."""
    with entry.lock:
        if entry.pool.get_stats().get("pool_size", 0) == 0 and time.monotonic() - entry.proven > PROVEN_SECONDS:
            connect(connection).close()
            entry.proven = time.monotonic()


@contextlib.contextmanager
def _lent(entry: _Pool, connection: PostgreSQLConnection) -> Iterator[Session]:
    try:
        lent = entry.pool.getconn()
    except PoolTimeout as error:
        connect(connection).close()
        raise ConnectionFailed(
            Text("All {count} connections to {address} are in use.", count=connection.pool_size, address=entry.address),
            Text("Wait for other work to end, or raise the pool size of this database."),
            stage="pool",
        ) from error
    try:
        yield lent
    finally:
        entry.pool.putconn(lent)


def _retrying(connection: PostgreSQLConnection, attempt: int, delay: float) -> Text:
    return Text(
        "Connecting to {address} failed (attempt {attempt} of {attempts}), retrying in {seconds} s.",
        address=connection.address,
        attempt=attempt,
        attempts=ATTEMPTS,
        seconds=round(delay, 1),
    )


def _gave_up(connection: PostgreSQLConnection) -> Text:
    return Text(
        "Connecting to {address} failed after {attempts} attempts.", address=connection.address, attempts=ATTEMPTS
    )


def _say(watcher: Progress, line: Text, *, level: str) -> None:
    log.warning("%s", line)
    watcher.log(line, level=level)


def _sleep(seconds: float, watcher: Progress) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        watcher.check()
        time.sleep(min(left, 0.2))


def _forget_pools() -> None:
    """In a forked child: the sessions belong to the parent, so they are neither used nor closed here."""
    global _pools_lock
    _pools_lock = threading.Lock()
    _inherited.extend(_pools.values())
    _pools.clear()


os.register_at_fork(after_in_child=_forget_pools)
atexit.register(close_pools)
