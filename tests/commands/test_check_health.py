"""check_health: one line or one object for each check, and the worst as exit code."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from dbadmin.models import Database
from tests.factories import make_backup, make_schedule
from tests.sqlite_file import make_sqlite_file, sqlite_database

pytestmark = pytest.mark.django_db


@pytest.fixture
def database(tmp_path: Path) -> Database:
    make_schedule()
    return sqlite_database(make_sqlite_file(tmp_path / "anime.sqlite3"), slug="anime")


def check_health(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    try:
        call_command("check_health", *arguments)
    except SystemExit as end:
        return int(end.code or 0), capsys.readouterr().out
    return 0, capsys.readouterr().out


def results(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    code, out = check_health(capsys, "--json", *arguments)
    return code, json.loads(out)["results"]


def test_all_well_is_zero(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    make_backup(database=database)
    code, found = results(capsys)
    assert code == 0
    assert {"database", "check", "verdict", "message", "hint"} <= found[0].keys()
    assert {row["database"] for row in found} == {"anime"}


def test_something_critical_is_two_and_says_what_to_do(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = check_health(capsys, "--database", "anime")
    assert code == 2
    assert "anime  backup_freshness: Critical." in out
    assert "Back up now." in out


def test_what_cannot_be_told_outweighs_a_warning(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    make_backup(database=database)
    Path(database.settings["path"]).unlink()
    assert check_health(capsys)[0] == 3


def test_an_old_backup_is_a_warning(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    database.backup_age_hours = 1
    database.save()
    make_backup(database=database, started_at=timezone.now() - timedelta(minutes=90))
    assert check_health(capsys)[0] == 1


def test_an_unknown_database_is_a_usage_error(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_health(capsys, "--database", "nobody")[0] == 4


def test_a_removed_database_is_not_checked(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    Database.objects.update(removed_at=database.created_at)
    assert results(capsys) == (0, [])
