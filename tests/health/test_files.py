"""Health of a real folder of JSON files."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.utils import timezone

from dbadmin.choices import Verdict
from dbadmin.health.run import run_checks
from dbadmin.models import CheckResult, Database
from tests.factories import make_backup, make_database, make_schedule

pytestmark = pytest.mark.django_db


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/members.json").write_text('{"1_2": {"user_id": 2}}')
    (tmp_path / "config/version.json").write_text('{"version": "1.1.0"}')
    return tmp_path / "config"


@pytest.fixture
def database(config: Path) -> Database:
    settings = {"folder": str(config), "required": ["members.json", "version.json"], "optional": ["roles*.json"]}
    database = make_database(engine="files", settings=settings)
    make_backup(database=database)
    make_schedule()
    return database


def run(database: Database) -> dict[str, CheckResult]:
    return {result.check_id: result for result in run_checks(database, now=timezone.now())}


def test_a_complete_set_is_well(database: Database) -> None:
    assert {result.verdict for result in run(database).values()} == {Verdict.OK, Verdict.SKIPPED}


def test_broken_json_is_critical_with_line_and_column(database: Database, config: Path) -> None:
    (config / "roles1.json").write_text('{\n  "a": 1,\n  "b" 2\n}')
    result = run(database)["files_valid"]
    assert result.verdict == Verdict.CRITICAL
    assert "roles1.json is not valid JSON: line 3, column 7" in str(result.message)


def test_a_missing_required_file_is_critical(database: Database, config: Path) -> None:
    (config / "members.json").unlink()
    results = run(database)
    assert results["files_required"].verdict == Verdict.CRITICAL
    assert results["files_valid"].verdict == Verdict.OK


def test_a_missing_folder_is_never_green(database: Database, config: Path) -> None:
    config.rename(config.with_name("away"))
    known = ("backup_freshness", "schedule", "schedule_runs")  # of the catalogue alone
    verdicts = {name: result.verdict for name, result in run(database).items() if name not in known}
    assert Verdict.OK not in verdicts.values()
