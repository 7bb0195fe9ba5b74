"""Alembic records where the database stands; what was applied on the way there only the files know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from dbadmin.choices import MigrationState
from dbadmin.engines.base import ToolHistory
from dbadmin.migration_history.graph import ancestors, followers, heads, in_order
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

Files = Mapping[str, MigrationFile]


def judge_heads(history: ToolHistory | None, project: Project | None, known: Mapping[str, Known]) -> Reading:
    """Compare the recorded heads with the files and with what was known before; each of them may be missing."""
    current = tuple(dict.fromkeys(printable(head) for head in history.heads)) if history else ()
    if project is None or not project.files:
        return _without_files(current, project, known)
    files = {file.revision: file for file in project.files}
    graph = {revision: _parents(file, files) for revision, file in files.items()}
    applied = ancestors(current, graph)
    unclear = _unclear(applied, files, graph)
    applied |= {revision for revision in unclear if revision in known and known[revision].applied}
    unclear -= applied
    nodes = graph | dict.fromkeys(applied - files.keys(), ())
    ordered, circular = in_order(nodes, lambda revision: _age(revision, files))
    rows = [
        _row(revision, files, known) if revision in applied else pending_row(files[revision])
        for revision in [*ordered, *circular]
        if revision not in unclear
    ]
    return Reading(
        tool="alembic",
        heads=current,
        rows=tuple(rows),
        pending=None if unclear else sum(row.state == MigrationState.PENDING for row in rows),
        problems=(
            *cycle_problem("alembic", circular),
            *heads_problem("alembic", heads(graph)),
            *_broken(graph, applied, files),
            *project.problems,
        ),
        unseen=frozenset(unclear),
    )


def _without_files(current: tuple[str, ...], project: Project | None, known: Mapping[str, Known]) -> Reading:
    state = MigrationState.APPLIED if project is None or project.problems else MigrationState.FILE_MISSING
    return Reading(
        tool="alembic",
        heads=current,
        rows=tuple(fileless_row(head, state, known.get(head)) for head in current),
        pending=None,
        problems=(*heads_problem("alembic", current), *(project.problems if project else ())),
        # Without the table nothing is recorded any more; without the files only the heads can be seen.
        unseen=frozenset(known) - set(current) if current else frozenset(),
    )


def _parents(file: MigrationFile, files: Files) -> tuple[str, ...]:
    """Return what comes before; a dependency that names no file is a label, which orders nothing here."""
    return (*file.follows, *(name for name in file.depends_on if name in files))


def _unclear(applied: Set[str], files: Files, graph: Mapping[str, tuple[str, ...]]) -> set[str]:
    """Return the files of which nothing is certain, because a missing file breaks the way to them.

    What follows something applied is pending; what comes before a missing file may be either.
    """
    if applied <= files.keys():
        return set()
    return set(files) - applied - ancestors(applied, followers(graph))


def _row(revision: str, files: Files, known: Mapping[str, Known]) -> Row:
    if file := files.get(revision):
        return applied_row(revision, file, known.get(revision))
    return fileless_row(revision, MigrationState.FILE_MISSING, known.get(revision))


def _age(revision: str, files: Files) -> tuple[str, str]:
    return (files[revision].created if revision in files else "", revision)


def _broken(graph: Mapping[str, tuple[str, ...]], applied: Set[str], files: Files) -> Iterator[Text]:
    wanted = {parent for parents in graph.values() for parent in parents} - files.keys() - applied
    if wanted:
        yield Text("alembic: files follow revisions that have no file: {names}.", names=named(sorted(wanted)))
