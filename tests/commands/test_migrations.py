"""migrations status and history: what they report, and their exit codes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from dbadmin.models import Database
from tests.sqlite_file import make_sqlite_file, sqlite_database

pytestmark = pytest.mark.django_db


@pytest.fixture
def database(tmp_path: Path) -> Database:
    path = make_sqlite_file(tmp_path / "app.sqlite3")
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        db.execute("INSERT INTO alembic_version VALUES ('b2')")
    versions = tmp_path / "project/migrations/versions"
    versions.mkdir(parents=True)
    (versions.parent / "env.py").touch()
    (versions / "a1.py").write_text('"""Begin"""\nrevision = "a1"\ndown_revision = None\n')
    (versions / "b2.py").write_text('revision = "b2"\ndown_revision = "a1"\n')
    return sqlite_database(path, slug="app", project_folder=str(tmp_path / "project"))


def migrations(capsys: pytest.CaptureFixture[str], verb: str, *arguments: str) -> tuple[int, str]:
    try:
        call_command("migrations", verb, *arguments)
    except SystemExit as end:
        return int(end.code or 0), capsys.readouterr().out
    return 0, capsys.readouterr().out


def results(capsys: pytest.CaptureFixture[str], verb: str) -> tuple[int, list[dict[str, Any]]]:
    code, out = migrations(capsys, verb, "--json")
    return code, json.loads(out)["results"]


def test_all_applied_is_zero(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    code, (status,) = results(capsys, "status")
    assert code == 0
    wanted = {"database": "app", "tool": "alembic", "head": "b2", "applied": 2, "pending": 0, "state": "applied"}
    assert wanted.items() <= status.items()


def test_history_names_every_revision(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    code, rows = results(capsys, "history")
    assert code == 0
    assert [(row["revision"], row["description"], row["state"]) for row in rows] == [
        ("a1", "Begin", "applied"),
        ("b2", "", "applied"),
    ]
    assert {"database", "tool", "head", "applied", "pending"} <= rows[0].keys()


def test_pending_is_one(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    (Path(database.project_folder) / "migrations/versions/c3.py").write_text('revision="c3"\ndown_revision="b2"\n')
    code, out = migrations(capsys, "status", "--database", "app")
    assert (code, out) == (1, "app  alembic: pending. head b2, applied: 2, pending: 1.\n")


def test_a_missing_file_is_two(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    (Path(database.project_folder) / "migrations/versions/b2.py").unlink()
    code, (status,) = results(capsys, "status")
    assert (code, status["state"]) == (2, "file_missing")


def test_a_database_that_cannot_be_read_is_three(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert migrations(capsys, "status")[0] == 0
    Path(database.settings["path"]).unlink()
    code, (status,) = results(capsys, "status")
    assert (code, status["state"], status["head"]) == (3, "unknown", "b2")
    assert status["problem"]
    code, rows = results(capsys, "history")
    assert (code, len(rows)) == (3, 2)


def test_one_that_was_never_read_is_still_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sqlite_database(tmp_path / "nowhere.sqlite3", slug="lost")
    for verb in ("status", "history"):
        code, (row,) = results(capsys, verb)
        assert (code, row["database"], row["state"]) == (3, "lost", "unknown")


def test_a_database_without_a_tool_has_no_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sqlite_database(make_sqlite_file(tmp_path / "plain.sqlite3"))
    assert migrations(capsys, "status") == (0, "")
