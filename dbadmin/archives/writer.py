"""Turn a folder of dumped files into one stored tar, hashing on the way."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dbadmin.archives.manifest import ARCHIVE_NAME, Member
from dbadmin.digest import Digest
from dbadmin.progress import Progress
from dbadmin.space import GiveBack
from dbadmin.storages.base import CHUNK, Storage, StoredObject
from dbadmin.text import Text

BLOCK = tarfile.BLOCKSIZE


@dataclass
class ArchiveWriter:
    """Streams every file under ``spool`` into ``<prefix>/backup.tar`` in constant memory.

    After ``write`` returned, ``members``, ``size`` and ``sha256`` describe what was stored. An exception leaves
    nothing in the storage. With ``once`` each file is removed as it is read, and what it takes is given back; after an
    exception, too, there is nothing left to be stored then.
    """

    spool: Path
    progress: Progress
    attributes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    once: bool = False
    members: list[Member] = field(default_factory=list)
    size: int = 0

    def __post_init__(self) -> None:
        self._whole, self._room = Digest(), GiveBack()
        self._files = sorted(path for path in self.spool.rglob("*") if path.is_file())

    @property
    def sha256(self) -> str:
        """The hash of the whole tar, in hexadecimal."""
        return self._whole.hexdigest()

    def write(self, storage: Storage, prefix: str) -> StoredObject:
        """Store the archive; raises ``StorageError`` or ``Cancelled`` and then leaves nothing behind."""
        total = sum(path.stat().st_size for path in self._files)
        self.progress.phase(Text("Storing the archive"), total=total)
        return storage.write(
            f"{prefix}/{ARCHIVE_NAME}", self._measured(), expected_size=total + (len(self._files) + 2) * BLOCK
        )

    def _measured(self) -> Iterator[bytes]:
        for chunk in self._tar():
            self._whole.update(chunk)
            self.size += len(chunk)
            self.progress.update(self.size)
            self.progress.check()
            yield chunk

    def _tar(self) -> Iterator[bytes]:
        for path in self._files:
            yield from self._member(path)
        yield bytes(2 * BLOCK)

    def _member(self, path: Path) -> Iterator[bytes]:
        name = path.relative_to(self.spool).as_posix()
        header = tarfile.TarInfo(name)
        header.size, header.mode = path.stat().st_size, 0o600
        header.mtime = int(path.stat().st_mtime)
        yield header.tobuf(tarfile.PAX_FORMAT)
        digest = Digest()
        for chunk in self._read(path):
            digest.update(chunk)
            yield chunk
        yield bytes(-header.size % BLOCK)
        self.members.append(
            Member(
                name=name,
                size=header.size,
                sha256=digest.hexdigest(),
                attributes=self.attributes.get(name, {}),
            )
        )

    def _read(self, path: Path) -> Iterator[bytes]:
        # A file that has another name, too, is somebody's.
        is_ours = self.once and not path.is_symlink() and path.stat().st_nlink == 1
        with path.open("r+b" if is_ours else "rb", buffering=0) as file:
            if is_ours:
                path.unlink()  # nobody shall read zeros by mistake
            while chunk := file.read(CHUNK):
                if is_ours and len(chunk) == CHUNK:
                    self._room.free(file.fileno(), file.tell() - CHUNK, CHUNK)
                yield chunk
