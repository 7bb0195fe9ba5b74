"""Let one writer at a time give an object its name, in storages that would replace what is there without a word."""

from __future__ import annotations

import contextlib
import hashlib
import random
import secrets
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Protocol

from dbadmin.exceptions import StorageError
from dbadmin.storages.base import TEMPORARY, StoredObject
from dbadmin.storages.reasons import taken
from dbadmin.text import Text

PATIENCE_SECONDS = 60.0
# A name is claimed for as long as its object is completed. Whoever has not done that in an hour has died.
STALE = timedelta(hours=1)


class Place(Protocol):
    """What a storage has to be able to do: what is listed and looked up was really there a moment ago."""

    def mark(self, name: str, *, about: str) -> None:
        """Store a few bytes under that name; errors are about the object."""
        ...

    def marks(self, folder: str) -> list[StoredObject]:
        """Return what lies in the folder, temporary names too."""
        ...

    def has(self, key: str) -> bool:
        """Say whether there is a complete object."""
        ...

    def unmark(self, name: str) -> None:
        """Remove a mark."""
        ...


@contextlib.contextmanager
def sole_writer(place: Place, key: str) -> Iterator[None]:
    """Run the block while nobody else is giving an object the name ``key``; raises when the name is taken.

    Each writer leaves a mark of its own, then looks. Of two at least the later one to look sees the other's mark and
    steps back, so never both go on. The object is looked up after the marks: a writer that has gone has left it.
    """
    patient_until = time.monotonic() + PATIENCE_SECONDS
    while True:
        with _marked(place, key) as mark:
            alone = _is_alone(place, mark)
            if place.has(key):
                raise taken(key)
            if alone:
                yield
                return
        if time.monotonic() > patient_until:
            raise StorageError(
                Text("Somebody else is just storing “{key}”.", key=key),
                Text("If that writer has died, the name is free again after an hour."),
            )
        time.sleep(random.uniform(0.05, 1.0))  # noqa: S311


@contextlib.contextmanager
def _marked(place: Place, key: str) -> Iterator[str]:
    mark = f"{_stem(key)}{secrets.token_hex(8)}"
    place.mark(mark, about=key)
    try:
        yield mark
    finally:
        # A mark that stays does no harm: the object is there or not, and after an hour nobody heeds the mark.
        with contextlib.suppress(StorageError):
            place.unmark(mark)


def _is_alone(place: Place, mark: str) -> bool:
    folder, _slash, _name = mark.rpartition("/")
    found = {each.key: each.modified for each in place.marks(folder) if each.key.startswith(mark[:-16])}
    mine = found.pop(mark, None)
    return mine is not None and all(modified < mine - STALE for modified in found.values())


def _stem(key: str) -> str:
    folder, slash, name = key.rpartition("/")
    return f"{folder}{slash}{TEMPORARY}claim-{hashlib.sha256(name.encode()).hexdigest()[:16]}-"
