"""A storage that takes no more of the line than it may."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from dbadmin.storages.base import CHUNK, Storage, StoredObject

_PER_SECOND = 10


@dataclass(frozen=True)
class LimitedStorage:
    """Write and read at most ``bytes_per_second`` each, per object on its way; everything else passes through."""

    inner: Storage
    bytes_per_second: int

    def write(self, key: str, chunks: Iterable[bytes], *, expected_size: int | None = None) -> StoredObject:
        """Write at the limited pace."""
        return self.inner.write(key, paced(chunks, self.bytes_per_second), expected_size=expected_size)

    def open(self, key: str, *, offset: int = 0) -> Iterator[bytes]:
        """Read at the limited pace."""
        return paced(self.inner.open(key, offset=offset), self.bytes_per_second)

    def stat(self, key: str) -> StoredObject | None:
        """Pass through."""
        return self.inner.stat(key)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Pass through."""
        return self.inner.list(prefix)

    def delete(self, key: str) -> None:
        """Pass through."""
        self.inner.delete(key)

    def discard(self, prefix: str) -> None:
        """Pass through."""
        self.inner.discard(prefix)

    def sweep(self, *, before: datetime) -> int | None:
        """Pass through."""
        return self.inner.sweep(before=before)

    def free_bytes(self) -> int | None:
        """Pass through."""
        return self.inner.free_bytes()


def paced(chunks: Iterable[bytes], bytes_per_second: int) -> Iterator[bytes]:
    """Yield the same bytes, in small pieces, no faster than that; a pause of the source is not caught up on."""
    piece_size = max(1, min(CHUNK, bytes_per_second // _PER_SECOND))
    due = time.monotonic()
    for chunk in chunks:
        for start in range(0, len(chunk), piece_size):
            piece = chunk[start : start + piece_size]
            time.sleep(max(0.0, due - time.monotonic()))
            due = max(due, time.monotonic() - 1 / _PER_SECOND) + len(piece) / bytes_per_second
            yield piece
