"""The tools' tables, also when they are not the tools' at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from dbadmin.engines.base import HistoryRow, ToolHistory
from dbadmin.engines.history import iso_time, read_history

Read = Callable[[str], tuple[ToolHistory, ...]]


@pytest.fixture
def read() -> Iterator[Read]:
    db = sqlite3.connect(":memory:")

    def find(name: str) -> list[str]:
        found = db.execute("SELECT name FROM sqlite_schema WHERE name = ?", (name,))
        return [f'"main"."{row[0]}"' for row in found]

    def read(script: str) -> tuple[ToolHistory, ...]:
        db.executescript(script)
        return read_history(find, lambda query: db.execute(query).fetchall())

    yield read
    db.close()


def test_nothing_is_found_in_an_empty_database(read: Read) -> None:
    assert read("") == ()


def test_an_empty_version_table_has_no_head(read: Read) -> None:
    assert read("CREATE TABLE alembic_version (version_num TEXT)") == (ToolHistory(tool="alembic", rows=(), heads=()),)


def test_alembic_has_as_many_heads_as_rows(read: Read) -> None:
    (history,) = read(
        "CREATE TABLE alembic_version (version_num TEXT); INSERT INTO alembic_version VALUES ('b'), ('a')"
    )
    assert history.heads == ("a", "b")


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE alembic_version (id INT); INSERT INTO alembic_version VALUES (1)",
        "CREATE TABLE django_migrations (id INT, app TEXT, name TEXT)",
        "CREATE TABLE _prisma_migrations (migration_name TEXT, finished_at TEXT)",
        "CREATE VIEW alembic_version AS SELECT 1 AS anchor",
    ],
)
def test_a_table_of_another_shape_is_not_the_tools(read: Read, script: str) -> None:
    assert read(script) == ()


def test_strange_values_in_the_right_columns_are_no_crash(read: Read) -> None:
    (history,) = read(
        "CREATE TABLE django_migrations (id TEXT, app BLOB, name INT, applied TEXT);"
        "INSERT INTO django_migrations VALUES ('x', x'00ff', 7, 'yesterday'), (NULL, NULL, NULL, -1e99)"
    )
    assert [row.applied_at for row in history.rows] == ["", ""]


def test_prismas_head_is_the_last_applied(read: Read) -> None:
    (history,) = read(
        "CREATE TABLE _prisma_migrations (migration_name TEXT, checksum TEXT, started_at, finished_at, rolled_back_at,"
        " logs TEXT);"
        "INSERT INTO _prisma_migrations VALUES"
        " ('2_b', 'f0', 1700000002000, 1700000003000, NULL, NULL),"
        " ('1_a', NULL, '2023-11-14 22:13:20', '2023-11-14 22:13:21', NULL, NULL),"
        " ('3_c', 'ab', 1700000004000, NULL, NULL, 'ERROR')"
    )
    assert history.heads == ("2_b",)
    assert [(row.revision, row.state) for row in history.rows] == [
        ("1_a", "applied"),
        ("2_b", "applied"),
        ("3_c", "failed"),
    ]
    assert history.rows[1] == HistoryRow(
        revision="2_b", applied_at="2023-11-14T22:13:23+00:00", checksum="f0".rjust(64, "0")
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("", ""),
        ("soon", ""),
        (10**30, ""),
        (datetime(2026, 1, 1), "2026-01-01T00:00:00+00:00"),
        (datetime(2026, 1, 1, 9, tzinfo=timezone(timedelta(hours=9))), "2026-01-01T00:00:00+00:00"),
        ("2026-01-01 09:00:00+09", "2026-01-01T00:00:00+00:00"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00+00:00"),
        (int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000), "2026-01-01T00:00:00+00:00"),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=9))), ""),
    ],
)
def test_times_become_utc(value: Any, text: str) -> None:
    assert iso_time(value) == text
