"""A folder that should have archives in it is only used where it has: elsewhere it is another one of the same name."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dbadmin.exceptions import StorageError
from dbadmin.storages.base import Storage, StoredObject
from dbadmin.text import Text


@dataclass(frozen=True)
class PresentFolder:
    """Passes everything through, unless ``folder`` is missing or empty although ``has_archives`` says otherwise.

    That is the folder of another machine, or the place of a disk that is not mounted. Writing there would scatter
    archives; reading would take all of them for vanished.
    """

    inner: Storage
    folder: Path
    has_archives: Callable[[], bool]

    def write(self, key: str, chunks: Iterable[bytes], *, expected_size: int | None = None) -> StoredObject:
        """Pass through."""
        return self._place.write(key, chunks, expected_size=expected_size)

    def open(self, key: str, *, offset: int = 0) -> Iterator[bytes]:
        """Pass through."""
        return self._place.open(key, offset=offset)

    def stat(self, key: str) -> StoredObject | None:
        """Pass through."""
        return self._place.stat(key)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Pass through."""
        return self._place.list(prefix)

    def delete(self, key: str) -> None:
        """Pass through."""
        self._place.delete(key)

    def discard(self, prefix: str) -> None:
        """Pass through: what is not there need not be removed."""
        self.inner.discard(prefix)

    def sweep(self, *, before: datetime) -> int | None:
        """Pass through."""
        return self._place.sweep(before=before)

    def free_bytes(self) -> int | None:
        """Pass through."""
        return self._place.free_bytes()

    @property
    def _place(self) -> Storage:
        if self._is_bare() and self.has_archives():
            raise StorageError(
                Text(
                    "The folder {folder} of this storage is missing or empty on {machine}, but has archives according "
                    "to the catalogue.",
                    folder=str(self.folder),
                    machine=socket.gethostname(),
                ),
                Text(
                    "It is another machine's, or its disk is not mounted. Several machines need a shared folder or "
                    "object storage, or a site for the databases. If you have emptied it yourself, put a file into it."
                ),
            )
        return self.inner

    def _is_bare(self) -> bool:
        """What cannot be looked into is left to the folder's own errors."""
        try:
            with os.scandir(self.folder) as entries:
                return next(entries, None) is None
        except FileNotFoundError:
            return True
        except OSError:
            return False
