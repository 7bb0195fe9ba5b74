"""What every storage promises, on real places: whatever happens, an object is there in whole or not at all."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from dbadmin.exceptions import StorageError
from dbadmin.storages import get_storage
from dbadmin.storages.base import CHUNK
from tests.storages.places import BUCKETS, Place

MEGABYTE = 1 << 20
AWKWARD = ("a b/ü ö.tar", "日本/バックアップ.tar", "#1/100%/x&y=z?.tar", "a/-rf", "q/'\"[x]{y}~^`$(id);.tar")
HOSTILE = ("", "/etc/passwd", "../outside", "a/../../b", "a//b", "a/", "./a", "a\0b", "a\nb", "a/.partial-1")
REFUSALS = (
    "secret key is wrong",
    "refused the user's name, password or key",
    "does not take the service account's key",
)


def stream(megabytes: int) -> Iterator[bytes]:
    for number in range(megabytes):
        yield bytes([number % 251]) * MEGABYTE


def content(megabytes: int) -> bytes:
    return b"".join(stream(megabytes))


def test_what_was_written_is_read_back(place: Place) -> None:
    storage = place.storage()
    written = storage.write("slug/run/manifest.json", [b"one", b"", b"two"])
    assert (written.key, written.size) == ("slug/run/manifest.json", 6)
    assert written.sha256 == hashlib.sha256(b"onetwo").hexdigest()
    assert b"".join(storage.open("slug/run/manifest.json")) == b"onetwo"
    found = storage.stat("slug/run/manifest.json")
    assert found is not None
    assert (found.size, found.modified) == (6, written.modified)
    assert abs(found.modified - datetime.now(UTC)) < timedelta(minutes=2)
    assert place.left() == ["slug/run/manifest.json"]


def test_what_comes_in_many_parts_is_read_back_from_anywhere(place: Place) -> None:
    storage = place.storage()
    written = storage.write("a/backup.tar", stream(40), expected_size=40 * MEGABYTE)
    assert (written.size, written.sha256) == (40 * MEGABYTE, hashlib.sha256(content(40)).hexdigest())
    chunks = list(storage.open("a/backup.tar"))
    assert b"".join(chunks) == content(40)
    assert max(map(len, chunks)) <= CHUNK
    for offset in (1, 17 * MEGABYTE + 3, 40 * MEGABYTE - 1):
        assert b"".join(storage.open("a/backup.tar", offset=offset)) == content(40)[offset:]
    assert b"".join(storage.open("a/backup.tar", offset=40 * MEGABYTE)) == b""
    assert place.left() == ["a/backup.tar"]


def test_an_empty_object_is_one_too(place: Place) -> None:
    storage = place.storage()
    assert storage.write("a/empty", []).size == 0
    assert b"".join(storage.open("a/empty")) == b""
    assert [found.size for found in storage.list()] == [0]


def test_reading_can_be_broken_off(place: Place) -> None:
    storage = place.storage()
    storage.write("a/backup.tar", stream(40))
    reading = storage.open("a/backup.tar")
    assert next(reading)[:1] == b"\0"
    reading.close()  # type: ignore[attr-defined]


def test_what_is_not_there_is_none_or_a_sentence(place: Place) -> None:
    storage = place.storage()
    assert storage.stat("a/nothing") is None
    assert list(storage.list()) == []
    storage.delete("a/nothing")
    storage.discard("a")
    with pytest.raises(StorageError, match="has no “a/nothing”"):
        list(storage.open("a/nothing"))


def test_any_name_can_be_used(place: Place) -> None:
    storage = place.storage()
    for key in AWKWARD:
        storage.write(key, [key.encode()])
    assert [found.key for found in storage.list()] == sorted(AWKWARD)
    assert sorted(place.left()) == sorted(AWKWARD)
    for key in AWKWARD:
        assert b"".join(storage.open(key)) == key.encode()
        storage.delete(key)
    assert place.left() == []


@pytest.mark.parametrize("key", HOSTILE)
def test_no_name_leads_out_of_the_storage(place: Place, key: str) -> None:
    storage = place.storage()
    for use in (lambda: storage.write(key, [b"x"]), lambda: storage.delete(key), lambda: list(storage.open(key))):
        with pytest.raises(StorageError, match="not a name"):
            use()
    if not key.endswith("/"):
        with pytest.raises(StorageError, match="not a name"):
            storage.discard(key)


def test_lists_are_sorted_and_by_the_beginning_of_names(place: Place) -> None:
    storage = place.storage()
    keys = ["a-b/x", "a/b/x", "a/bb/x", "Z/x"]
    for key in keys:
        storage.write(key, [b"1"])
    assert [found.key for found in storage.list()] == sorted(keys)
    assert [found.key for found in storage.list("a")] == ["a-b/x", "a/b/x", "a/bb/x"]
    assert [found.key for found in storage.list("a/b")] == ["a/b/x", "a/bb/x"]
    assert [found.key for found in storage.list("a/b/")] == ["a/b/x"]


def test_discarding_takes_a_folder_and_no_other(place: Place) -> None:
    storage = place.storage()
    for key in ("a/b/x", "a/b/c/y", "a/bb/x"):
        storage.write(key, [b"1"])
    storage.discard("a/b")
    assert place.left() == ["a/bb/x"]


@pytest.mark.parametrize("megabytes", [0, 40])
@pytest.mark.parametrize("error", [RuntimeError, FileNotFoundError, BrokenPipeError, KeyboardInterrupt])
def test_a_failing_source_leaves_nothing(place: Place, megabytes: int, error: type[BaseException]) -> None:
    def source() -> Iterator[bytes]:
        yield from stream(megabytes)
        yield b"half"
        raise error

    storage = place.storage()
    with pytest.raises(error):
        storage.write("a/b.tar", source())
    assert storage.stat("a/b.tar") is None
    assert place.left() == []


@pytest.mark.parametrize("megabytes", [1, 40])
def test_an_object_is_never_replaced(place: Place, megabytes: int) -> None:
    storage = place.storage()
    storage.write("a", [b"first"])
    with pytest.raises(StorageError, match="already has"):
        storage.write("a", stream(megabytes))
    assert b"".join(storage.open("a")) == b"first"
    assert place.left() == ["a"]


@pytest.mark.parametrize("megabytes", [0, 40])
def test_nobody_sees_an_object_before_it_is_complete(place: Place, megabytes: int) -> None:
    storage, seen = place.storage(), []

    def source() -> Iterator[bytes]:
        yield from stream(megabytes)
        seen.append((list(storage.list()), storage.stat("a/b")))
        yield b"x"

    storage.write("a/b", source())
    assert seen == [([], None)]
    assert [found.key for found in storage.list("a/")] == ["a/b"]


@pytest.mark.parametrize("megabytes", [1, 20])
def test_of_writers_of_one_name_exactly_one_wins(place: Place, megabytes: int) -> None:
    started, won, lost = threading.Barrier(3), [], []

    def write(letter: bytes) -> None:
        def source() -> Iterator[bytes]:
            for _number in range(megabytes):
                yield letter * MEGABYTE
            started.wait(300)

        try:
            place.storage().write("a/b", source())
            won.append(letter)
        except StorageError as error:
            lost.append(str(error))

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"1", b"2", b"3")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert [error for error in lost if "already has" not in error] == []
    assert b"".join(place.storage().open("a/b")) == won[0] * megabytes * MEGABYTE
    assert place.left() == ["a/b"]


def test_a_wrong_secret_is_named_and_not_shown(guarded: Place) -> None:
    storage = get_storage(guarded.kind, guarded.settings(), guarded.wrong_secrets)
    with pytest.raises(StorageError, match="|".join(REFUSALS)) as error:
        storage.write("a/b", [b"x"])
    shown = f"{error.value}{error.value!r}{storage!r}{vars(error.value)}"
    for secret in (*guarded.wrong_secrets.values(), *guarded.secrets.values()):
        assert secret not in shown
        assert secret[-30:] not in shown


def test_free_space_is_a_number_or_not_known(place: Place) -> None:
    free = place.storage().free_bytes()
    assert free is None if place.kind in BUCKETS else (free or 0) > 0


def test_secrets_are_in_no_representation(place: Place) -> None:
    shown = repr(place.storage()) + str(place.storage())
    assert not [secret for secret in place.secrets.values() if secret in shown]
    assert os.environ.get("RCLONE_CONFIG_DBADMIN_KEY_PEM") is None
