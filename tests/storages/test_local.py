"""The contract of every storage, on a local folder."""

from __future__ import annotations

import errno
import hashlib
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dbadmin.exceptions import StorageError
from dbadmin.storages.local import AT_A_TIME, LocalStorage


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "store")


def everything_in(storage: LocalStorage) -> list[Path]:
    return [path for path in storage.root.rglob("*") if path.is_file()]


def test_what_was_written_is_read_back(storage: LocalStorage) -> None:
    stored = storage.write("a/b.tar", [b"one", b"two"])
    assert stored.size == 6
    assert b"".join(storage.open("a/b.tar")) == b"onetwo"
    assert b"".join(storage.open("a/b.tar", offset=3)) == b"two"
    assert storage.stat("a/b.tar") == replace(stored, sha256="")


@pytest.mark.parametrize("size", [AT_A_TIME - 1, AT_A_TIME, 2 * AT_A_TIME + 5])
def test_what_the_disk_begins_with_early_is_whole(storage: LocalStorage, size: int) -> None:
    content = random.Random(size).randbytes(size)
    pieces = (content[start : start + 1_000_003] for start in range(0, size, 1_000_003))
    stored = storage.write("large/one", pieces)
    assert b"".join(storage.open("large/one")) == content
    assert (stored.size, stored.sha256) == (size, hashlib.sha256(content).hexdigest())


def test_a_failing_source_leaves_nothing(storage: LocalStorage) -> None:
    def source() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        storage.write("a/b.tar", source())
    assert everything_in(storage) == []


def test_an_object_is_never_replaced(storage: LocalStorage) -> None:
    storage.write("a", [b"first"])
    with pytest.raises(StorageError, match="already has"):
        storage.write("a", [b"second"])
    assert b"".join(storage.open("a")) == b"first"
    assert len(everything_in(storage)) == 1


def test_a_file_being_written_is_not_listed(storage: LocalStorage) -> None:
    seen: list[list[str]] = []

    def source() -> Iterator[bytes]:
        seen.append([found.key for found in storage.list()])
        yield b"x"

    storage.write("a/b", source())
    assert seen == [[]]
    assert [found.key for found in storage.list("a/")] == ["a/b"]


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../outside", "a/../../b", "a\0b"])
def test_a_key_outside_the_storage_is_refused(storage: LocalStorage, key: str) -> None:
    with pytest.raises(StorageError):
        storage.write(key, [b"x"])
    with pytest.raises(StorageError):
        storage.delete(key)


def test_deleting_takes_the_empty_folder_along(storage: LocalStorage) -> None:
    storage.write("a/b", [b"x"])
    storage.delete("a/b")
    storage.delete("a/b")
    assert not (storage.root / "a").exists()


def test_a_missing_object_is_a_sentence(storage: LocalStorage) -> None:
    with pytest.raises(StorageError, match="has no “nothing”"):
        list(storage.open("nothing"))
    assert storage.stat("nothing") is None


def test_archives_are_for_their_owner_only(storage: LocalStorage) -> None:
    storage.write("a/b", [b"x"])
    assert oct(os.stat(storage.root / "a/b").st_mode & 0o777) == "0o600"


def test_free_space_is_known_before_the_folder_exists(storage: LocalStorage) -> None:
    assert (storage.free_bytes() or 0) > 0


def test_without_hard_links_nothing_is_replaced_either(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    storage.write("a/b.tar", [b"one"])
    with pytest.raises(StorageError, match="is not replaced"):
        storage.write("a/b.tar", [b"two"])
    assert b"".join(storage.open("a/b.tar")) == b"one"
    assert [path.name for path in everything_in(storage)] == ["b.tar"]


def test_discard_takes_half_written_objects_along(storage: LocalStorage) -> None:
    storage.write("a/b/c.tar", [b"one"])
    (storage.root / "a" / "b" / ".partial-1").touch()
    storage.write("a/bb/c.tar", [b"one"])
    storage.discard("a/b")
    storage.discard("a/b")
    assert [path.relative_to(storage.root).as_posix() for path in everything_in(storage)] == ["a/bb/c.tar"]


def test_folders_are_for_their_owner_only(storage: LocalStorage) -> None:
    storage.write("a/b/c.tar", [b"one"])
    for folder in (storage.root, storage.root / "a", storage.root / "a" / "b"):
        assert folder.stat().st_mode & 0o777 == 0o700
