"""Let one writer at a time give an object its name, in storages that would replace what is there without a word."""

from __future__ import annotations

import contextlib
import hashlib
import random
import secrets
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
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

    Each writer leaves a mark of its own, then looks. Of two at least the later one to look sees the other's mark, so
    never both go on. The one whose mark sorts first keeps it and looks again, the others take theirs away until it has
    gone: however slow the storage is, somebody gets on. The object is looked up after the marks: a writer that has
    gone has left it.
    """
    mark = f"{_stem(key)}{secrets.token_hex(8)}"
    patient_until = time.monotonic() + PATIENCE_SECONDS
    while True:
        with _marked(place, mark, about=key):
            if not (ahead := _ahead(place, key, mark, patient_until)):
                yield
                return
        while ahead & _marks(place, mark).keys():
            _pause(key, patient_until)


@contextlib.contextmanager
def _marked(place: Place, mark: str, *, about: str) -> Iterator[None]:
    place.mark(mark, about=about)
    try:
        yield
    finally:
        # A mark that stays does no harm: the object is there or not, and after an hour nobody heeds the mark.
        with contextlib.suppress(StorageError):
            place.unmark(mark)


def _ahead(place: Place, key: str, mark: str, patient_until: float) -> set[str]:
    """Wait for the marks that sort behind ours to go; return those before it, none when we are alone."""
    while True:
        found = _marks(place, mark)
        if place.has(key):
            raise taken(key)
        mine = found.pop(mark, None)
        others = {name for name, modified in found.items() if mine is None or modified >= mine - STALE}
        if mine is not None and (not others or min(others) < mark):
            return {name for name in others if name < mark}
        _pause(key, patient_until)


def _marks(place: Place, mark: str) -> dict[str, datetime]:
    folder, _slash, _name = mark.rpartition("/")
    return {each.key: each.modified for each in place.marks(folder) if each.key.startswith(mark[:-16])}


def _pause(key: str, patient_until: float) -> None:
    if time.monotonic() > patient_until:
        raise StorageError(
            Text("Somebody else is just storing “{key}”.", key=key),
            Text("If that writer has died, the name is free again after an hour."),
        )
    time.sleep(random.uniform(0.05, 1.0))  # noqa: S311


def _stem(key: str) -> str:
    folder, slash, name = key.rpartition("/")
    return f"{folder}{slash}{TEMPORARY}claim-{hashlib.sha256(name.encode()).hexdigest()[:16]}-"
