"""Every check, as a table of what it sees and what it says. Nothing is reached here."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dbadmin.choices import EngineName, Verdict
from dbadmin.engines.base import Snapshot
from dbadmin.exceptions import ConnectionFailed, DbadminError, ValidationFailed
from dbadmin.health import checks as checks
from dbadmin.health.registry import CHECKS, Migrations, Observation, Result, Thresholds, check, evaluate
from dbadmin.text import Text

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MB = 1024 * 1024


def ask(check_id: str, values: dict[str, Any] | None = None, **seen: Any) -> Result:
    engine = next(iter(CHECKS[check_id].engines))
    return evaluate(engine, Observation(**{"now": NOW, "snapshot": Snapshot(values=values or {})} | seen))[check_id]


@pytest.mark.parametrize(
    ("check_id", "values", "verdict"),
    [
        ("connections", {"connections_used": 79, "connections_max": 100}, Verdict.OK),
        ("connections", {"connections_used": 80, "connections_max": 100}, Verdict.WARNING),
        ("connections", {"connections_used": 90, "connections_max": 100}, Verdict.CRITICAL),
        ("connections", {"connections_used": 0, "connections_max": 0}, Verdict.UNKNOWN),
        ("connections", {"connections_max": 100}, Verdict.UNKNOWN),
        ("connections", {"connections_used": None, "connections_max": 100}, Verdict.UNKNOWN),
        ("size", {"size_bytes": 1000 * MB}, Verdict.OK),
        ("size", {"size_bytes": 1000 * MB + 1}, Verdict.WARNING),
        ("size", {"size_bytes": 900_000 * MB}, Verdict.WARNING),
        ("size", {}, Verdict.UNKNOWN),
        ("sqlite_content", {"size_bytes": 0, "table_count": 0}, Verdict.CRITICAL),
        ("sqlite_content", {"size_bytes": 4096, "table_count": 0}, Verdict.CRITICAL),
        ("sqlite_content", {"size_bytes": 4096, "table_count": 1}, Verdict.OK),
        ("quick_check", {"quick_check": ["ok"]}, Verdict.OK),
        ("quick_check", {"quick_check": ["row 1 missing from index a"]}, Verdict.CRITICAL),
        ("wal_size", {"wal_bytes": 63 * MB}, Verdict.OK),
        ("wal_size", {"wal_bytes": 64 * MB}, Verdict.WARNING),
        ("wal_size", {"wal_bytes": 512 * MB}, Verdict.CRITICAL),
        ("files_required", {"missing_required": [], "file_count": 3}, Verdict.OK),
        ("files_required", {"missing_required": ["roles*.json"], "file_count": 3}, Verdict.CRITICAL),
        ("files_valid", {"invalid": []}, Verdict.OK),
    ],
)
def test_values_are_judged(check_id: str, values: dict[str, Any], verdict: Verdict) -> None:
    assert ask(check_id, values).verdict == verdict


@pytest.mark.parametrize(
    ("age_hours", "verdict"),
    [(25.9, Verdict.OK), (26, Verdict.WARNING), (51.9, Verdict.WARNING), (52, Verdict.CRITICAL)],
)
def test_the_newest_backup_ages(age_hours: float, verdict: Verdict) -> None:
    assert ask("backup_freshness", newest_backup=NOW - timedelta(hours=age_hours)).verdict == verdict


def test_without_any_backup_the_hint_is_to_make_one() -> None:
    result = ask("backup_freshness")
    assert (result.verdict, str(result.hint)) == (Verdict.CRITICAL, "Back up now.")


def test_no_age_limit_is_skipped_and_not_green() -> None:
    assert ask("backup_freshness", thresholds=Thresholds(backup_age_hours=0)).verdict == Verdict.SKIPPED


@pytest.mark.parametrize(
    ("failure", "times", "verdict"),
    [
        (None, 0, Verdict.OK),
        (ConnectionFailed(Text("Down.")), 1, Verdict.WARNING),
        (ConnectionFailed(Text("Down.")), 2, Verdict.WARNING),
        (ConnectionFailed(Text("Down.")), 3, Verdict.CRITICAL),
        (ValidationFailed(Text("The key does not fit.")), 1, Verdict.CRITICAL),
    ],
)
def test_failures_in_a_row_weigh_more(failure: DbadminError | None, times: int, verdict: Verdict) -> None:
    assert ask("reachable", failure=failure, failed_probes=times).verdict == verdict


@pytest.mark.parametrize("engine", list(EngineName))
def test_nothing_is_green_of_a_database_that_is_down(engine: str) -> None:
    seen = Observation(now=NOW, failure=ConnectionFailed(Text("Down.")), failed_probes=1)
    assert Verdict.OK not in {result.verdict for result in evaluate(engine, seen).values()}


def test_a_fresh_backup_is_known_of_a_database_that_is_down() -> None:
    seen = Observation(now=NOW, failure=ConnectionFailed(Text("Down.")), newest_backup=NOW)
    assert evaluate("postgresql", seen)["backup_freshness"].verdict == Verdict.OK


def test_a_value_the_role_may_not_see_is_unknown_with_its_reason() -> None:
    snapshot = Snapshot(
        values={"connections_used": 1, "connections_max": 100},
        unavailable={"connections_used": Text("The role is not in pg_monitor.")},
    )
    result = evaluate("postgresql", Observation(now=NOW, snapshot=snapshot))["connections"]
    assert (result.verdict, str(result.message)) == (Verdict.UNKNOWN, "The role is not in pg_monitor.")


def test_invalid_json_is_named_by_line_and_column() -> None:
    broken = [
        {"path": "roles.json", "line": 3, "column": 7, "reason": "Expecting ','"},
        {"path": "b.json", "line": 1, "column": 1, "reason": "Expecting value"},
    ]
    result = ask("files_valid", {"invalid": broken})
    assert result.verdict == Verdict.CRITICAL
    assert "roles.json is not valid JSON: line 3, column 7" in str(result.message)
    assert "b.json" in str(result.message)


def reading(**overrides: Any) -> Migrations:
    plain = {"tool": "alembic", "head": "c1104acd2fa6", "pending": 0, "problem": Text(""), "read_at": NOW}
    return Migrations(**plain | overrides)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ({}, Verdict.OK),
        ({"pending": None}, Verdict.OK),
        ({"pending": 2}, Verdict.WARNING),
        ({"modified": ("a",)}, Verdict.WARNING),
        ({"problem": Text("There are two heads.")}, Verdict.WARNING),
        ({"failed": ("a",), "pending": 2}, Verdict.CRITICAL),
        ({"file_missing": ("a",)}, Verdict.CRITICAL),
        ({"read_at": NOW - timedelta(days=2)}, Verdict.UNKNOWN),
    ],
)
def test_migrations_are_judged_by_their_worst(found: dict[str, Any], verdict: Verdict) -> None:
    assert ask("migrations", migrations=(reading(), reading(**found))).verdict == verdict


def test_without_a_migration_tool_there_is_nothing_to_judge() -> None:
    assert ask("migrations").verdict == Verdict.SKIPPED


@pytest.fixture
def buggy_check() -> Iterator[str]:
    @check("buggy", Text("Buggy"), engines={EngineName.FILES})
    def buggy(seen: Observation) -> Result:
        raise ZeroDivisionError

    yield "buggy"
    del CHECKS["buggy"]


def test_a_bug_in_one_check_is_logged_and_leaves_the_others(buggy_check: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        results = evaluate("files", Observation(now=NOW, snapshot=Snapshot(values={"invalid": []})))
    assert results[buggy_check].verdict == Verdict.UNKNOWN
    assert results["files_valid"].verdict == Verdict.OK
    assert "ZeroDivisionError" in caplog.text
