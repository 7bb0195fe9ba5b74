"""Where archives are kept: the five verbs of every storage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Protocol

from dbadmin.digest import Digest
from dbadmin.exceptions import StorageError
from dbadmin.text import Text

CHUNK = 1 << 20
# The last part of the name of everything that is not an object yet; never listed.
TEMPORARY = ".partial-"


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """An object as the storage has it. ``key`` is relative to the storage's root, with forward slashes.

    ``sha256`` is of what is stored, in hexadecimal; empty where the storage does not know it.
    """

    key: str
    size: int
    modified: datetime
    sha256: str = ""


class Storage(Protocol):
    """Keys are relative, never begin with a slash and never contain ``..``; every method refuses others.

    Every method raises ``StorageError`` with a sentence that names the key and the cause.
    """

    def write(self, key: str, chunks: Iterable[bytes], *, expected_size: int | None = None) -> StoredObject:
        """Store an object atomically: until it is complete and on disk nobody sees it.

        An exception from ``chunks`` passes through and leaves nothing behind. Refuses to replace an object. Of several
        writers of one key at the same time one at most succeeds. ``expected_size``: about how many bytes will come,
        for storages that have to choose the size of their parts beforehand. The answer has the ``sha256``.
        """
        ...

    def open(self, key: str, *, offset: int = 0) -> Iterator[bytes]:
        """Yield the object's bytes from ``offset`` in chunks of at most ``CHUNK`` bytes.

        A connection that drops is taken up again where it broke off, a few times, before ``StorageError``.
        """
        ...

    def stat(self, key: str) -> StoredObject | None:
        """Return the object, or None when there is none."""
        ...

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the complete objects whose key begins with ``prefix``, sorted by key."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        ...

    def discard(self, prefix: str) -> None:
        """Remove every object below the folder ``prefix``, also what an interrupted write left half there."""
        ...

    def sweep(self, *, before: datetime) -> int | None:
        """Remove what writers that died left half written before that moment, and return how many things it was.

        None where the storage cannot be asked for them: then a rule of the bucket has to remove them.
        """
        ...

    def free_bytes(self) -> int | None:
        """Return how much can still be stored, or None where that is not known."""
        ...


class Counted:
    """A stream of chunks that is hashed and counted as it goes by."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._digest = Digest()
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._digest.update(chunk)
            self.size += len(chunk)
            yield chunk

    @property
    def sha256(self) -> str:
        """The hash of what went by, in hexadecimal."""
        return self._digest.hexdigest()


def require_name(key: str) -> str:
    """Return ``key`` if it names something inside a storage that every kind of storage can hold."""
    parts = key.split("/")
    if (
        parts[-1].startswith(TEMPORARY)
        or any(part in ("", ".", "..") for part in parts)
        or any(ord(each) < 32 for each in key)
    ):
        raise StorageError(Text("“{key}” is not a name inside the storage.", key=key))
    return key


def is_temporary(key: str) -> bool:
    """Say whether the name belongs to something that is being written."""
    return PurePosixPath(key).name.startswith(TEMPORARY)
