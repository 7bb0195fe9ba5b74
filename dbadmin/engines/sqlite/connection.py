"""Reading a SQLite file without ever changing it, and saying in sentences why that fails."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import apsw

from dbadmin.exceptions import ConnectionFailed, DbadminError, StorageError, ValidationFailed
from dbadmin.text import Text

MAGIC = b"SQLite format 3\0"
SIDECARS = ("-wal", "-shm", "-journal")
BUSY_SECONDS = 5.0
_NAP_SECONDS = 0.001

T = TypeVar("T")


@dataclass(frozen=True)
class SQLiteConnection:
    """A database file. The path is absolute."""

    path: Path

    @property
    def address(self) -> str:
        """The path."""
        return str(self.path)


def sidecar(path: Path, suffix: str) -> Path:
    """Return the file that SQLite keeps beside a database, such as ``-wal``."""
    return path.with_name(path.name + suffix)


def header(path: Path) -> bytes:
    """Return the first 100 bytes; shorter when the file is.

    Not while this process has a connection to the file: closing a descriptor drops the locks of them all.
    """
    with path.open("rb") as file:
        return file.read(100)


def journal_mode(head: bytes, asked: str) -> str:
    """Return the journal mode; a file that was opened as immutable answers ``delete`` although it is in WAL mode."""
    return "wal" if head[18:20] == b"\2\2" else asked


def written_by(head: bytes) -> str:
    """Return the version of the SQLite that wrote a file last, as its header has it; empty when it does not say."""
    number = int.from_bytes(head[96:100], "big")
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}" if number else ""


def opened(path: Path, *, immutable: bool = False) -> apsw.Connection:
    """Open for reading only; never makes a file. ``immutable`` takes no locks and looks at no write-ahead log."""
    uri = "file://" + quote(os.fsencode(path)) + ("?mode=ro&immutable=1" if immutable else "?mode=ro")
    connection = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    connection.set_busy_handler(_patience())
    connection.execute("PRAGMA query_only=1")
    return connection


def _patience() -> Callable[[int], bool]:
    """Wait in short naps: SQLite's own handler sleeps longer and longer, and a busy writer's gaps are brief."""
    began = 0.0

    def again(tries: int) -> bool:
        nonlocal began
        now = time.monotonic()
        began = began if tries else now
        time.sleep(_NAP_SECONDS)
        return now - began < BUSY_SECONDS

    return again


def read(path: Path, work: Callable[[apsw.Connection], T]) -> T:
    """Run ``work`` on a connection inside one read transaction and return its answer. ``work`` may run twice.

    A database in WAL mode that nobody has open is read as immutable: SQLite would leave ``-wal`` and ``-shm``
    behind that belong to us, and its application may not be allowed to write those. When the file turns out to
    have been used meanwhile, the answer is thrown away and ``work`` runs again in the usual way.
    """
    with sentences(path):
        if not _idle_wal(path):
            return _with(path, work, immutable=False)
        before = _stamp(path)
        try:
            answer = _with(path, work, immutable=True)
        except (apsw.Error, DbadminError):
            if _stamp(path) == before:
                raise
        else:
            if _stamp(path) == before:
                return answer
        return _with(path, work, immutable=False)


def _with(path: Path, work: Callable[[apsw.Connection], T], *, immutable: bool) -> T:
    if not immutable:
        _refuse_recovery(path)
    connection = opened(path, immutable=immutable)
    try:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()  # takes the snapshot now
        return work(connection)
    finally:
        connection.close()


def _idle_wal(path: Path) -> bool:
    return journal_mode(header(path), "") == "wal" and not os.path.lexists(sidecar(path, "-wal"))


def _stamp(path: Path) -> tuple[int, ...]:
    stat = path.stat()
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns, os.path.lexists(sidecar(path, "-wal")))


def _refuse_recovery(path: Path) -> None:
    """A write-ahead log without its index belongs to a crash; whoever opens it makes the index and owns it."""
    wal = sidecar(path, "-wal")
    stranger = os.geteuid() not in (0, path.stat().st_uid)
    if stranger and wal.exists() and wal.stat().st_size and not sidecar(path, "-shm").exists():
        raise ConnectionFailed(
            Text("“{path}” has a write-ahead log that nobody has recovered since its last user ended.", path=str(path)),
            Text("Start its application once, or run dbadmin as the user who owns the file."),
        )


@contextmanager
def sentences(path: Path) -> Iterator[None]:
    """Turn what SQLite and the operating system say about ``path`` into what an administrator can act on."""
    try:
        yield
    except apsw.Error as error:
        raise explained(path, error) from error
    except OSError as error:
        raise unreadable(path, error) from error


def explained(path: Path, error: apsw.Error) -> DbadminError:
    """Return the sentence for an error of SQLite."""
    name, reason = str(path), str(error)
    if isinstance(error, apsw.NotADBError):
        return not_sqlite(path)
    if isinstance(error, apsw.CorruptError):
        return damaged(path, reason)
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return ConnectionFailed(
            Text("“{path}” is locked by another program.", path=name),
            Text("Wait until its writing transaction ends, or find the program that holds it open."),
            stage="lock",
        )
    if isinstance(error, apsw.FullError):
        return disk_full(path)
    if isinstance(error, (apsw.ReadOnlyError, apsw.CantOpenError, apsw.PermissionsError)):
        return ConnectionFailed(
            Text("“{path}” cannot be read without writing beside it: {reason}.", path=name, reason=reason),
            Text(
                "A transaction was left unfinished, or its write-ahead log needs a folder that may be written. "
                "Start its application once, or run dbadmin as the user who owns the file."
            ),
            stage="open",
        )
    if isinstance(error, apsw.IOError):
        return ConnectionFailed(
            Text("“{path}” could not be read or written: {reason}.", path=name, reason=reason),
            Text("Check the disk, its free space and, for a network file system, the connection to it."),
            stage="open",
        )
    return ValidationFailed(Text("SQLite refused to work with “{path}”: {reason}.", path=name, reason=reason))


def not_sqlite(path: Path) -> ValidationFailed:
    """Return the sentence for a file that is something else."""
    return ValidationFailed(
        Text("“{path}” is not a SQLite database.", path=str(path)),
        Text("Check the path. An encrypted database cannot be read either."),
    )


def damaged(path: Path, reason: str) -> ValidationFailed:
    """Return the sentence for a database whose content contradicts itself."""
    return ValidationFailed(
        Text("“{path}” is damaged: {reason}", path=str(path), reason=reason),
        Text(
            "Keep the file as it is, look for the cause (disk, copied while in use), and restore the last good backup."
        ),
    )


def disk_full(path: Path) -> StorageError:
    """Return the sentence for a disk without space."""
    return StorageError(
        Text("The disk that holds “{folder}” is full.", folder=str(path.parent)),
        Text("Free some space and try again; nothing partial was left."),
    )


def unreadable(path: Path, error: OSError) -> DbadminError:
    """Return the sentence for an error of the operating system."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full(path)
    if isinstance(error, FileNotFoundError):
        return ConnectionFailed(
            Text("There is no file “{path}”.", path=str(path)),
            Text("Check the path; dbadmin never makes a database that is missing."),
            stage="file",
        )
    if isinstance(error, PermissionError):
        return ConnectionFailed(
            Text("“{path}” may not be read.", path=str(path)),
            Text("Give the user that dbadmin runs as the right to read the file and to enter its folder."),
            stage="file",
        )
    return ConnectionFailed(
        Text("“{path}” cannot be read: {reason}.", path=str(path), reason=error.strerror or str(error)),
        Text("Check the disk, its free space and, for a network file system, the connection to it."),
        stage="file",
    )
