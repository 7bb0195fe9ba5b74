"""A catalogue that is full, missing or somebody else's: a sentence and exit code 2, never a traceback."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.test import Client

from dbadmin.management.commands import tick
from tests.small_disk import small_disk as small_disk
from tests.test_settings import manage

ADD = ("databases", "add", "Shop", "--application", "Shop", "--engine", "sqlite", "--path", "/srv/shop.db")


def fails(*_arguments: Any) -> Any:
    raise OperationalError("database or disk is full")


def error_of(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    error: dict[str, str] = json.loads(done.stdout)["error"]
    assert error["class"] == "CatalogueError"
    return error


def test_a_full_disk(small_disk: Path) -> None:
    assert manage(small_disk, "migrate").returncode == 0
    free = shutil.disk_usage(small_disk).free
    (small_disk / "filler").write_bytes(b"x" * free)
    error = error_of(manage(small_disk, *ADD, "--json"))
    assert "Is the disk full?" in error["message"]
    done = manage(small_disk, *ADD)
    assert (done.returncode, done.stdout) == (2, "")
    assert "The catalogue cannot be read or written" in done.stderr


def test_a_home_that_was_never_migrated(tmp_path: Path) -> None:
    error = error_of(manage(tmp_path, "databases", "list", "--json"))
    assert "manage.py migrate" in error["hint"]


def test_the_database_of_another_application_stops_every_verb(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.sqlite3"
    sqlite3.connect(theirs).execute("CREATE TABLE orders (id INTEGER)")
    for verb in (("databases", "list"), ("backup", "run", "--all"), ("check_health",), ("tick",)):
        error = error_of(manage(tmp_path, *verb, "--json", DATABASE_URL=f"sqlite:///{theirs}"))
        assert "DBADMIN_DATABASE_URL" in error["hint"]


def test_a_server_that_is_away(tmp_path: Path) -> None:
    away = f"postgres://dbadmin:hush@localhost:1/catalogue?host={tmp_path}"
    done = manage(tmp_path, "databases", "list", "--json", DATABASE_URL=away)
    assert "hush" not in json.dumps(error_of(done))


def test_a_page_says_it_with_503(viewer: Client) -> None:
    viewer.raise_request_exception = False
    with connection.execute_wrapper(fails):
        response = viewer.get("/")
    assert response.status_code == 503
    assert "Is the disk full?" in response.content.decode()


def test_another_error_stays_an_internal_one(viewer: Client) -> None:
    viewer.raise_request_exception = False

    def bug(*_arguments: Any) -> Any:
        raise ZeroDivisionError

    with connection.execute_wrapper(bug):
        response = viewer.get("/")
    assert response.status_code == 500
    assert "This is a bug" in response.content.decode()


def test_the_clock_asks_ever_more_seldom(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[int] = []

    def sleep(seconds: int) -> None:
        slept.append(seconds)
        if len(slept) == 7:
            raise KeyboardInterrupt

    monkeypatch.setattr(tick.time, "sleep", sleep)
    monkeypatch.setattr(tick.connection, "close", lambda: None)  # the test's transaction is on it
    with connection.execute_wrapper(fails), pytest.raises(KeyboardInterrupt):
        call_command("tick", every=15)
    assert slept == [30, 60, 120, 240, 300, 300, 300]
