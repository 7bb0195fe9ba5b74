"""Hand out an archive as it is stored, or as plain SQL."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dbadmin.archives.encryption import SUFFIX, EncryptedStorage
from dbadmin.archives.manifest import ARCHIVE_NAME
from dbadmin.backups import spool
from dbadmin.backups.reading import read, require_stored, unpack
from dbadmin.exceptions import Refused, StorageError
from dbadmin.models import Backup, Copy
from dbadmin.progress import Progress
from dbadmin.storages.base import CHUNK
from dbadmin.storages.base import Storage as StorageBackend
from dbadmin.text import Text


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file to hand out. ``size`` in bytes; ``chunks`` can be read once, and cleans up behind itself."""

    name: str
    size: int
    chunks: Iterator[bytes]


def archive(backup: Backup) -> Download:
    """Return the tar straight from the storage; ``StorageError`` when it is not there or not as long as it was.

    Without the private key it is what is stored, a tar.age, for whoever has the key elsewhere.
    """
    key, name = f"{backup.key}/{ARCHIVE_NAME}", f"{backup.key.replace('/', '-')}.tar"

    def opened(copy: Copy, backend: StorageBackend) -> Download:
        found = backend.stat(key)
        if found is None or found.size != copy.size:
            raise StorageError(
                Text("The storage has no archive “{key}” of {size} bytes.", key=key, size=copy.size),
                Text("It may have been moved, cut or deleted outside dbadmin. Choose another backup."),
            )
        if isinstance(backend, EncryptedStorage) and copy.recipients and not backend.can_open(key):
            return Download(name=f"{name}{SUFFIX}", size=copy.size, chunks=begun(backend.open_sealed(key)))
        return Download(name=name, size=backup.size, chunks=begun(backend.open(key)))

    return read(backup, opened)


def plain_sql(backup: Backup, progress: Progress) -> Path:
    """Turn the archive into one SQL file and return its path, alone in a spool folder.

    The caller removes the folder, ``path.parent``; ``stream`` does. ``Refused`` where the engine has no SQL.
    """
    require_stored(backup)
    folder = spool.make()
    try:
        path = _export(backup, folder / "dump", progress)
        path = path.rename(folder / path.name)
        shutil.rmtree(folder / "dump")
        return path
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def stream(path: Path) -> Download:
    """Hand out what ``plain_sql`` returned, and remove it at once: an open file outlives its name.

    So nothing is left when the reader goes away half-way, or never begins to read.
    """
    file = path.open("rb")
    size = path.stat().st_size
    shutil.rmtree(path.parent, ignore_errors=True)
    return Download(name=path.name, size=size, chunks=_read(file))


def _export(backup: Backup, unpacked: Path, progress: Progress) -> Path:
    unpack(backup, unpacked, progress)
    path = backup.database.adapter.export_sql(spool=unpacked, client_version=backup.client_version, progress=progress)
    if path is None:
        raise Refused(
            Text("{engine} has no plain SQL.", engine=backup.database.adapter.label), Text("Download the archive.")
        )
    return path


def begun(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Have the first chunk read now, while there is still another copy to go to."""
    first = next(chunks, b"")
    return itertools.chain((first,), chunks)


def _read(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK):
            yield chunk
