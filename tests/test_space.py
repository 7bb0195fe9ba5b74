"""What was read of a file is given back where that costs nothing, and only that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dbadmin.space import GiveBack

MB = 1 << 20


def taken(path: Path) -> int:
    return path.stat().st_blocks * 512


def make(path: Path, megabytes: int) -> Path:
    """Write it as programs do, piece by piece: what was written in one go the kernel forgets in one go only."""
    with path.open("wb", buffering=0) as file:
        for _piece in range(megabytes * 16):
            file.write(b"x" * (MB // 16))
    return path


@pytest.fixture
def dropping(tmp_path: Path) -> None:
    """Skip where the kernel writes, or the file system keeps, what it is to forget."""
    probe = make(tmp_path / "probe", 2)
    with probe.open("r+b") as file:
        room = GiveBack()
        room.free(file.fileno(), 0, MB)
        room.free(file.fileno(), MB, MB)
    if taken(probe):
        pytest.skip("This kernel or file system gives nothing back for nothing.")


@pytest.mark.usefixtures("dropping")
def test_what_is_not_written_yet_is_forgotten_and_the_rest_stays(tmp_path: Path) -> None:
    path = make(tmp_path / "one", 4)
    room = GiveBack()
    with path.open("r+b") as file:
        room.free(file.fileno(), MB, MB)
        room.free(file.fileno(), 2 * MB, MB)
    assert path.read_bytes() == b"x" * MB + bytes(2 * MB) + b"x" * MB
    assert taken(path) == 2 * MB


def test_what_the_disk_has_already_stays_after_the_first_part(tmp_path: Path) -> None:
    path = make(tmp_path / "one", 4)
    room = GiveBack()
    with path.open("r+b") as file:
        os.fsync(file.fileno())
        room.free(file.fileno(), 0, MB)
        room.free(file.fileno(), MB, MB)
        room.free(file.fileno(), 2 * MB, MB)
    assert path.read_bytes()[MB:] == b"x" * 3 * MB


def test_what_cannot_be_done_is_left() -> None:
    reading, writing = os.pipe()
    GiveBack().free(writing, 0, MB)
    os.close(reading)
    os.close(writing)
