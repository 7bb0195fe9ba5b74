"""What every engine can do, and the plain values that go in and come out. No models here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from dbadmin.engines.comparing import Compared
from dbadmin.exceptions import ConnectionFailed, DatabaseError
from dbadmin.facts import COUNTS, Facts, Measuring
from dbadmin.probing import Probe
from dbadmin.progress import Progress
from dbadmin.text import Text

FULL, SCHEMA, DATA = "full", "schema", "data"


@dataclass(frozen=True, kw_only=True)
class ServerInfo(Probe):
    """What a probe of a database found."""

    def require(self) -> None:
        """Raise ``ConnectionFailed`` with the failed stage's sentence, if there is one."""
        if stage := self.failed:
            raise ConnectionFailed(stage.message, stage.hint, stage=stage.name.msgid)


@dataclass(frozen=True, kw_only=True)
class Dump:
    """What is known of a finished dump; its files are in the spool. ``attributes``: member name -> values to keep."""

    facts: Facts
    server_version: str
    client_version: str
    origin: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    warnings: tuple[Text, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReportLine:
    """What was said about one object while it was restored: a tool's words, or a sentence of ours.

    Level is info, warning or error.
    """

    level: str
    object: str
    message: str | Text

    def to_json(self) -> dict[str, Any]:
        """Return what ``in_words`` takes."""
        said = self.message.to_json() if isinstance(self.message, Text) else self.message
        return {"level": self.level, "object": self.object, "message": said}


class NotAllRestored(DatabaseError):
    """Some objects could not be restored. ``lines`` has what was said of each."""

    def __init__(self, message: Text, hint: Text, *, lines: Iterable[ReportLine]) -> None:
        super().__init__(message, hint)
        self.lines = tuple(lines)


def made_anew(expected: Facts, found: Facts) -> tuple[ReportLine, ...]:
    """Return a warning for each materialised view that came to have other rows."""
    return tuple(ReportLine(level="warning", object="", message=line) for line in expected.made_anew(found))


def in_words(lines: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return stored lines of a report with their messages in the reader's language."""
    return [{**line, "message": str(Text.from_json(line["message"]))} for line in lines]


@dataclass(frozen=True, kw_only=True)
class RestoreOptions:
    """``keep_owners``: restore owners and grants, which needs the same roles on the target.

    ``statistics``: leave the copy ready for use, with what the planner wants to know; a drill throws it away.
    """

    keep_owners: bool = True
    statistics: bool = True


@dataclass(frozen=True, kw_only=True)
class HistoryRow:
    """A row of a migration tool's own table. Times are ISO 8601 with zone, empty where the tool keeps none.

    state: applied, failed, running or rolled_back.
    """

    revision: str
    state: str = "applied"
    applied_at: str = ""
    checksum: str = ""


@dataclass(frozen=True, kw_only=True)
class ToolHistory:
    """What one migration tool recorded in a database: its rows in the tool's order, and the heads."""

    tool: str
    rows: tuple[HistoryRow, ...]
    heads: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What health checks look at: values by name, and why a value is not there."""

    values: Mapping[str, Any] = field(default_factory=dict)
    unavailable: Mapping[str, Text] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Switch:
    """What a replacement is going to do, noted before it is done, so that it can be finished after a crash.

    current: the name of what is replaced. candidate: of what takes its place. kept: under which the old one is kept.
    Names are as the engine takes them in ``new_target``. marks: JSON values by which the engine sees how far it came.
    """

    current: str
    candidate: str
    kept: str
    marks: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return what ``from_json`` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Switch:
        """Rebuild a noted switch."""
        return cls(**stored)


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What a look into a restored copy found. Verdict is ok, warning, critical, unknown or skipped."""

    name: Text
    verdict: str
    message: Text


def require_rows(table: str, found: int, expected: int) -> None:
    """Raise ``DatabaseError`` when a table that was brought back has not as many rows as the backup says."""
    if found != expected:
        raise DatabaseError(
            Text("“{table}” has {found} rows in place of {expected}.", table=table, found=found, expected=expected),
            Text("Nothing was brought back. Verify the backup, or choose another one."),
        )


class Connection(Protocol):
    """How to reach one database. A frozen dataclass of the engine; ``repr`` never shows a secret."""

    @property
    def address(self) -> str:
        """Where it is, for pages and logs: without password."""
        ...


class Engine(Protocol):
    """One kind of database. Stateless; every method may be called from any process.

    Methods raise ``DbadminError`` subclasses only: ``ConnectionFailed`` when the database cannot be reached,
    ``ToolMissing`` when no client fits, ``ValidationFailed`` when the content is not what it has to be, and
    ``Cancelled`` from ``progress``. A connection given to an engine was made by that engine.
    """

    name: ClassVar[str]
    label: ClassVar[Text]
    scopes: ClassVar[tuple[str, ...]]
    maintenance: ClassVar[Mapping[str, Text]]

    def connection(self, settings: Mapping[str, Any], password: str = "") -> Any:
        """Make a connection of stored settings; ``ValidationFailed`` names the field that is wrong."""
        ...

    def probe(self, connection: Any) -> ServerInfo:
        """Try to reach the database stage by stage. Never raises for a database that cannot be reached."""
        ...

    def dump(
        self, connection: Any, *, scope: str, spool: Path, progress: Progress, measuring: Measuring = COUNTS
    ) -> Dump:
        """Write a consistent dump into ``spool``, an empty folder, with facts of the same moment."""
        ...

    def new_target(self, connection: Any, name: str) -> Any:
        """Return the connection of a database, file or folder called ``name`` beside the given one.

        Changes nothing; ``ValidationFailed`` when the name cannot be used.
        """
        ...

    def exists(self, target: Any) -> bool:
        """Say whether there is already something that a restore would overwrite."""
        ...

    def restore(
        self,
        target: Any,
        *,
        spool: Path,
        scope: str,
        origin: Mapping[str, Any],
        client_version: str,
        options: RestoreOptions,
        progress: Progress,
    ) -> tuple[ReportLine, ...]:
        """Create ``target`` from the files a ``dump`` left in ``spool`` and return what the tools said.

        Refuses when ``target`` exists. After any exception the target does not exist.
        """
        ...

    def discard(self, target: Any) -> None:
        """Remove what ``restore`` created."""
        ...

    def export_sql(self, *, spool: Path, client_version: str, progress: Progress) -> Path | None:
        """Turn the dump in ``spool`` into a plain SQL file in it and return its path; None where there is no SQL."""
        ...

    def facts(self, connection: Any, *, progress: Progress, measuring: Measuring = COUNTS) -> Facts:
        """Measure a live or restored database exactly as ``dump`` measures it."""
        ...

    def rows(self, connection: Any, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one reading statement in a read-only transaction with a time limit of a few seconds."""
        ...

    def history(self, connection: Any) -> tuple[ToolHistory, ...]:
        """Read the tables of the migration tools that are found in the database."""
        ...

    def snapshot(self, connection: Any) -> Snapshot:
        """Gather what the health checks look at. Raises ``ConnectionFailed`` when it cannot be reached."""
        ...

    def beside_name(self, current: Any, suffix: str) -> str:
        """Return a name beside ``current`` that ends with ``suffix``, for ``new_target``; shortened where it has to."""
        ...

    def intend(self, current: Any, *, candidate: str, kept: str) -> Switch:
        """Note what ``replace`` will do. Changes nothing; ``Refused`` when it could not be done or ``kept`` exists."""
        ...

    def replace(self, current: Any, switch: Switch, *, progress: Progress) -> tuple[ReportLine, ...]:
        """Put the candidate in the place of ``current``, whoever uses it, and keep what was there as ``kept``.

        What is kept is what was current at the very moment of the switch. The candidate is used up. After an
        exception ask ``settle`` on which side of the switch the database is.
        """
        ...

    def settle(self, current: Any, switch: Switch) -> bool:
        """Finish or undo a switch that was interrupted, and say whether the candidate is current now.

        Judges by what it finds, so it may be called at any time and again. When false, ``current`` is what it was and
        open to everybody, nothing is kept, and the candidate, if it is there, is the caller's to discard.
        """
        ...

    def scratch(
        self, *, origin: Mapping[str, Any], client_version: str, spool: Path, progress: Progress
    ) -> AbstractContextManager[Any]:
        """Give a throw-away target for ``restore``, fit for what was dumped; nothing of it is left after the block.

        What a killed process left of it is removed by ``sweep`` with the same ``spool``. ``ToolMissing`` when there
        is nothing on this machine to restore into, ``Refused`` when the disk is too small.
        """
        ...

    def reader(self, target: Any) -> Any:
        """Return how to ask a scratch ``target``: everything in it may be read, nothing else on this machine."""
        ...

    def sweep(self, spool: Path) -> None:
        """End and remove what ``scratch`` left outside ``spool``, and every process of it."""
        ...

    def restore_some(
        self,
        target: Any,
        *,
        spool: Path,
        tables: tuple[str, ...],
        origin: Mapping[str, Any],
        client_version: str,
        progress: Progress,
    ) -> tuple[ReportLine, ...]:
        """Create a throw-away ``target`` with at least these tables and their rows. Engines may restore more."""
        ...

    def content(self, *, spool: Path, progress: Progress) -> Mapping[str, str]:
        """Return the SHA-256 of each table's content of the dump in ``spool``; ``CorruptArchive`` if unreadable."""
        ...

    def content_of_copy(
        self,
        target: Any,
        *,
        archive: Path,
        origin: Mapping[str, Any],
        tables: tuple[str, ...],
        progress: Progress,
    ) -> Mapping[str, str] | None:
        """Return what ``content`` returned, of the restored ``target``; None where the two cannot be compared.

        ``archive`` has the dump that it was restored from. ``tables``: only these, all without; engines may return
        more.
        """
        ...

    def compare(self, *, left: Path, right: Path, content: bool, progress: Progress) -> Compared:
        """Say how the dumps in two spools differ: the schema, and with ``content`` every row that both could hold.

        Files may be added to the spools. ``CorruptArchive`` if one is unreadable.
        """
        ...

    def maintain(self, connection: Any, *, steps: Sequence[str], progress: Progress) -> tuple[Examination, ...]:
        """Look after a live database: do the named steps of ``maintenance``, and say what each came to."""
        ...

    def examine(self, target: Any, *, progress: Progress) -> tuple[Examination, ...]:
        """Look for damage inside a restored copy, possibly in another thread than the job's.

        Something may be added to the copy for it, so this comes last; rows and files stay as they are, and may be
        read meanwhile.
        """
        ...
