"""Lines that are cut or slow, writers that are killed, and memory: storages at the other end of a wire."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dbadmin.exceptions import StorageError
from dbadmin.storages import get_storage
from dbadmin.storages.base import Storage
from dbadmin.storages.limited import LimitedStorage, paced
from dbadmin.storages.objectstore import HASTE, ObjectStorage, part_size
from tests.clock import Clock
from tests.storages.places import Place
from tests.storages.servers import Wire

MEGABYTE = 1 << 20
SIZE = 40


def content(megabytes: int = SIZE) -> bytes:
    return b"".join(bytes([number]) * MEGABYTE for number in range(megabytes))


def chunks(megabytes: int = SIZE) -> Iterator[bytes]:
    return (bytes([number]) * MEGABYTE for number in range(megabytes))


def hasty(storage: Storage) -> Storage:
    """Give up soon, so that the test does not last as long as the patience of the product."""
    return replace(storage, patience=HASTE) if isinstance(storage, ObjectStorage) else storage


@pytest.mark.parametrize("after", [3 * MEGABYTE, 25 * MEGABYTE])
def test_a_download_goes_on_where_it_was_cut(distant: Place, after: int) -> None:
    distant.storage().write("a/b", chunks())
    with Wire(distant.port) as wire:
        storage = distant.storage(port=wire.port)
        wire.cut(after=after)
        assert b"".join(storage.open("a/b")) == content()
        wire.cut(after=after)
        assert b"".join(storage.open("a/b", offset=MEGABYTE + 1)) == content()[MEGABYTE + 1 :]


def test_a_download_gives_up_when_the_line_stays_cut(distant: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbadmin.storages.resuming.PAUSES", (0.1, 0.1))
    distant.storage().write("a/b", chunks())
    with Wire(distant.port) as wire:
        storage = hasty(distant.storage(port=wire.port))
        reading = storage.open("a/b")
        next(reading)
        wire.cut(after=0, times=1000)
        with pytest.raises(StorageError):
            list(reading)


@pytest.mark.parametrize("after", [0, 3 * MEGABYTE, 25 * MEGABYTE])
def test_an_upload_that_is_cut_once_is_whole_or_not_there(distant: Place, after: int) -> None:
    with Wire(distant.port) as wire:
        storage = hasty(distant.storage(port=wire.port))
        wire.cut(after=after)
        try:
            storage.write("a/b", chunks())
        except StorageError:
            assert distant.storage().stat("a/b") is None
            assert list(distant.storage().list()) == []
        else:
            assert b"".join(distant.storage().open("a/b")) == content()
    distant.storage().discard("a")
    assert distant.left() == []


def test_an_upload_whose_line_stays_cut_is_a_sentence_and_leaves_no_object(distant: Place) -> None:
    def source() -> Iterator[bytes]:
        for number, chunk in enumerate(chunks()):
            if number == 20:
                wire.cut(after=0, times=10_000)
            yield chunk

    with Wire(distant.port) as wire:
        with pytest.raises(StorageError) as error:
            hasty(distant.storage(port=wire.port)).write("a/b", source())
        assert "a/b" in str(error.value)
    storage = distant.storage()
    assert storage.stat("a/b") is None
    assert list(storage.list()) == []
    storage.sweep(before=datetime.now(UTC) + timedelta(minutes=5))
    assert distant.left() == []


WRITER = """
import json, sys
from dbadmin.storages import get_storage

kind, settings, secrets, megabytes = json.load(sys.stdin)
def chunks():
    for number in range(megabytes):
        print(number, flush=True)
        yield bytes([number % 251]) * (1 << 20)
storage = get_storage(kind, settings, secrets)
storage.write("slug/20260101T000000Z-full-0123abcd/backup.tar", chunks(), expected_size=megabytes << 20)
if "read" in sys.argv:
    for chunk in storage.open("slug/20260101T000000Z-full-0123abcd/backup.tar"):
        pass
print("PEAK", open("/proc/self/status").read().split("VmHWM:")[1].split()[0], flush=True)
"""


def start(place: Place, megabytes: int, *arguments: str) -> subprocess.Popen[str]:
    """Write in a process of its own, which says the number of each megabyte before it hands it over."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        start_new_session=True,
    )
    assert process.stdin
    process.stdin.write(json.dumps([place.kind, place.settings(), place.secrets, megabytes]))
    process.stdin.close()
    process.stdin = None  # so that ``communicate`` does not want to flush it
    return process


def until_nothing_is_left(place: Place, remove: Callable[[], object]) -> None:
    """Remove again and again: the server may still be busy with what the writer sent before it was killed."""
    end = time.monotonic() + 120
    remove()
    while place.left() and time.monotonic() < end:
        time.sleep(0.5)
        remove()
    assert place.left() == []


def test_what_a_killed_writer_left_is_no_object_and_is_swept(place: Place) -> None:
    process = start(place, 60)
    assert process.stdout
    while int(process.stdout.readline()) < 45:
        pass
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    storage = place.storage()
    assert list(storage.list()) == []
    # Azure cannot be asked; it throws such blocks away itself.
    assert storage.sweep(before=datetime(2000, 1, 1, tzinfo=UTC)) == (None if place.kind == "azure" else 0)
    until_nothing_is_left(place, lambda: storage.sweep(before=datetime.now(UTC) + timedelta(minutes=5)))
    if place.kind != "azure":  # the emulator takes what was never put together for an object
        storage.write("slug/20260101T000000Z-full-0123abcd/backup.tar", [b"again"])


def test_discarding_removes_what_a_killed_writer_left(place: Place) -> None:
    process = start(place, 60)
    assert process.stdout
    while int(process.stdout.readline()) < 45:
        pass
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    until_nothing_is_left(place, lambda: place.storage().discard("slug/20260101T000000Z-full-0123abcd"))


def test_memory_does_not_grow_with_the_object(guarded: Place) -> None:
    process = start(guarded, 300, "read")
    said, _nothing = process.communicate(timeout=300)
    peak = int(re.search(r"PEAK (\d+)", said)[1])  # type: ignore[index]
    assert peak < 150 * 1024


def is_child(entry: Path, parent: int) -> bool:
    """Other tests write with rclone at the same time; their writers' children are not ours."""
    return (entry / "stat").read_text().rpartition(")")[2].split()[1] == str(parent)


def test_secrets_are_in_no_arguments(guarded: Place) -> None:
    process = start(guarded, 60)
    assert process.stdout
    seen: dict[bool, set[bytes]] = {True: set(), False: set()}
    while int(process.stdout.readline()) < 40:
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                seen[is_child(entry, process.pid)].add((entry / "cmdline").read_bytes())
    process.communicate(timeout=120)
    assert any(b"rcat" in line for line in seen[True]) == (guarded.kind == "rclone")
    lines = b"\n".join(seen[True] | seen[False])
    for secret in guarded.secrets.values():
        assert secret.encode() not in lines
        assert secret.encode()[-40:] not in lines


@pytest.mark.parametrize("direction", ["write", "read"])
def test_the_bandwidth_is_kept_to(place: Place, direction: str) -> None:
    pace, megabytes = 5 * MEGABYTE, 12
    limited = LimitedStorage(place.storage(), pace)
    if direction == "read":
        place.storage().write("a/b", chunks(megabytes))
    began = time.monotonic()
    if direction == "write":
        limited.write("a/b", chunks(megabytes))
    else:
        assert b"".join(limited.open("a/b")) == content(megabytes)
    taken = time.monotonic() - began
    assert taken > 0.8 * megabytes * MEGABYTE / pace
    assert b"".join(place.storage().open("a/b", offset=MEGABYTE)) == content(megabytes)[MEGABYTE:]


@pytest.mark.parametrize("size", [1, 100_000, 7 * MEGABYTE])
def test_a_limited_line_is_used_to_its_limit_and_no_further(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("dbadmin.storages.limited.time", clock)
    pace, began = 1_000_000, clock.now
    sent = sum(len(piece) for piece in paced([bytes(size)] * 3, pace))
    # The last piece is handed over without waiting for it to get through.
    assert (sent - pace / 10) / pace <= clock.now - began <= sent / pace
    assert max(clock.slept) <= 0.11


def test_a_pause_of_the_source_is_not_caught_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("dbadmin.storages.limited.time", clock)

    def source() -> Iterator[bytes]:
        yield bytes(500_000)
        clock.now += 3600
        yield bytes(500_000)

    began = clock.now
    assert sum(len(piece) for piece in paced(source(), 1_000_000)) == 1_000_000
    assert 3600 + 0.7 <= clock.now - began <= 3600 + 1


def test_ten_thousand_parts_are_enough_for_what_is_expected() -> None:
    for size in (None, 0, 1, 10**9, 10**11, 5 * 10**12):
        part = part_size(size)
        assert part >= 5 * MEGABYTE
        assert (size or 0) * 1.2 / part <= 10_000


def test_a_bucket_of_another_kind_is_built_without_asking_anybody() -> None:
    azure = get_storage("azure", {"account": "acc", "container": "con"}, {"account_key": "c2VjcmV0LWtleQ=="})
    assert "c2VjcmV0" not in repr(azure)
    assert azure.free_bytes() is None
