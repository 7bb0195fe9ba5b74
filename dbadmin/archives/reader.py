"""Read a stored archive back and believe nothing that does not match its manifest."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from dbadmin.archives.manifest import ARCHIVE_NAME, LARGEST, MANIFEST_NAME, Manifest
from dbadmin.archives.sound import is_inside
from dbadmin.digest import Digest
from dbadmin.exceptions import CorruptArchive, Refused
from dbadmin.progress import Progress
from dbadmin.storages.base import CHUNK, Storage
from dbadmin.text import Text


def read_manifest(storage: Storage, prefix: str) -> Manifest:
    """Return the manifest stored beside the archive; ``StorageError`` or ``CorruptArchive`` when it is none.

    No more of it is read than a manifest can have: whoever can write into the storage could put anything there.
    """
    content = bytearray()
    for chunk in storage.open(f"{prefix}/{MANIFEST_NAME}"):
        content += chunk
        if len(content) > LARGEST:
            raise CorruptArchive(
                Text("“{key}” is larger than {most} MB; no manifest is.",
                     key=f"{prefix}/{MANIFEST_NAME}", most=LARGEST // 1_000_000),
                Text("Somebody put something else in its place. Restore another backup; see who may write there."),
            )  # fmt: skip
    return Manifest.from_bytes(bytes(content))


def verify(storage: Storage, prefix: str, manifest: Manifest, progress: Progress) -> None:
    """Re-read the stored archive and compare every hash; raises ``CorruptArchive`` naming what differs."""
    progress.phase(Text("Checking the archive"), total=manifest.archive_size)
    _walk(storage, prefix, manifest, progress, lambda name: None)


def unpack(storage: Storage, prefix: str, manifest: Manifest, into: Path, progress: Progress) -> None:
    """Write the archive's members below ``into``, which exists and is empty, checking every hash.

    Nothing may be used before this returned: the last hash is compared at the end. Raises ``CorruptArchive``,
    ``StorageError``, or ``Refused`` when ``into`` has too little space.
    """
    _require_space(into, sum(member.size for member in manifest.members))
    progress.phase(Text("Unpacking and checking the archive"), total=manifest.archive_size)

    def target(name: str) -> Path:
        path = into / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    _walk(storage, prefix, manifest, progress, target)


def _walk(
    storage: Storage,
    prefix: str,
    manifest: Manifest,
    progress: Progress,
    target: Callable[[str], Path | None],
) -> None:
    expected = {member.name: member for member in manifest.members}
    for name in expected:
        if not is_inside(name):
            raise _corrupt(Text("“{name}” is no name of a file inside an archive.", name=name))
    stream = _HashedStream(storage.open(f"{prefix}/{ARCHIVE_NAME}"), progress)
    try:
        with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK) as tar:
            for info in tar:
                member = expected.pop(info.name, None)
                if member is None or not info.isreg() or info.size != member.size:
                    raise _corrupt(Text("“{name}” is not as the manifest has it.", name=info.name))
                if _copy(tar.extractfile(info), target(info.name)) != member.sha256:
                    raise _corrupt(Text("The content of “{name}” has changed.", name=info.name))
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise _corrupt(Text("The archive is damaged: {reason}.", reason=str(error))) from error
    stream.drain()
    if expected:
        raise _corrupt(Text("“{name}” is missing.", name=min(expected)))
    if stream.sha256 != manifest.archive_sha256 or stream.size != manifest.archive_size:
        raise _corrupt(Text("The archive as a whole has changed."))


def _copy(source: IO[bytes] | None, target: Path | None) -> str:
    assert source is not None
    digest = hashlib.sha256()
    with target.open("xb") if target else io.BytesIO() as sink:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            if target:
                sink.write(chunk)
    return digest.hexdigest()


def _corrupt(what: Text) -> CorruptArchive:
    return CorruptArchive(
        Text("The archive does not match its manifest. {what}", what=what),
        Text("Choose another backup, and check the disk this one is kept on. Nothing was changed."),
    )


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise Refused(
            Text(
                "Unpacking needs {needed} MB in {folder}, which has {free} MB free.",
                needed=needed // 1_000_000 + 1,
                folder=str(folder),
                free=free // 1_000_000,
            ),
            Text("Free some space, or set DBADMIN_HOME to a larger disk."),
        )


class _HashedStream(io.RawIOBase):
    """The file object that tarfile wants, over the storage's chunks, hashing everything that passes."""

    def __init__(self, chunks: Iterator[bytes], progress: Progress) -> None:
        self._chunks = chunks
        self._progress = progress
        self._rest = b""
        self._digest = Digest()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._rest) < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._take(chunk)
            self._rest += chunk
        size = len(self._rest) if size < 0 else size
        answer, self._rest = self._rest[:size], self._rest[size:]
        return answer

    def drain(self) -> None:
        """Read what tarfile left unread, so that the hash covers the whole object."""
        for chunk in self._chunks:
            self._take(chunk)

    def _take(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        self.size += len(chunk)
        self._progress.update(self.size)
        self._progress.check()
