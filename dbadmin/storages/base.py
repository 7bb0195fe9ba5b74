"""Where archives are kept: the five verbs of every storage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """An object as the storage has it. ``key`` is relative to the storage's root, with forward slashes."""

    key: str
    size: int
    modified: datetime


class Storage(Protocol):
    """Keys are relative, never begin with a slash and never contain ``..``; every method refuses others.

    Every method raises ``StorageError`` with a sentence that names the key and the cause.
    """

    def write(self, key: str, chunks: Iterable[bytes]) -> StoredObject:
        """Store an object atomically: until it is complete and on disk nobody sees it.

        An exception from ``chunks`` passes through and leaves nothing behind. Refuses to replace an object.
        """
        ...

    def open(self, key: str, *, offset: int = 0) -> Iterator[bytes]:
        """Yield the object's bytes from ``offset`` in chunks of at most ``CHUNK`` bytes."""
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

    def free_bytes(self) -> int | None:
        """Return how much can still be stored, or None where that is not known."""
        ...
