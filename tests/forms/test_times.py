from __future__ import annotations

from typing import Any

import pytest

from dbadmin.forms.times import TimesForm, fields_of
from dbadmin.timetable import plain

BERLIN = {"time_zone": "Europe/Berlin"}


def typed(**given: Any) -> TimesForm:
    return TimesForm(BERLIN | given)


@pytest.mark.parametrize(
    ("given", "expression"),
    [
        ({"every": "hour", "minute": "15"}, "15 * * * *"),
        ({"every": "day", "time": "03:00"}, "0 3 * * *"),
        ({"every": "week", "time": "04:30", "weekdays": ["1", "5"]}, "30 4 * * 1,5"),
        ({"every": "month", "time": "00:05", "day": "L"}, "5 0 L * *"),
        ({"every": "cron", "expression": " 0  3 1-7 * mon "}, "0 3 1-7 * MON"),
    ],
)
def test_fields_become_an_expression_and_come_back(given: dict[str, Any], expression: str) -> None:
    form = typed(**given)
    assert form.is_valid(), form.errors
    assert form.timetable().expression == expression
    again = TimesForm(fields_of(expression, "Europe/Berlin"))
    assert again.is_valid(), again.errors
    assert again.timetable() == form.timetable()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"every": "hour", "minute": "60"}, "less than or equal to 59"),
        ({"every": "hour"}, "at which minute"),
        ({"every": "day"}, "at what time"),
        ({"every": "day", "time": "25:00"}, "valid time"),
        ({"every": "week", "time": "03:00"}, "at least one day"),
        ({"every": "cron", "expression": "0 3 * *"}, "five parts"),
        ({"every": "cron", "expression": "0 0 31 2 *"}, "never comes"),
        ({"every": "day", "time": "03:00", "time_zone": "Mars"}, "no such time zone"),
        ({}, "required"),
    ],
)
def test_what_is_wrong_is_said(given: dict[str, Any], said: str) -> None:
    form = typed(**given)
    assert not form.is_valid()
    assert said in str(form.errors)


def test_an_expression_that_no_simple_way_says_is_shown_as_it_is() -> None:
    assert fields_of("*/10 8-18 * * 1-5")["every"] == "cron"
    assert fields_of(plain("0 3 * * mon-fri"))["weekdays"] == list("12345")
