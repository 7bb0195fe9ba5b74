"""A folder on this machine."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from dbadmin.digest import Digest
from dbadmin.exceptions import StorageError
from dbadmin.storages.base import CHUNK, TEMPORARY, StoredObject, is_temporary, require_name
from dbadmin.text import Text

# How much is written before the disk is asked to begin: less waits for the end, and less memory is taken from others.
AT_A_TIME = 1 << 24
WITHOUT_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EMLINK)


class LocalStorage:
    """Keep archives under ``root``, which is made when it is missing, readable by its owner only."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, key: str, chunks: Iterable[bytes], *, expected_size: int | None = None) -> StoredObject:
        """Write beside, fsync, link under the final name, fsync the folder."""
        path = self._path(key)
        temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
        with _sentences(key):
            _make_folder(path.parent)
        try:
            digest = _write_synced(temporary, chunks, key=key)
            with _sentences(key):
                _publish(temporary, path)
        finally:
            with _sentences(key):
                temporary.unlink(missing_ok=True)
        with _sentences(key):
            _sync_folder(path.parent)
            return replace(_stored(key, path), sha256=digest)

    def open(self, key: str, *, offset: int = 0) -> Iterator[bytes]:
        """Yield the file from ``offset``."""
        with _sentences(key), self._path(key).open("rb") as file:
            file.seek(offset)
            while chunk := file.read(CHUNK):
                yield chunk

    def stat(self, key: str) -> StoredObject | None:
        """Return size and time, or None."""
        return _found(key, self._path(key))

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Walk the folder of ``prefix``; files that are still being written are left out."""
        folder, slash, _name = prefix.rpartition("/")
        with _sentences(prefix):
            paths = (self._path(folder) if slash else self.root).rglob("*")
            keys = sorted(path.relative_to(self.root).as_posix() for path in paths)
        for key in keys:
            if (
                key.startswith(prefix)
                and not is_temporary(key)
                and _is_text(key)
                and (found := _found(key, self.root / key))
            ):
                yield found

    def delete(self, key: str) -> None:
        """Remove the file, and its folder when that is empty then."""
        path = self._path(key)
        with _sentences(key):
            path.unlink(missing_ok=True)
            if path.parent != self.root and path.parent.is_dir() and not any(path.parent.iterdir()):
                path.parent.rmdir()

    def discard(self, prefix: str) -> None:
        """Remove the folder and everything in it."""
        path = self._path(prefix)
        with _sentences(prefix):
            if path.is_dir():
                shutil.rmtree(path)

    def sweep(self, *, before: datetime) -> int | None:
        """Remove half written files that nobody has written to since ``before``."""
        with _sentences(""):
            old = [path for path in self.root.rglob(f"{TEMPORARY}*") if path.stat().st_mtime < before.timestamp()]
            for path in old:
                path.unlink(missing_ok=True)
        return len(old)

    def free_bytes(self) -> int | None:
        """Return what the file system has left for this user."""
        folder = next(folder for folder in (self.root, *self.root.parents) if folder.exists())
        return shutil.disk_usage(folder).free

    def _path(self, key: str) -> Path:
        return self.root / require_name(key)


def _make_folder(folder: Path) -> None:
    """Make the folder and those above it, all for the owner only (``mkdir`` gives the mode to the last one alone)."""
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


def _publish(temporary: Path, path: Path) -> None:
    """Give a complete file its name; ``FileExistsError`` when the name is taken, which a rename would not notice."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in WITHOUT_LINKS:
            raise
        # exFAT, some FUSE and SMB mounts have no hard links: reserve the name, then replace our own empty file.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        os.rename(temporary, path)


def _write_synced(path: Path, chunks: Iterable[bytes], *, key: str) -> str:
    """Write a new file to the disk and return its hash. Errors of ``chunks`` are not about the storage, and pass."""
    digest = Digest()
    with _sentences(key):
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    begun = 0
    try:
        for chunk in chunks:
            digest.update(chunk)
            with _sentences(key):
                file.write(chunk)
                if file.tell() - begun >= AT_A_TIME:
                    begun = _begin_writing(file, begun)
        with _sentences(key):
            file.flush()
            os.fsync(file.fileno())
    finally:
        with _sentences(key):  # on a full disk closing fails, too
            file.close()
    return digest.hexdigest()


def _begin_writing(file: IO[bytes], begun: int) -> int:
    """Have the kernel write what was added since ``begun`` while more comes; return how far that is."""
    file.flush()
    written = file.tell()
    if sys.platform == "linux":
        with suppress(OSError):
            os.posix_fadvise(file.fileno(), begun, written - begun, os.POSIX_FADV_DONTNEED)
    return written


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_text(key: str) -> bool:
    """Say whether a name can be shown and stored; a file system takes any bytes, and we never write others."""
    try:
        return bool(key.encode())
    except UnicodeEncodeError:
        return False


def _found(key: str, path: Path) -> StoredObject | None:
    with _sentences(key):
        try:
            return _stored(key, path) if path.is_file() else None
        except FileNotFoundError:  # it went in between
            return None


def _stored(key: str, path: Path) -> StoredObject:
    stat = path.stat()
    return StoredObject(key=key, size=stat.st_size, modified=datetime.fromtimestamp(stat.st_mtime, UTC))


@contextmanager
def _sentences(key: str) -> Iterator[None]:
    """Turn what the operating system says into what an administrator can act on."""
    try:
        yield
    except FileNotFoundError as error:
        raise StorageError(
            Text("The storage has no “{key}”.", key=key),
            Text("It may have been moved or deleted outside dbadmin."),
        ) from error
    except FileExistsError as error:
        raise StorageError(Text("The storage already has “{key}”; it is not replaced.", key=key)) from error
    except OSError as error:
        raise StorageError(
            Text("“{key}” could not be stored or read: {reason}.", key=key, reason=error.strerror or str(error)),
            Text("Check that the storage's folder exists, may be written and has free space."),
        ) from error
