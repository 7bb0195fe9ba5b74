"""Two storages that are one place, by a link, another name of the server or a share: what one deletes, both lose."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable
from typing import TypeVar

from dbadmin.exceptions import DbadminError
from dbadmin.storages.base import Storage
from dbadmin.storages.local import LocalStorage
from dbadmin.storages.probe import bare

Named = TypeVar("Named")


def seen_through(place: Storage, others: Iterable[tuple[Named, Storage]]) -> Named | None:
    """Write a little to ``place``, return the first of ``others`` that shows it, and remove it again.

    Raises ``StorageError`` when ``place`` cannot be written to; others that do not answer are passed over. A folder
    that is not there is no place of anybody's.
    """
    place, waiting = bare(place), [(name, bare(other)) for name, other in others]
    if not waiting or (isinstance(place, LocalStorage) and not place.root.is_dir()):
        return None
    key = f"dbadmin-probe-{secrets.token_hex(8)}/object"
    place.write(key, [b"dbadmin"])
    try:
        return next((name for name, other in waiting if _shows(other, key)), None)
    finally:
        place.delete(key)


def _shows(other: Storage, key: str) -> bool:
    with contextlib.suppress(DbadminError):
        return other.stat(key) is not None
    return False
