"""Prove that it works: back up every database, restore two beside the original, compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dbadmin import audit
from dbadmin.choices import JobKind, JobState, RestoreState
from dbadmin.jobs import execution, queue
from dbadmin.models import Backup, Database, Job, Restore

# Slug -> how the restored copy is called. It stays to be looked at, until the next run makes it anew.
RESTORED = {"camp-backend": "camp_backend_once", "mangaanime": "mangaanime-once.sqlite3"}


@dataclass(frozen=True, kw_only=True)
class Step:
    """A backup or restore that was tried. ``size`` in bytes; ``result`` is ok or a sentence."""

    database: str
    engine: str
    action: str
    size: int | None
    rows: int | None
    seconds: float
    result: str
    ok: bool

    def to_json(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        return asdict(self)


def prove(databases: Iterable[Database], *, actor: audit.Actor) -> list[Step]:
    """Back up all, restore those of ``RESTORED`` beside the original."""
    steps = []
    for database in databases:
        step, backup = _back_up(database, actor)
        steps.append(step)
        if backup is not None and database.slug in RESTORED:
            steps.append(_restore(backup, actor))
    return steps


def table(steps: Sequence[Step]) -> list[str]:
    """Return the steps as lines of a table."""
    head = ("Database", "Engine", "Action", "Size", "Rows", "Seconds", "Result")
    rows = [head, *(_cells(step) for step in steps)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def _cells(step: Step) -> tuple[str, ...]:
    size = "–" if step.size is None else f"{step.size / 1_000_000:.2f} MB"
    rows = "–" if step.rows is None else f"{step.rows:,}"
    return (step.database, step.engine, step.action, size, rows, f"{step.seconds:.1f}", step.result)


def _back_up(database: Database, actor: audit.Actor) -> tuple[Step, Backup | None]:
    job = _work(JobKind.BACKUP, database, actor, {})
    backup = Backup.objects.filter(job=job, state="available").first()
    step = _step(job, "backup", backup, ok=job.state == JobState.SUCCEEDED and backup is not None)
    return step, backup


def _restore(backup: Backup, actor: audit.Actor) -> Step:
    database, name = backup.database, RESTORED[backup.database.slug]
    former = database.adapter.new_target(database.connection(), name)
    if database.adapter.exists(former):
        database.adapter.discard(former)
    job = _work(JobKind.RESTORE, database, actor, {"backup": backup.pk, "target_name": name})
    exact = Restore.objects.filter(job=job, state=RestoreState.EXACT).exists()
    return _step(job, "restore", backup, ok=exact)


def _work(kind: JobKind, database: Database, actor: audit.Actor, params: Mapping[str, Any]) -> Job:
    """Take the same way as a job of the page, but in this process; ``Refused`` when one is active already."""
    job, _ = queue.enqueue(kind, database, actor=actor, params=params, ring=False)
    return execution.run_now(job)


def _step(job: Job, action: str, backup: Backup | None, *, ok: bool) -> Step:
    sentence = " ".join(str(part) for part in (job.message, job.hint) if part)
    duration = job.duration
    return Step(
        database=job.database.slug,
        engine=job.database.engine,
        action=action,
        size=backup.size if backup else None,
        rows=backup.row_count if backup else None,
        seconds=round(duration.total_seconds(), 2) if duration else 0.0,
        result="ok" if ok else sentence,
        ok=ok,
    )
