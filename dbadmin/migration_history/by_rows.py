"""Prisma and Django record every migration they applied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from datetime import datetime, timedelta

from dbadmin.choices import MigrationState
from dbadmin.engines.base import HistoryRow, ToolHistory
from dbadmin.migration_history.graph import heads, in_order
from dbadmin.migration_history.project import MigrationFile, Project, printable
from dbadmin.migration_history.reading import (
    Known,
    Reading,
    Row,
    applied_row,
    cycle_problem,
    fileless_row,
    heads_problem,
    named,
    pending_row,
)
from dbadmin.text import Text

# Nothing in Prisma's table tells a migration that runs from one whose process died.
LONGEST_RUN = timedelta(hours=1)
Files = Mapping[str, MigrationFile]


def judge_rows(
    tool: str, history: ToolHistory | None, project: Project | None, known: Mapping[str, Known], *, now: datetime
) -> Reading:
    """Compare the recorded rows with the files and with what was known before; each of them may be missing."""
    files = {file.revision: file for file in project.files} if project else {}
    # A migration that failed and was run again has several rows; the last one counts.
    recorded = {printable(row.revision): row for row in history.rows} if history else {}
    rows = [_row(name, row, files, project, known, now) for name, row in recorded.items()]
    waiting = _waiting(files, {row.revision for row in rows if row.state != MigrationState.ROLLED_BACK})
    graph = {name: tuple(parent for parent in file.follows if parent in files) for name, file in files.items()}
    ordered, circular = in_order(graph, lambda name: name)
    rows += [pending_row(files[name]) for name in [*ordered, *circular] if name in waiting and name not in recorded]
    return Reading(
        tool=tool,
        heads=tuple(printable(head) for head in history.heads) if history else (),
        rows=tuple(rows),
        pending=len(waiting) if project else None,
        problems=(*cycle_problem(tool, circular), *_conflicts(tool, files), *(project.problems if project else ())),
        unseen=frozenset() if project else _only_files(known),
    )


def _only_files(known: Mapping[str, Known]) -> frozenset[str]:
    return frozenset(name for name, before in known.items() if before.state == MigrationState.PENDING)


def _row(
    name: str,
    row: HistoryRow,
    files: Files,
    project: Project | None,
    known: Mapping[str, Known],
    now: datetime,
) -> Row:
    at = datetime.fromisoformat(row.applied_at) if row.applied_at else None
    state = MigrationState(row.state)
    if state == MigrationState.RUNNING and at is not None and now - at > LONGEST_RUN:
        state = MigrationState.FAILED
    file = files.get(name)
    if file is None:
        lost = state == MigrationState.APPLIED and project is not None and _has_place(name, project)
        return fileless_row(name, MigrationState.FILE_MISSING if lost else state, known.get(name), at)
    if state != MigrationState.APPLIED:
        return Row(revision=name, state=state, description=file.description, applied_at=at, checksum=row.checksum)
    # The tool's own checksum is that of the file as it ran; where it keeps none, ours has to do.
    before = Known(state=state, checksum=row.checksum) if row.checksum else known.get(name)
    return applied_row(name, file, before, at)


def _has_place(name: str, project: Project) -> bool:
    """Say whether the file of an applied migration would have to be in this project.

    The apps of installed packages are elsewhere, and what a squashed migration replaces may be removed.
    """
    if project.apps and name.partition(".")[0] not in project.apps:
        return False
    return name not in project.replaced


def _waiting(files: Files, done: Set[str]) -> set[str]:
    """Return what is still to be applied. Of a squashed migration and what it replaces only one side is."""
    waiting = set(files) - done
    for name, file in files.items():
        if not file.replaces:
            continue
        replaced = set(file.replaces)
        if name in done or replaced <= done:
            waiting -= replaced | {name}
        elif replaced & done:
            waiting.discard(name)
        else:
            waiting -= replaced
    return waiting


def _conflicts(tool: str, files: Files) -> Iterator[Text]:
    """Say which apps of Django have several newest migrations. Prisma's are a line, ordered by name."""
    if tool != "django":
        return
    squashed = {old: name for name, file in files.items() for old in file.replaces}
    graph: dict[str, set[str]] = {}
    for name, file in files.items():
        if name not in squashed:
            parents = {squashed.get(parent, parent) for parent in file.follows}
            graph[name] = {parent for parent in parents if _app(parent) == _app(name)}
    newest: dict[str, list[str]] = {}
    for head in heads(graph):
        newest.setdefault(_app(head), []).append(head)
    for leaves in newest.values():
        yield from heads_problem(tool, leaves)
    if absent := sorted({parent for parents in graph.values() for parent in parents} - graph.keys()):
        yield Text("django: files follow migrations that have no file: {names}.", names=named(absent))


def _app(name: str) -> str:
    return name.partition(".")[0]
