"""New content for a live file, through SQLite itself: its users see the old content or the new, never a mixture.

The file is never removed, renamed or written to behind SQLite's back, so that no write-ahead log of its past, however
stale, can be played back into what is new.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import apsw

from dbadmin.engines.base import ReportLine, Switch
from dbadmin.engines.paths import attributes, give, partial, remove_partials, require_here, require_space, sync
from dbadmin.engines.sqlite.connection import SIDECARS, opened, sentences, sidecar
from dbadmin.engines.sqlite.dump import copy_pages, integrity, reading
from dbadmin.exceptions import ConnectionFailed, DatabaseError, Refused
from dbadmin.progress import Progress, Silent
from dbadmin.text import Text

WAIT_SECONDS = 30.0
ATTEMPTS = 20
_NAP_SECONDS = 0.002


def beside_name(path: Path, suffix: str) -> str:
    """Return the file's name with the suffix."""
    room = 255 - len(os.fsencode(suffix))
    return os.fsdecode(os.fsencode(path.name)[:room]) + suffix


def intend(path: Path, *, candidate: str, kept: str) -> Switch:
    """Look whether the file can be opened for writing and its folder may be written."""
    for name in (kept, *(kept + suffix for suffix in SIDECARS)):
        if os.path.lexists(path.with_name(name)):
            raise Refused(
                Text("“{path}” is there already.", path=str(path.with_name(name))),
                Text("Move it away, then try again."),
            )
    require_writable(path)
    with sentences(path):
        db = writing(path)
        try:
            cookie = db.pragma("schema_version")
        finally:
            db.close()
    return Switch(current=path.name, candidate=candidate, kept=kept, marks={"cookie": cookie})


def replace(path: Path, switch: Switch, *, progress: Progress) -> tuple[ReportLine, ...]:
    """Keep a copy of the file, then write the candidate over it in one transaction of SQLite."""
    candidate, kept = path.with_name(switch.candidate), path.with_name(switch.kept)
    with sentences(path):
        require_space(path.parent, 2 * path.stat().st_size + candidate.stat().st_size)
        lines = _fitted(path, candidate)
        with _locked_as_kept(path, candidate, kept, progress) as backup:
            progress.phase(Text("Switching"))
            _written(backup)
        progress.phase(Text("Switched"))
        _checked(path)
        _remove(candidate)
        sync(path.parent)
    return lines


def settle(path: Path, switch: Switch) -> bool:
    """SQLite has finished or undone the transaction itself; see which it was and remove what is left over."""
    candidate, kept = path.with_name(switch.candidate), path.with_name(switch.kept)
    require_here(path)
    with sentences(path):
        remove_partials(kept)
        switched = _is_switched(path, candidate, kept, int(switch.marks["cookie"]))
        _remove(candidate if switched else kept)
    return switched


def require_writable(path: Path) -> None:
    """Refuse a file, or a folder of it, that may not be written."""
    for place in (path, path.parent):
        if not os.access(place, os.W_OK):
            raise ConnectionFailed(
                Text("“{path}” may not be written.", path=str(place)),
                Text("Run dbadmin as the user who owns the file, or give its user the right to write."),
            )


def writing(path: Path) -> apsw.Connection:
    """Open the live file as its application does; never makes one."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    db.set_busy_timeout(int(WAIT_SECONDS * 1000))
    db.execute("PRAGMA synchronous=FULL").fetchall()
    return db


def _fitted(path: Path, candidate: Path) -> tuple[ReportLine, ...]:
    """Give the candidate the journal mode of the live file, which belongs to the place, and where it must the pages."""
    live, new = writing(path), apsw.Connection(str(candidate), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        mode, size = live.pragma("journal_mode"), live.pragma("page_size")
        new.execute("PRAGMA journal_mode=DELETE").fetchall()
        if mode != "wal" or new.pragma("page_size") == size or not live.pragma("page_count"):
            return ()
        # SQLite cannot change the size of pages while a write-ahead log is in use.
        new.execute(f"PRAGMA page_size={size}; VACUUM").fetchall()
        message = Text("Pages of {size} bytes are kept, because the file is in WAL mode.", size=size)
        return (ReportLine(level="info", object="", message=message),)
    finally:
        live.close()
        new.close()


@contextmanager
def _locked_as_kept(path: Path, candidate: Path, kept: Path, progress: Progress) -> Iterator[apsw.Backup]:
    """Give a backup that holds the lock for writing, when ``kept`` is what the file holds at that moment.

    Nobody may write while the file is copied. Between letting go of that lock and taking the one for the switch
    somebody may; that is seen, and the copy made again.
    """
    for _attempt in range(ATTEMPTS):
        with ExitStack() as stack:
            target, source = _closing(stack, writing(path)), _closing(stack, opened(candidate, immutable=True))
            _copy_unchanging(path, target, kept, progress)
            backup = target.backup("main", source, "main")
            stack.callback(backup.close, True)
            version = target.data_version()
            _lock(backup, path)
            if target.data_version() != version:
                _remove(kept)
                continue
            yield backup
            return
    raise DatabaseError(
        Text("“{path}” was written to each time its safety copy was made.", path=str(path)),
        Text("Stop its application for the moment of the switch, then try again. The file was not changed."),
    )


def _closing(stack: ExitStack, db: apsw.Connection) -> apsw.Connection:
    stack.callback(db.close)
    return db


def _copy_unchanging(path: Path, target: apsw.Connection, kept: Path, progress: Progress) -> None:
    """Copy the file while nobody can write to it; ``kept`` is there when it is whole."""
    temporary = partial(kept)
    guard = writing(path)
    try:
        guard.execute("BEGIN IMMEDIATE").fetchall()
        target.execute("SELECT count(*) FROM sqlite_schema").fetchall()  # from here on its data version tells of others
        source = opened(path)
        try:
            source.execute("BEGIN").fetchall()
            source.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            copy_pages(source, temporary, progress)
        finally:
            source.close()
        give(temporary, attributes(path), label="")
        sync(temporary)
        os.link(temporary, kept)
        sync(kept.parent)
        guard.execute("ROLLBACK").fetchall()
    finally:
        guard.close()
        _remove(temporary)


def _lock(backup: apsw.Backup, path: Path) -> None:
    """The first step takes the lock, also when it has no pages to copy."""
    until = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            backup.step(0)
            return
        except (apsw.BusyError, apsw.LockedError):
            if time.monotonic() > until:
                raise
            time.sleep(_NAP_SECONDS)


def _written(backup: apsw.Backup) -> None:
    """All pages in one step: one transaction. Somebody who reads may have to end before it can be committed."""
    until = time.monotonic() + WAIT_SECONDS
    while not backup.done:
        try:
            backup.step(-1)
        except (apsw.BusyError, apsw.LockedError):
            if time.monotonic() > until:
                raise
            time.sleep(_NAP_SECONDS)
    backup.finish()


def _checked(path: Path) -> None:
    db = opened(path)
    try:
        db.execute("BEGIN").fetchall()
        integrity(db, path)
    finally:
        db.close()


def _is_switched(path: Path, candidate: Path, kept: Path, cookie: int) -> bool:
    """Writing a whole file raises its schema's number; a program that changes the schema does so, too.

    So where the number has changed the pages are compared: what is current now began as one of the two.
    """
    if not kept.exists():
        return False
    db = writing(path)  # an unfinished transaction is undone by this
    try:
        if db.pragma("schema_version") == cookie:
            return False
    finally:
        db.close()
    return not candidate.exists() or _resembles(path, candidate, kept)


def _resembles(path: Path, candidate: Path, kept: Path) -> bool:
    """Say whether of the pages in which the two differ, more of the live file are the candidate's."""
    temporary = partial(kept)
    source = opened(path)
    try:
        source.execute("BEGIN").fetchall()
        copy_pages(source, temporary, Silent())
        with reading(candidate) as new, reading(kept) as old, reading(temporary) as live:
            sizes = [db.pragma("page_size") for db in (new, old, live)]
        if sizes[0] != sizes[1]:
            return bool(sizes[2] == sizes[0])
        votes = sum(_votes(candidate, kept, temporary, sizes[0]))
        return votes >= 0
    finally:
        source.close()
        _remove(temporary)


def _votes(candidate: Path, kept: Path, live: Path, size: int) -> Iterator[int]:
    """One for each page that is the candidate's, minus one for each that is the kept file's."""
    with candidate.open("rb") as new, kept.open("rb") as old, live.open("rb") as now:
        for file in (new, old, now):
            file.seek(size)  # the first page holds counters
        while True:
            blocks = [file.read(size) for file in (new, old, now)]
            if not any(blocks[:2]):
                return
            if blocks[0] != blocks[1]:
                yield (blocks[2] == blocks[0]) - (blocks[2] == blocks[1])


def _remove(path: Path) -> None:
    for suffix in ("", *SIDECARS):
        sidecar(path, suffix).unlink(missing_ok=True)
