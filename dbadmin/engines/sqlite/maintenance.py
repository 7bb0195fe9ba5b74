"""Looking after a live file: what SQLite itself recommends, in an order that never works on a damaged one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import apsw

from dbadmin.engines.base import Examination
from dbadmin.engines.paths import require_space
from dbadmin.engines.sqlite.connection import sentences
from dbadmin.engines.sqlite.drill import examine
from dbadmin.engines.sqlite.measure import watched
from dbadmin.engines.sqlite.replace import require_writable, writing
from dbadmin.exceptions import Cancelled, DbadminError
from dbadmin.progress import Progress
from dbadmin.text import Text

STEPS: Mapping[str, Text] = {
    "integrity": Text("Check integrity"),
    "optimize": Text("Optimise (PRAGMA optimize)"),
    "vacuum": Text("Compact (VACUUM)"),
    "checkpoint": Text("Empty the write-ahead log (wal_checkpoint)"),
}


def maintain(path: Path, steps: Sequence[str], progress: Progress) -> tuple[Examination, ...]:
    """Do the steps, whatever their order here; after damage was found nothing else is done.

    A step that cannot be done now, such as for want of space or of a lock, is a warning and leaves the file as it is.
    """
    done: list[Examination] = []
    if "integrity" in steps:
        done += examine(path, progress)
        if any(each.verdict == "critical" for each in done):
            return tuple(done)
    require_writable(path)
    work: dict[str, Callable[[apsw.Connection, Path], Text]] = {
        "optimize": _optimize,
        "vacuum": _vacuum,
        "checkpoint": _checkpoint,
    }
    for name in [name for name in work if name in steps]:
        progress.check()
        progress.phase(STEPS[name])
        done.append(_tried(path, STEPS[name], work[name], progress))
    return tuple(done)


def _tried(path: Path, name: Text, work: Callable[[apsw.Connection, Path], Text], progress: Progress) -> Examination:
    try:
        with sentences(path):
            db = writing(path)
            watched(db, progress.check)
            try:
                return Examination(name=name, verdict="ok", message=work(db, path))
            finally:
                db.close()
    except Cancelled:
        raise
    except DbadminError as error:
        return Examination(name=name, verdict="warning", message=error.message)


def _optimize(db: apsw.Connection, path: Path) -> Text:
    # 0x10002: every table, whether this connection has used it or not (sqlite.org/pragma.html#pragma_optimize).
    db.execute("PRAGMA analysis_limit=1000; PRAGMA optimize=0x10002").fetchall()
    return Text("The planner's statistics are up to date.")


def _vacuum(db: apsw.Connection, path: Path) -> Text:
    """Writes a copy beside and then all of it back, through the journal: twice the space is needed for a moment."""
    before = path.stat().st_size
    require_space(path.parent, 2 * before)
    db.execute("VACUUM").fetchall()
    db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    return Text("{before} MB before, {after} MB now.", before=_megabytes(before), after=_megabytes(path.stat().st_size))


def _checkpoint(db: apsw.Connection, path: Path) -> Text:
    if db.pragma("journal_mode") != "wal":
        return Text("The file is not in WAL mode; there is no log.")
    busy, frames, moved = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0]
    if busy:
        return Text(
            "Somebody is reading: {moved} of {frames} pages were moved, the log stays.", moved=moved, frames=frames
        )
    return Text("The log is empty.")


def _megabytes(size: int) -> float:
    return round(size / 1_000_000, 1)
