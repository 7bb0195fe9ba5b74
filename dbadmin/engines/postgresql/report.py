"""What client programs say: which object each line is about, and sentences for what an administrator can mend."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from dbadmin.engines.base import ReportLine
from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.exceptions import CommandFailed, ConnectionFailed, DatabaseError, DbadminError
from dbadmin.text import Text

# The client programs run with the C locale, so these words of theirs are always English.
_LINE = re.compile(r"^(?:pg_\w+): (?:\[[\w ]+\] )?(error|warning|detail|hint): (.*)$")
_ENTRY = re.compile(r"^pg_restore: from TOC entry \d+; \d+ \d+ (.*?)(?: (?:\S+))?$")
_CONTINUED = re.compile(r"^(Command was|DETAIL|HINT|CONTEXT|LINE \d+|LOCATION|QUERY)\b:?")
_SUMMARY = "errors ignored on restore"
_LOST = (
    "server closed the connection",
    "connection to server was lost",
    "terminating connection",
    "could not receive data",
)
_REFUSED = "connection to server"
_FULL = "No space left on device"
MOST_LINES = 500


@dataclass
class Messages:
    """Collects what a program says; each message is tied to the object that was worked on."""

    lines: list[ReportLine] = field(default_factory=list)
    left_out: int = 0
    _object: str = ""
    _open: bool = False

    def add(self, line: str) -> None:
        """Take one line of standard error; lines about ordinary work are not kept."""
        if entry := _ENTRY.match(line):
            self._object, self._open = entry.group(1), False
        elif (found := _LINE.match(line)) and _SUMMARY not in line:
            self._begin(found.group(1), found.group(2))
        elif self._open and (_CONTINUED.match(line) or not line.startswith("pg_")):
            self._go_on(line)
        else:
            self._open = False

    @property
    def errors(self) -> list[ReportLine]:
        """The messages that are errors."""
        return [line for line in self.lines if line.level == "error"]

    @property
    def warnings(self) -> list[ReportLine]:
        """The messages that are warnings."""
        return [line for line in self.lines if line.level == "warning"]

    def _begin(self, level: str, message: str) -> None:
        if level in ("detail", "hint"):
            self._go_on(f"{level}: {message}")
            return
        self._open = len(self.lines) < MOST_LINES
        if self._open:
            self.lines.append(ReportLine(level=level, object=self._object, message=message))
        else:
            self.left_out += 1
        self._object = ""

    def _go_on(self, line: str) -> None:
        if self.lines and self._open and len(str(self.lines[-1].message)) < 2000:
            last = self.lines[-1]
            self.lines[-1] = ReportLine(level=last.level, object=last.object, message=f"{last.message}\n{line}")


def explain(
    failed: CommandFailed, connection: PostgreSQLConnection, messages: Messages, folder: Path
) -> DbadminError | None:
    """Return what stopped a client program as the exception to raise; None for what its own words say best."""
    said = "\n".join([*failed.output, *(str(line.message) for line in messages.lines)])
    if _FULL in said or shutil.disk_usage(folder).free < 1 << 20:
        return DatabaseError(
            Text("The disk is full: {reason}", reason=_first(messages, failed)),
            Text("Free space in {folder} or on the server, then try again.", folder=str(folder)),
        )
    if any(words in said for words in _LOST):
        return ConnectionFailed(
            Text(
                "The connection to {address} was lost: {reason}",
                address=connection.address,
                reason=_first(messages, failed),
            ),
            Text("Check that the server runs and what its log says."),
            stage="database",
        )
    if _REFUSED in said:
        return ConnectionFailed(
            Text(
                "{address} could not be reached: {reason}", address=connection.address, reason=_first(messages, failed)
            ),
            Text("Test the connection; each parallel part of the work needs a connection of its own."),
            stage="database",
        )
    return None


def _first(messages: Messages, failed: CommandFailed) -> str:
    if messages.errors:
        return str(messages.errors[0].message).partition("\n")[0]
    return str(failed.message)
