"""Registered storages that share a place: two of them are one copy, and what one deletes, both lose."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from dbadmin.exceptions import DbadminError, Refused, StorageError
from dbadmin.models import Storage
from dbadmin.storages.base import Storage as StorageBackend
from dbadmin.storages.twins import overlapping, seen_through
from dbadmin.text import Text

HINT = Text(
    "What two storages share is one copy. Give one of them another folder, bucket or prefix, or remove it from the "
    "dashboard; its archives stay."
)


def twin_of(place: StorageBackend, others: Iterable[Storage]) -> Storage | None:
    """Return the one of ``others`` that is the same place; ``StorageError`` when ``place`` cannot be written to."""
    return seen_through(place, _opened(others))


def pairs_among(storages: Sequence[Storage]) -> Iterator[tuple[Storage, Storage]]:
    """Yield each storage with a later one that it shares a place with; what cannot be written to is passed over."""
    for number, storage in enumerate(storages, start=1):
        with contextlib.suppress(DbadminError):
            if other := overlapping(storage.backend(), _opened(storages[number:])):
                yield storage, other


def require_alone(place: StorageBackend, *, itself: int | None = None) -> None:
    """Refuse what another storage is already, or lies in or around; ``itself`` as in ``shared_with``."""
    if (other := shared_with(place, itself=itself)) is not None:
        raise Refused(_taken(other.name), HINT)


def shared_with(place: StorageBackend, *, itself: int | None = None) -> Storage | None:
    """Return the storage that is there already, or lies in it or around; None also where nothing answers.

    ``itself``: the id of the storage that is to be there, where it has one.
    """
    others = [each for each in Storage.objects.registered().order_by("pk") if each.pk != itself]
    try:
        return overlapping(place, _opened(others))
    except DbadminError:  # whether it can be reached is its test's matter
        return None


def same_place(name: str, twin: Storage) -> StorageError:
    """Say that two are one, or one in the other, and what to do."""
    return StorageError(_same(name, twin.name), HINT)


def _taken(other: str) -> Text:
    return Text("This is the place of “{other}” already, or one lies in the other.", other=other)


def _same(name: str, other: str) -> Text:
    return Text(
        "“{name}” and “{other}” are the same place, or one lies in the other; nothing was touched.",
        name=name,
        other=other,
    )


# Problems of which a write that succeeds says nothing.
SHARED = (_taken("").msgid, _same("", "").msgid)


def is_shared(storage: Storage) -> bool:
    """Say whether it was last found to be the place of another one, so that what lies there is no copy of its own."""
    return storage.problem.msgid in SHARED


def _opened(others: Iterable[Storage]) -> Iterator[tuple[Storage, StorageBackend]]:
    for other in others:
        with contextlib.suppress(DbadminError):  # its secrets cannot be decrypted
            yield other, other.backend()
