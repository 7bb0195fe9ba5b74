"""How far a dump or restore is, from what the program says and what the server shows."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Sequence
from typing import Any

import psycopg

from dbadmin.engines.postgresql.inventory import Table
from dbadmin.engines.postgresql.report import Messages
from dbadmin.engines.postgresql.sessions import Session
from dbadmin.progress import Progress
from dbadmin.text import Text, verbatim

LOOK_SECONDS = 0.5
_DUMPING = re.compile(r'dumping contents of table "(.*)"$')
_FINISHED = re.compile(r"finished item (\d+) (.*)$")
_LAUNCHING = re.compile(r"launching item (\d+) (.*)$")
_TABLE_DATA = "TABLE DATA "
_COPYING = (
    "SELECT p.relid, p.tuples_processed, p.bytes_processed FROM pg_stat_progress_copy p"
    " JOIN pg_stat_activity a USING (pid) WHERE a.application_name = %s"
)


class DumpWatch:
    """Turns pg_dump's verbose lines, and the rows done so far (PostgreSQL 14 and later), into progress in bytes."""

    def __init__(self, tables: Sequence[Table], progress: Progress, *, monitor: Session | None, mark: str) -> None:
        self.messages = Messages()
        self._progress = progress
        self._monitor = monitor
        self._mark = mark
        self._tables = {f"{table.schema}.{table.name}": table for table in tables}
        self._by_oid = {table.oid: table for table in tables}
        self._running: dict[int, float] = {}
        self._finished: set[int] = set()
        self._current = ""
        self._next_look = 0.0

    @property
    def total(self) -> int:
        """The bytes of all tables, the unit of progress."""
        return sum(table.size for table in self._tables.values())

    def line(self, line: str) -> None:
        """Take a line of pg_dump."""
        self.messages.add(line)
        if found := _DUMPING.search(line):
            self._begin(found.group(1))
        elif (found := _FINISHED.search(line)) and found.group(2).startswith(_TABLE_DATA):
            self._end(found.group(2).removeprefix(_TABLE_DATA))

    def poll(self) -> None:
        """Report how far it is."""
        if self._monitor is not None and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK_SECONDS
            self._look(self._monitor)
        sizes = {oid: table.size for oid, table in self._by_oid.items()}
        done = sum(sizes[oid] for oid in self._finished)
        done += int(sum(sizes[oid] * share for oid, share in self._running.items()))
        self._progress.update(min(done, self.total), current=self._current)

    def end(self) -> None:
        """Report that everything is done."""
        self._progress.update(self.total)

    def _begin(self, name: str) -> None:
        self._current = name
        if table := self._tables.get(name):
            self._running[table.oid] = 0.0

    def _end(self, name: str) -> None:
        """pg_dump says only the name without schema when a table is done."""
        ended = next((oid for oid in self._running if self._by_oid[oid].name == name), None)
        if ended is not None:
            del self._running[ended]
            self._finished.add(ended)

    def _look(self, monitor: Session) -> None:
        if monitor.info.server_version < 140000:
            return
        try:
            rows: list[tuple[Any, ...]] = monitor.execute(_COPYING, (self._mark,)).fetchall()
        except psycopg.Error:
            self._monitor = None  # pg_dump itself will say when the server is gone
            return
        for oid, rows_done, bytes_done in rows:
            if oid in self._running:
                self._running[oid] = _share(self._by_oid[oid], rows_done, bytes_done)


def _share(table: Table, rows_done: int, bytes_done: int) -> float:
    """Return how much of a table is done; by bytes where it was never analysed."""
    share = rows_done / table.estimate if table.estimate else bytes_done / max(table.size, 1)
    return min(share, 0.99)


class RestoreWatch:
    """Turns pg_restore's verbose lines into progress: bytes of data files, then a share for indexes and constraints."""

    LATER_SHARE = 0.4

    def __init__(self, data: dict[int, int], later: frozenset[int], progress: Progress) -> None:
        self.messages = Messages()
        self._progress = progress
        bytes_in_all = sum(data.values()) or 1
        weight = bytes_in_all * self.LATER_SHARE / len(later) if later else 0.0
        self._weights: dict[int, float] = {**data, **dict.fromkeys(later, weight)}
        self._done = 0.0
        self._current = ""

    @property
    def total(self) -> int:
        """The weight of everything, in bytes of data files."""
        return int(sum(self._weights.values()))

    def line(self, line: str) -> None:
        """Take a line of pg_restore."""
        self.messages.add(line)
        if found := _LAUNCHING.search(line):
            self._current = found.group(2)
        elif found := _FINISHED.search(line):
            self._done += self._weights.pop(int(found.group(1)), 0.0)

    def poll(self) -> None:
        """Report how far it is."""
        self._progress.update(int(self._done), current=self._current)


def log_messages(messages: Messages, progress: Progress) -> None:
    """Put every kept message into the job's log, with the object it is about."""
    for line in messages.lines:
        words = f"{line.object}: {line.message}" if line.object else str(line.message)
        progress.log(verbatim(words), level=line.level)
    if messages.left_out:
        progress.log(Text("{count} further messages are not shown.", count=messages.left_out), level="warning")


@contextlib.contextmanager
def end_sessions(monitor: Session, mark: str) -> Any:
    """When the block fails, end what its programs left running in the server."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(psycopg.Error):
            monitor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
                " AND usename = current_user AND pid <> pg_backend_pid()",
                (mark,),
            )
        raise
