"""The catalogue never lands in the database of an application."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def manage(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    plain = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env={**plain, "DBADMIN_HOME": str(home), **variables},
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_url_of_an_application_is_refused_in_a_sentence(tmp_path: Path) -> None:
    done = manage(tmp_path, "check", DATABASE_URL="postgresql+asyncpg://a:secret@localhost/camp")
    assert done.returncode == 2
    assert "DBADMIN_DATABASE_URL" in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_of_another_application_is_left_alone(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.sqlite3"
    connection = sqlite3.connect(theirs)
    connection.execute("CREATE TABLE orders (id INTEGER)")
    for command in ("migrate", "serve"):
        done = manage(tmp_path, command, DATABASE_URL=f"sqlite:///{theirs}")
        assert done.returncode != 0
        assert "dbadmin.E001" in done.stderr
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("orders",)]


def test_our_own_variable_is_stronger(tmp_path: Path) -> None:
    ours = f"sqlite:///{tmp_path / 'ours.sqlite3'}"
    done = manage(tmp_path, "migrate", DATABASE_URL="mysql://x@y/z", DBADMIN_DATABASE_URL=ours)
    assert done.returncode == 0
    assert (tmp_path / "ours.sqlite3").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIME_ZONE", "Mars/X"),
        ("TIME_ZONE", "Asia"),
        ("DBADMIN_WORKERS", "abc"),
        ("DBADMIN_WORKERS", "0"),
        ("DBADMIN_ENCRYPTION_KEY", "wrong-key"),
        ("DBADMIN_HTTPS", "maybe"),
        ("LOG_LEVEL", "loud"),
        ("LANGUAGE_CODE", "xx"),
        ("DATABASE_URL", "postgres://u:p@host:port/name"),
    ],
)
def test_a_wrong_setting_ends_in_a_sentence_that_names_it(tmp_path: Path, name: str, value: str) -> None:
    done = manage(tmp_path, "check", **{name: value})
    assert done.returncode == 2
    assert name in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "wrong-key" not in done.stderr


def test_a_home_folder_may_have_any_name(tmp_path: Path) -> None:
    assert manage(tmp_path / "家 100%?#", "migrate").returncode == 0
    assert (tmp_path / "家 100%?#" / "catalogue.sqlite3").exists()
