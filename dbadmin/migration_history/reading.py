"""What is said of one tool in one database, and how its rows become sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from dbadmin.choices import MigrationState
from dbadmin.migration_history.project import MigrationFile
from dbadmin.text import Text

APPLIED_STATES = frozenset({MigrationState.APPLIED, MigrationState.MODIFIED, MigrationState.FILE_MISSING})
_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Known:
    """What an earlier reading kept of a revision. ``checksum``: of its file when it was first seen applied."""

    state: str
    checksum: str = ""
    description: str = ""

    @property
    def applied(self) -> bool:
        """It was applied then."""
        return self.state in APPLIED_STATES


@dataclass(frozen=True, kw_only=True)
class Row:
    """The state of one revision."""

    revision: str
    state: MigrationState
    description: str = ""
    applied_at: datetime | None = None
    checksum: str = ""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A tool in a database: its heads, its rows in order, and what is wrong, the worst first.

    ``pending`` is None where it cannot be told. ``unseen``: revisions of earlier readings that this one could not
    have shown, so that their absence says nothing.
    """

    tool: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    pending: int | None
    problems: tuple[Text, ...] = ()
    unseen: frozenset[str] = field(default_factory=frozenset)

    @property
    def applied(self) -> int:
        """How many are applied, as far as can be seen."""
        return sum(row.state in APPLIED_STATES for row in self.rows)

    def problem_with(self, others: Sequence[Text]) -> Text:
        """Everything that is wrong as one sentence, the worst first; empty when nothing is."""
        said = [*_state_problems(self.tool, self.rows), *self.problems, *others]
        if len(said) > _NAMED:
            said = [*said[:_NAMED], Text("Further problems: {count}.", count=len(said) - _NAMED)]
        return _joined(said)


def pending_row(file: MigrationFile) -> Row:
    """Return a migration that is only a file so far."""
    return Row(
        revision=file.revision,
        state=MigrationState.PENDING,
        description=file.description,
        checksum=next(iter(file.checksums), ""),
    )


def applied_row(revision: str, file: MigrationFile, before: Known | None, applied_at: datetime | None = None) -> Row:
    """Return an applied migration whose tool keeps no checksum; compared with the one kept when it was new to us."""
    kept = before.checksum if before and before.applied else ""
    return Row(
        revision=revision,
        state=MigrationState.MODIFIED if kept and kept not in file.checksums else MigrationState.APPLIED,
        description=file.description,
        applied_at=applied_at,
        checksum=kept or next(iter(file.checksums), ""),
    )


def fileless_row(revision: str, state: MigrationState, before: Known | None, applied_at: datetime | None = None) -> Row:
    """Return a migration without file, with what is remembered of it."""
    return Row(
        revision=revision,
        state=state,
        description=before.description if before else "",
        applied_at=applied_at,
        checksum=before.checksum if before and before.applied else "",
    )


def named(revisions: Sequence[str]) -> str:
    """Return a few of the names, and how many more there are."""
    more = f", … (+{len(revisions) - _NAMED})" if len(revisions) > _NAMED else ""
    return ", ".join(revisions[:_NAMED]) + more


def cycle_problem(tool: str, circular: Sequence[str]) -> Iterator[Text]:
    """Say which migrations wait for each other."""
    if circular:
        yield Text("{tool}: migrations follow each other in a circle: {names}.", tool=tool, names=named(circular))


def heads_problem(tool: str, heads: Sequence[str]) -> Iterator[Text]:
    """Say that there is not one newest migration."""
    if len(heads) > 1:
        yield Text(
            "{tool}: there are {count} heads ({names}); merge them before the next migration.",
            tool=tool,
            count=len(heads),
            names=named(heads),
        )


def _state_problems(tool: str, rows: Iterable[Row]) -> Iterator[Text]:
    by_state: dict[MigrationState, list[str]] = {}
    for row in rows:
        by_state.setdefault(row.state, []).append(row.revision)
    for state, sentence in _SENTENCES.items():
        if revisions := by_state.get(state):
            yield Text(sentence.msgid, tool=tool, names=named(revisions))


_SENTENCES: Mapping[MigrationState, Text] = {
    MigrationState.FAILED: Text("{tool}: failed: {names}."),
    MigrationState.FILE_MISSING: Text("{tool}: applied, but the file is missing: {names}."),
    MigrationState.MODIFIED: Text("{tool}: changed after it was applied: {names}."),
    MigrationState.RUNNING: Text("{tool}: begun and not finished yet: {names}."),
}


def _joined(sentences: Sequence[Text]) -> Text:
    if not sentences:
        return Text("")
    joined = sentences[-1]
    for sentence in reversed(sentences[:-1]):
        joined = Text("{first} {then}", first=sentence, then=joined)
    return joined
