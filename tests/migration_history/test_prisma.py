"""Prisma's table beside its folders, with real checksums."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dbadmin.models import AppliedMigration, Database, MigrationStatus

pytestmark = pytest.mark.django_db

Read = Callable[..., MigrationStatus]
States = Callable[[], dict[str, str]]
TABLE = """
CREATE TABLE _prisma_migrations (
    id TEXT PRIMARY KEY NOT NULL, checksum TEXT NOT NULL, finished_at DATETIME, migration_name TEXT NOT NULL,
    logs TEXT, rolled_back_at DATETIME, started_at DATETIME NOT NULL DEFAULT current_timestamp,
    applied_steps_count INTEGER UNSIGNED NOT NULL DEFAULT 0
)"""


class Prisma:
    """A folder of migrations and the table that a Prisma client would have left."""

    def __init__(self, folder: Path, db: sqlite3.Connection) -> None:
        self.folder = folder / "prisma/migrations"
        self.db = db
        self.folder.mkdir(parents=True)
        (self.folder / "migration_lock.toml").write_text('provider = "sqlite"\n')
        db.execute(TABLE)

    def file(self, name: str, sql: bytes = b"CREATE TABLE t (id INT);\n") -> Path:
        (self.folder / name).mkdir()
        (self.folder / name / "migration.sql").write_bytes(sql)
        return self.folder / name / "migration.sql"

    def row(self, name: str, *, sql: bytes = b"CREATE TABLE t (id INT);\n", **columns: object) -> None:
        started = 1_700_000_000_000 + 1000 * self.db.total_changes
        row = {"finished_at": started + 500, "rolled_back_at": None, "logs": None, "started_at": started} | columns
        row |= {"id": f"{name}{started}", "migration_name": name, "checksum": hashlib.sha256(sql).hexdigest()}
        places = ", ".join(f":{column}" for column in row)
        self.db.execute(f"INSERT INTO _prisma_migrations ({', '.join(row)}) VALUES ({places})", row)
        self.db.commit()


@pytest.fixture
def prisma(tmp_path: Path, database: Database) -> Iterator[Prisma]:
    db = sqlite3.connect(database.settings["path"])
    yield Prisma(tmp_path / "project", db)
    db.close()


def test_applied_and_pending(prisma: Prisma, read: Read, states: States) -> None:
    prisma.file("20231201000000_init")
    prisma.file("20231202000000_add_goals")
    prisma.row("20231201000000_init")
    status = read()
    assert (status.head, status.applied, status.pending) == ("20231201000000_init", 1, 1)
    assert states() == {"20231201000000_init": "applied", "20231202000000_add_goals": "pending"}
    row = AppliedMigration.objects.get(revision="20231201000000_init")
    assert row.description == "init"
    assert row.applied_at is not None
    assert row.applied_at.year == 2023


def test_a_failed_one_is_named(prisma: Prisma, read: Read, states: States) -> None:
    prisma.file("1_init")
    prisma.row("1_init", finished_at=None, logs="ERROR: relation exists")
    assert "failed: 1_init" in str(read().problem)
    assert states() == {"1_init": "failed"}


def test_one_that_was_never_finished_counts_as_failed_after_an_hour(prisma: Prisma, read: Read, states: States) -> None:
    prisma.row("1_init", finished_at=None)
    read()
    assert states() == {"1_init": "failed"}


def test_one_that_just_began_is_running(prisma: Prisma, read: Read, states: States) -> None:
    (now,) = prisma.db.execute("SELECT current_timestamp").fetchone()
    prisma.row("1_init", finished_at=None, started_at=now)
    read()
    assert states() == {"1_init": "running"}


def test_rolled_back_and_applied_again_is_applied(prisma: Prisma, read: Read, states: States) -> None:
    prisma.file("1_init")
    prisma.row("1_init", finished_at=None, rolled_back_at=1_700_000_001_000, logs="ERROR")
    assert read().pending == 1
    assert states() == {"1_init": "rolled_back"}
    prisma.row("1_init")
    assert read(minutes=1).pending == 0
    assert states() == {"1_init": "applied"}


def test_a_changed_file_is_modified_and_other_line_ends_are_not(prisma: Prisma, read: Read, states: States) -> None:
    prisma.file("1_init", b"CREATE TABLE t (id INT);\r\n")
    prisma.file("2_more", b"CREATE TABLE t (id BIGINT);\n")
    prisma.row("1_init")
    prisma.row("2_more")
    read()
    assert states() == {"1_init": "applied", "2_more": "modified"}


def test_a_missing_file_is_found(prisma: Prisma, read: Read, states: States) -> None:
    prisma.file("2_more")
    prisma.row("1_init")
    prisma.row("2_more")
    read()
    assert states() == {"1_init": "file_missing", "2_more": "applied"}


def test_without_the_folder_nothing_is_pending_or_missing(
    prisma: Prisma, database: Database, read: Read, states: States
) -> None:
    prisma.row("1_init")
    database.project_folder = ""
    assert read().pending is None
    assert states() == {"1_init": "applied"}


def test_a_vanished_row_is_remembered(prisma: Prisma, read: Read, database: Database) -> None:
    prisma.row("1_init")
    prisma.row("2_more")
    read()
    prisma.db.execute("DELETE FROM _prisma_migrations WHERE migration_name = '2_more'")
    prisma.db.commit()
    read(minutes=1)
    gone = AppliedMigration.objects.get(revision="2_more")
    assert gone.disappeared_at is not None
    assert gone.disappeared_at > gone.last_seen_at
    prisma.row("2_more")
    read(minutes=2)
    gone.refresh_from_db()
    assert gone.disappeared_at is None


def test_a_folder_without_sql_is_a_sentence(prisma: Prisma, read: Read) -> None:
    prisma.file("1_init").unlink()
    prisma.row("1_init")
    assert "1_init/migration.sql is not there" in str(read().problem)
