from __future__ import annotations

import hashlib
import sqlite3

import pytest

from dbadmin.backups import download
from dbadmin.exceptions import StorageError
from dbadmin.models import Backup
from dbadmin.progress import Silent
from tests.backups.files import spools, stored


def test_the_archive_comes_as_it_is_stored(backup: Backup) -> None:
    found = download.archive(backup)
    content = b"".join(found.chunks)
    assert len(content) == found.size == backup.size
    assert hashlib.sha256(content).hexdigest() == backup.sha256


def test_an_archive_that_was_cut_is_not_handed_out(backup: Backup) -> None:
    tar = stored(backup, "backup.tar")
    tar.write_bytes(tar.read_bytes()[:-512])
    with pytest.raises(StorageError, match="moved, cut or deleted"):
        download.archive(backup)


def test_plain_sql_makes_the_same_rows_and_is_gone_after_reading(backup: Backup) -> None:
    path = download.plain_sql(backup, Silent())
    assert [path.parent] == spools()
    assert list(path.parent.iterdir()) == [path]
    script = b"".join(download.stream(path).chunks).decode()
    with sqlite3.connect(":memory:") as db:
        db.executescript(script)
    assert db.execute("SELECT count(*) FROM releases").fetchone() == (3,)
    assert spools() == []


def test_a_reader_who_goes_away_leaves_no_file(backup: Backup) -> None:
    chunks = download.stream(download.plain_sql(backup, Silent())).chunks
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    assert spools() == []
