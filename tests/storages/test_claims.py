"""Writers of one name in a storage that is slow: somebody gets on, however long each look takes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dbadmin.exceptions import StorageError
from dbadmin.storages import claims
from dbadmin.storages.base import StoredObject

WRITERS = 4


class SlowFolder:
    """A folder in which everything takes longer than the pauses of those who wait."""

    def __init__(self, root: Path) -> None:
        self.root, self.marked = root, Counter[str]()

    def mark(self, name: str, *, about: str) -> None:
        time.sleep(0.05)
        self.marked[name] += 1
        (self.root / name).write_bytes(b"x")

    def marks(self, folder: str) -> list[StoredObject]:
        time.sleep(0.05)
        now = datetime.now(UTC)
        return [StoredObject(key=found.name, size=1, modified=now) for found in self.root.iterdir()]

    def has(self, key: str) -> bool:
        time.sleep(0.05)
        return (self.root / key).exists()

    def unmark(self, name: str) -> None:
        time.sleep(0.05)
        (self.root / name).unlink()


def test_however_slow_the_storage_is_one_writer_gets_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbadmin.storages.claims.random.uniform", lambda _low, _high: 0.0)
    place, won, lost = SlowFolder(tmp_path), [], []

    def write(number: int) -> None:
        try:
            with claims.sole_writer(place, "a"):
                time.sleep(0.1)
                (tmp_path / "a").touch(exist_ok=False)
            won.append(number)
        except StorageError as error:
            lost.append(str(error))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert lost == ["The storage already has “a”; it is not replaced."] * (WRITERS - 1)
    assert [found.name for found in tmp_path.iterdir()] == ["a"]
    # whoever steps back does so for another one each time, so nobody marks more often than there are writers
    assert max(place.marked.values()) <= WRITERS


def test_a_writer_that_died_is_waited_for_and_then_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "PATIENCE_SECONDS", 0.3)
    place = SlowFolder(tmp_path)
    for token in ("0" * 16, "f" * 16):
        (died := tmp_path / f"{claims._stem('a')}{token}").touch()
        with pytest.raises(StorageError, match="Somebody else is just storing “a”"), claims.sole_writer(place, "a"):
            pytest.fail("went on beside another writer")
        assert [found.name for found in tmp_path.iterdir()] == [died.name]
        died.unlink()
