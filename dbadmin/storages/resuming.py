"""Read on where a connection dropped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from dbadmin.exceptions import StorageUnreachable
from dbadmin.storages.base import CHUNK

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


def resuming(read: Callable[[int], Iterator[bytes]], *, offset: int) -> Iterator[bytes]:
    """Yield what ``read(offset)`` yields in chunks of at most ``CHUNK``, and after a drop go on where that was.

    Waits half a second, then longer, a minute in all, each time something came through anew. What cannot even be
    begun is not tried again: the storages themselves are patient with that.
    """
    position, failures = offset, 0
    while True:
        try:
            for chunk in read(position):
                for start in range(0, len(chunk), CHUNK):
                    piece = chunk[start : start + CHUNK]
                    position += len(piece)
                    failures = 0
                    yield piece
            return
        except StorageUnreachable:
            if position == offset or failures == len(PAUSES):
                raise
            time.sleep(PAUSES[failures])
            failures += 1
