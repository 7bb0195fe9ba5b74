"""A restored SQLite file: made beside, proven, then linked under its name. Nothing is ever replaced."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
from backports import zstd

from dbadmin.engines.base import FULL, SCHEMA, ReportLine
from dbadmin.engines.paths import give, partial, require_space, sync
from dbadmin.engines.sqlite.compression import decompress, decompressed_size
from dbadmin.engines.sqlite.connection import SIDECARS, sentences, sidecar
from dbadmin.engines.sqlite.dump import MEMBERS, integrity, reading
from dbadmin.engines.sqlite.measure import watched
from dbadmin.exceptions import ConnectionFailed, CorruptArchive, Refused, ValidationFailed
from dbadmin.progress import Progress
from dbadmin.text import Text


def require_free(target: Path) -> None:
    """Refuse a target that is there, or that has something beside it which SQLite would play back into it."""
    if os.path.lexists(target):
        raise Refused(
            Text("“{path}” exists already; a restore goes into a new file.", path=str(target)),
            Text("Choose another name, or replace the registered database."),
        )
    for suffix in SIDECARS:
        if os.path.lexists(sidecar(target, suffix)):
            raise Refused(
                Text("“{path}” lies where the restored file would be.", path=str(sidecar(target, suffix))),
                Text("SQLite would play it back into the restored database. Choose another name."),
            )
    if not target.parent.is_dir():
        raise ConnectionFailed(
            Text("There is no folder “{folder}”.", folder=str(target.parent)), Text("Make it, or choose another place.")
        )


def restore(
    target: Path, *, spool: Path, scope: str, origin: Mapping[str, Any], progress: Progress
) -> tuple[ReportLine, ...]:
    """Make ``target`` of what a dump left in ``spool``; after any exception it does not exist."""
    require_free(target)
    with sentences(target), _beside(target) as temporary:
        if scope == FULL:
            _unpacked(spool / MEMBERS[FULL], temporary, progress)
        elif scope == SCHEMA:
            _replayed(spool / MEMBERS[SCHEMA], temporary, progress)
        else:
            raise ValidationFailed(
                Text("A backup of the data alone cannot become a file."),
                Text("Download it as SQL and run it in a database that has the tables, or restore a full backup."),
            )
        lines = _checked(temporary, progress) + give(temporary, origin, label="")
        _published(temporary, target)
    return lines


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    temporary = partial(target)
    try:
        yield temporary
    finally:
        for suffix in ("", *SIDECARS):
            sidecar(temporary, suffix).unlink(missing_ok=True)


def _unpacked(member: Path, temporary: Path, progress: Progress) -> None:
    def look(done: int) -> None:
        progress.check()
        progress.update(done)

    try:
        require_space(temporary.parent, decompressed_size(member))
        progress.phase(Text("Unpacking the database"), total=member.stat().st_size)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        decompress(member, temporary, look)
    except (zstd.ZstdError, EOFError) as error:
        raise CorruptArchive(
            Text("The backup cannot be unpacked: {reason}.", reason=str(error)),
            Text("Restore another backup; this one is damaged."),
        ) from error


def _replayed(member: Path, temporary: Path, progress: Progress) -> None:
    progress.phase(Text("Making the tables"))
    db = apsw.Connection(str(temporary))
    try:
        watched(db, progress.check)
        db.execute("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF").fetchall()
        db.execute(member.read_text(encoding="utf-8")).fetchall()
    finally:
        db.close()


def _checked(temporary: Path, progress: Progress) -> tuple[ReportLine, ...]:
    progress.phase(Text("Checking the restored file"))
    with reading(temporary) as db:
        watched(db, progress.check)
        return tuple(ReportLine(level="warning", object="", message=line) for line in integrity(db, temporary))


def _published(temporary: Path, target: Path) -> None:
    """Give the finished file its name; fails when the name was taken meanwhile."""
    sync(temporary)
    try:
        os.link(temporary, target)
    except FileExistsError:
        require_free(target)
        raise
    except OSError:  # a file system without hard links: reserve the name, then take it
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        os.replace(temporary, target)
    try:
        sync(target.parent)
    except OSError:
        target.unlink(missing_ok=True)
        raise
