"""Registered storages that are the same place: two of them are one copy, and what one deletes, both lose."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from dbadmin.exceptions import DbadminError, Refused, StorageError
from dbadmin.models import Storage
from dbadmin.storages.base import Storage as StorageBackend
from dbadmin.storages.twins import seen_through
from dbadmin.text import Text

HINT = Text(
    "Two storages in one place are one copy. Give one of them another folder, bucket or prefix, or remove it from the "
    "dashboard; its archives stay."
)


def twin_of(place: StorageBackend, others: Iterable[Storage]) -> Storage | None:
    """Return the one of ``others`` that is the same place; ``StorageError`` when ``place`` cannot be written to."""
    return seen_through(place, _opened(others))


def pairs_among(storages: Sequence[Storage]) -> Iterator[tuple[Storage, Storage]]:
    """Yield each storage with a later one that is the same place; those that cannot be written to are passed over."""
    for number, storage in enumerate(storages, start=1):
        with contextlib.suppress(DbadminError):
            if twin := twin_of(storage.backend(), storages[number:]):
                yield storage, twin


def require_alone(place: StorageBackend, *, itself: int | None = None) -> None:
    """Refuse what another storage of the dashboard is already; whether it can be reached at all is its test's matter.

    ``itself``: the id of the storage that is to be there, where it has one.
    """
    others = [each for each in Storage.objects.registered().order_by("pk") if each.pk != itself]
    try:
        twin = twin_of(place, others)
    except DbadminError:
        return
    if twin is not None:
        raise Refused(Text("This is the place of “{other}” already.", other=twin.name), HINT)


def same_place(name: str, twin: Storage) -> StorageError:
    """Say that two are one, and what to do."""
    return StorageError(
        Text("“{name}” and “{other}” are the same place; nothing was touched.", name=name, other=twin.name), HINT
    )


def _opened(others: Iterable[Storage]) -> Iterator[tuple[Storage, StorageBackend]]:
    for other in others:
        with contextlib.suppress(DbadminError):  # its secrets cannot be decrypted
            yield other, other.backend()
