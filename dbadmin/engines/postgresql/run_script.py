"""Running a plain SQL file in a new database: one transaction, the first error ends it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise

import psycopg
from psycopg import generators, pq

from dbadmin.engines.base import ReportLine
from dbadmin.engines.postgresql.background import background
from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.engines.postgresql.script import Script, Statement, of_a_server
from dbadmin.engines.postgresql.sessions import Session, connect, sentences, words
from dbadmin.engines.recognise import Source
from dbadmin.exceptions import Cancelled, DatabaseError, ValidationFailed
from dbadmin.progress import Progress
from dbadmin.text import Text

SERVER_WIDE = frozenset({"DATABASE", "ROLE", "USER", "GROUP", "TABLESPACE", "SYSTEM"})
MOST_LINES = 500
_WORKED = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK, pq.ExecStatus.SINGLE_TUPLE, pq.ExecStatus.EMPTY_QUERY)
_BEGINNING = (["BEGIN"], ["START", "TRANSACTION"], ["COMMIT"], ["END"])


def run_script(
    target: PostgreSQLConnection, source: Source, *, keep_owners: bool, progress: Progress
) -> list[ReportLine]:
    """Run every statement of ``source`` in ``target``; ``DatabaseError`` names the line of the first that failed.

    After an exception nothing was committed.
    """
    progress.phase(Text("Running the statements"), total=source.size)
    with connect(target, progress=progress) as session, sentences(target):
        running = Running(session, source, keep_owners=keep_owners)
        with background(session, running.run) as work:
            try:
                work.result(progress, lambda: progress.update(running.done))
            finally:
                running.stopped.set()
    return running.report


class Running:
    """The file on its way into the server. ``skip`` is asked whether to leave a statement out."""

    def __init__(
        self,
        session: Session,
        source: Source,
        *,
        keep_owners: bool,
        skip: Callable[[Statement], bool] = lambda statement: False,
    ) -> None:
        self.report: list[ReportLine] = []
        self.done = 0
        self.stopped = threading.Event()
        self._left_out = 0
        self._session = session
        self._keep_owners = keep_owners
        self._skip = skip
        self._source = source
        self._script = Script(
            source.stream,
            conforming=lambda: session.info.parameter_status("standard_conforming_strings") == "on",
            encoding=lambda: session.info.parameter_status("client_encoding") or "",
        )
        session.add_notice_handler(self._notice)

    def run(self) -> None:
        """Run it to the end and commit."""
        self._session.execute("SET statement_timeout = 0")
        self._session.execute("BEGIN")
        self.run_statements()
        self._session.execute("COMMIT")

    def run_statements(self) -> None:
        """Run it to the end in the transaction that has begun, which the caller ends."""
        for statement in self._script.statements():
            self._run(statement)
            self.done = self._source.position()
        if self._left_out:
            message = Text("Statements about owners and grants, left out: {count}.", count=self._left_out)
            self.report.append(ReportLine(level="info", object="", message=message))

    def _run(self, statement: Statement) -> None:
        if _leaves_transaction(statement) or self._is_unknown_setting(statement) or self._skip(statement):
            return
        _require_local(statement)
        if not self._keep_owners and _is_about_owners(statement):
            self._left_out += 1
            return
        try:
            self._send(statement)
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            raise DatabaseError(
                Text("The statement at line {line} failed: {reason}", line=statement.number, reason=words(error)),
                Text("Nothing was kept. Mend the file, or install on the server what it needs."),
            ) from error
        if self._session.info.transaction_status != pq.TransactionStatus.INTRANS:
            raise ValidationFailed(
                Text("The statement at line {line} ends the transaction.", line=statement.number),
                Text("A file is imported in one transaction, or not at all."),
            )

    def _is_unknown_setting(self, statement: Statement) -> bool:
        """pg_dump 17 and later switch off a time limit that older servers do not have."""
        is_limit = statement.words[:2] == ["SET", "TRANSACTION_TIMEOUT"]
        return is_limit and self._session.info.server_version < 170000

    def _send(self, statement: Statement) -> None:
        """By the protocol that takes one statement only, and row by row, so that no answer fills the memory."""
        connection = self._session.pgconn
        connection.send_query_params(bytes(statement.content), None)
        connection.set_single_row_mode()
        self._session.wait(generators.send(connection))
        failure: pq.abc.PGresult | None = None
        while (result := self._session.wait(generators.fetch(connection))) is not None:
            if result.status == pq.ExecStatus.COPY_IN:
                self._copy()
                return
            if result.status not in _WORKED:
                failure = failure or result
        if failure is not None:
            raise psycopg.errors.error_from_result(failure)

    def _copy(self) -> None:
        connection = self._session.pgconn
        try:
            for chunk in self._script.rows():
                if self.stopped.is_set():
                    raise Cancelled
                for part in _parts(chunk):
                    self._session.wait(generators.copy_to(connection, part))
                self.done = self._source.position()
        except BaseException as error:
            with contextlib.suppress(psycopg.Error):
                self._session.wait(generators.copy_end(connection, type(error).__name__.encode()))
            raise
        self._session.wait(generators.copy_end(connection, None))

    def _notice(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING" and len(self.report) < MOST_LINES:
            line = ReportLine(level="warning", object="", message=diagnostic.message_primary or "")
            self.report.append(line)


def _leaves_transaction(statement: Statement) -> bool:
    """The whole file is one transaction already; what begins or commits one in it is left out."""
    return any(statement.words[: len(words)] == words and len(statement.words) <= 3 for words in _BEGINNING)


def _require_local(statement: Statement) -> None:
    first, second, *_rest = [*statement.words, "", ""]
    is_mapping = statement.words[1:3] == ["USER", "MAPPING"]
    if first in ("CREATE", "ALTER", "DROP") and second in SERVER_WIDE and not is_mapping:
        raise of_a_server(f"{first} {second}")
    if first == "COPY" and not statement.copies_in:
        raise ValidationFailed(
            Text("The file reads or writes files, or runs programs, on the server (COPY)."),
            Text("Import files that pg_dump wrote: they bring their rows with them."),
        )


def _is_about_owners(statement: Statement) -> bool:
    words = statement.words
    if words[:1] in (["GRANT"], ["REVOKE"]) or words[:3] == ["ALTER", "DEFAULT", "PRIVILEGES"]:
        return True
    if words[:3] == ["SET", "SESSION", "AUTHORIZATION"]:
        return True
    return words[:1] == ["ALTER"] and ("OWNER", "TO") in pairwise(words)


def _parts(chunk: bytes) -> Iterator[bytes]:
    """The client library waits for ever for buffers that are too large."""
    size = 1 << 17
    yield from (chunk[at : at + size] for at in range(0, len(chunk), size))
