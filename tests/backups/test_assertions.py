"""What counts as a time, a number and a value, as a table."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from dbadmin.backups.assertions import as_moment, judge, one_value
from dbadmin.exceptions import ValidationFailed
from dbadmin.models import Assertion

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
NINE_HOURS = timezone(timedelta(hours=9))


@pytest.mark.parametrize(
    ("value", "zone"),
    [
        ("2026-01-31T12:00:00Z", "Asia/Tokyo"),
        ("2026-01-31T12:00:00+00:00", "Asia/Tokyo"),
        ("2026-01-31T21:00:00+09:00", "UTC"),
        ("2026-01-31 21:00:00", "Asia/Tokyo"),
        ("2026-01-31 12:00:00.000", "UTC"),
        ("2026/01/31 12:00", "UTC"),
        (" 2026-01-31T12:00 ", "UTC"),
        (1769860800, "Asia/Tokyo"),
        (1769860800.0, "UTC"),
        (Decimal(1769860800), "UTC"),
        ("1769860800", "UTC"),
        (1769860800000, "UTC"),
        (datetime(2026, 1, 31, 12), "UTC"),
        (datetime(2026, 1, 31, 21), "Asia/Tokyo"),
        (datetime(2026, 1, 31, 21, tzinfo=NINE_HOURS), "UTC"),
    ],
)
def test_every_way_to_write_a_time(value: Any, zone: str) -> None:
    assert as_moment(value, zone) == NOON


@pytest.mark.parametrize("value", [date(2026, 1, 31), "2026-01-31", "2026/01/31", "20260131"])
def test_a_date_is_its_first_moment_where_it_is_stored(value: Any) -> None:
    assert as_moment(value, "Asia/Tokyo") == datetime(2026, 1, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize("value", [None, "", "soon", "2026-13-01", float("nan"), float("inf"), 1e30, b"x", "-"])
def test_what_is_no_time_is_said(value: Any) -> None:
    with pytest.raises(ValidationFailed, match="is no time"):
        as_moment(value, "UTC")


def test_an_unknown_time_zone_is_named() -> None:
    with pytest.raises(ValidationFailed, match="Mars"):
        as_moment("2026-01-31", "Mars/Base")


@pytest.mark.parametrize(
    ("assertion", "value", "verdict"),
    [
        ({"kind": "freshness", "max_age_hours": 25}, "2026-01-30T11:00:00Z", "ok"),
        ({"kind": "freshness", "max_age_hours": 25}, "2026-01-30T10:59:59Z", "critical"),
        ({"kind": "freshness", "max_age_hours": 25}, "2026-02-01T00:00:00Z", "ok"),
        ({"kind": "count", "maximum": 100}, 100, "ok"),
        ({"kind": "count", "maximum": 100}, 101, "critical"),
        ({"kind": "count", "minimum": 1}, 0, "critical"),
        ({"kind": "count", "minimum": 1, "maximum": 2}, "2", "ok"),
        ({"kind": "value", "expected": "第1話"}, "第1話", "ok"),
        ({"kind": "value", "expected": "7"}, 7, "ok"),
        ({"kind": "value", "expected": "7"}, None, "critical"),
    ],
)
def test_answers_are_judged(assertion: dict[str, Any], value: Any, verdict: str) -> None:
    assert judge(Assertion(**assertion), value, moment=NOON)[0] == verdict


@pytest.mark.parametrize("value", [None, "many", float("nan")])
def test_a_count_that_is_no_number_is_said(value: Any) -> None:
    with pytest.raises(ValidationFailed, match="is no number"):
        judge(Assertion(kind="count", maximum=1), value, moment=NOON)


@pytest.mark.parametrize("rows", [[], [(1,), (2,)], [(1, 2)]])
def test_one_value_is_expected(rows: list[tuple[Any, ...]]) -> None:
    with pytest.raises(ValidationFailed, match="expected"):
        one_value(rows)
