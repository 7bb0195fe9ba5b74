"""Hand out an archive as it is stored, or as plain SQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dbadmin.archives.manifest import ARCHIVE_NAME
from dbadmin.archives.reader import unpack
from dbadmin.backups import spool
from dbadmin.backups.verify import mark_damaged, require_stored, trusted_manifest
from dbadmin.exceptions import CorruptArchive, Refused, StorageError
from dbadmin.models import Backup
from dbadmin.progress import Progress
from dbadmin.storages.base import CHUNK
from dbadmin.text import Text


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file to hand out. ``size`` in bytes; ``chunks`` can be read once, and cleans up behind itself."""

    name: str
    size: int
    chunks: Iterator[bytes]


def archive(backup: Backup) -> Download:
    """Return the tar straight from the storage; ``StorageError`` when it is not there or not as long as it was."""
    require_stored(backup)
    backend, key = backup.storage.backend(), f"{backup.key}/{ARCHIVE_NAME}"
    found = backend.stat(key)
    if found is None or found.size != backup.size:
        raise StorageError(
            Text("The storage has no archive “{key}” of {size} bytes.", key=key, size=backup.size),
            Text("It may have been moved, cut or deleted outside dbadmin. Choose another backup."),
        )
    return Download(name=f"{backup.key.replace('/', '-')}.tar", size=backup.size, chunks=backend.open(key))


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
    backend = backup.storage.backend()
    unpacked.mkdir(mode=0o700)
    try:
        unpack(backend, backup.key, trusted_manifest(backup, backend), unpacked, progress)
    except CorruptArchive:
        mark_damaged(backup)
        raise
    path = backup.database.adapter.export_sql(spool=unpacked, client_version=backup.client_version, progress=progress)
    if path is None:
        raise Refused(
            Text("{engine} has no plain SQL.", engine=backup.database.adapter.label), Text("Download the archive.")
        )
    return path


def _read(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK):
            yield chunk
