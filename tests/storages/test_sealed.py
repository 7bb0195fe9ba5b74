"""An encrypted storage keeps the promises of the place it is in, whatever that is."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from dbadmin.archives.age import new_identity
from dbadmin.archives.encryption import EncryptedStorage, sealed_size
from tests.storages.places import Place

IDENTITY, RECIPIENT = new_identity()
CONTENT = os.urandom(9 << 20)


def sealed(place: Place) -> EncryptedStorage:
    return EncryptedStorage(place.storage(), recipients=[RECIPIENT], identities=lambda: [IDENTITY])


def pieces() -> Iterator[bytes]:
    for start in range(0, len(CONTENT), 1 << 20):
        yield CONTENT[start : start + (1 << 20)]


def test_what_was_sealed_is_read_back_from_anywhere(place: Place) -> None:
    storage = sealed(place)
    stored = storage.write("a/backup.tar", pieces(), expected_size=len(CONTENT))
    assert len(CONTENT) < stored.size <= sealed_size(len(CONTENT))
    assert b"".join(storage.open("a/backup.tar")) == CONTENT
    assert b"".join(storage.open("a/backup.tar", offset=5_000_001)) == CONTENT[5_000_001:]
    assert place.left() == ["a/backup.tar.age"]


def test_a_write_that_breaks_off_leaves_nothing(place: Place) -> None:
    def broken() -> Iterator[bytes]:
        yield from pieces()
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        sealed(place).write("a/backup.tar", broken())
    assert place.left() == []


def test_keys_are_listed_in_order_whatever_the_suffix_does_to_it(place: Place) -> None:
    storage = sealed(place)
    for key in ("a/b-c", "a/b", "a/b1", "a/b.d"):
        storage.write(key, [b"x"])
    assert [found.key for found in storage.list("a/")] == sorted(["a/b-c", "a/b", "a/b1", "a/b.d"])


def test_reading_can_be_broken_off(place: Place) -> None:
    storage = sealed(place)
    storage.write("a/backup.tar", pieces())
    reading = storage.open("a/backup.tar")
    assert CONTENT.startswith(next(reading))
    reading.close()  # type: ignore[attr-defined]
