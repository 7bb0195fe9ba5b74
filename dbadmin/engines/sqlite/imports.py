"""A SQLite file that somebody brings, copied into a new file and compared with it."""

from __future__ import annotations

from pathlib import Path

from dbadmin.engines import recognise
from dbadmin.engines.base import FULL, ReportLine
from dbadmin.engines.recognise import Recognised
from dbadmin.engines.sqlite import dump as dumping
from dbadmin.engines.sqlite import restore as restoring
from dbadmin.engines.sqlite.connection import SQLiteConnection
from dbadmin.progress import Progress
from dbadmin.text import Text


def import_file(
    target: SQLiteConnection,
    path: Path,
    found: Recognised,
    *,
    spool: Path,
    keep_owners: bool,
    progress: Progress,
) -> tuple[ReportLine, ...]:
    """Make ``target`` of the database at ``path``, which may be in use and keeps its write-ahead log.

    ``ValidationFailed`` when SQLite does not find it whole; then there is no ``target``. ``keep_owners`` means nothing.
    """
    source = _unpacked(path, spool, progress) if found.packed else path
    folder = spool / "copy"
    folder.mkdir()
    dump = dumping.dump(source, scope=FULL, spool=folder, progress=progress)
    lines = restoring.restore(target.path, spool=folder, scope=FULL, origin={}, progress=progress)
    return (*(ReportLine(level="warning", object="", message=warning) for warning in dump.warnings), *lines)


def _unpacked(path: Path, spool: Path, progress: Progress) -> Path:
    def look(done: int) -> None:
        progress.check()
        progress.update(done)

    progress.phase(Text("Unpacking the file"), total=path.stat().st_size)
    return recognise.unpack(path, spool, look)
