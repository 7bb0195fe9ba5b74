"""Cron expressions by the clocks of a place, over the nights on which clocks are changed."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from django.utils.translation import gettext
from hypothesis import given, settings
from hypothesis import strategies as st

from dbadmin.exceptions import ValidationFailed
from dbadmin.text import set_translator
from dbadmin.timetable import TEMPLATES, Timetable, from_simple, to_simple, zones
from dbadmin.timetable.fields import fields

BERLIN, NEW_YORK, TOKYO = "Europe/Berlin", "America/New_York", "Asia/Tokyo"
SPRING = {BERLIN: datetime(2026, 3, 29, 1, tzinfo=UTC), NEW_YORK: datetime(2026, 3, 8, 7, tzinfo=UTC)}
AUTUMN = {BERLIN: datetime(2026, 10, 25, 1, tzinfo=UTC), NEW_YORK: datetime(2026, 11, 1, 6, tzinfo=UTC)}

minutes = st.one_of(st.just("*"), st.just("*/15"), st.integers(0, 59).map(str), st.just("5,35"))
hours = st.one_of(st.just("*"), st.just("*/6"), st.integers(0, 23).map(str), st.just("1-4"))
days = st.one_of(st.just("*"), st.integers(1, 31).map(str), st.just("L"), st.just("LW"), st.just("1-7"))
months = st.one_of(st.just("*"), st.sampled_from(["1", "3", "10-12", "JAN"]))
weekdays = st.one_of(st.just("*"), st.integers(0, 7).map(str), st.just("MON-FRI"), st.just("SUN#1"), st.just("5L"))
expressions = st.builds(" ".join, st.tuples(minutes, hours, days, months, weekdays))
moments = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))


def local(table: Timetable, after: datetime, count: int) -> list[str]:
    zone = ZoneInfo(table.zone)
    return [f"{moment.astimezone(zone):%d %H:%M %z}" for moment in table.coming(after, count)]


def test_a_moment_in_the_hour_that_is_left_out_in_spring_comes_an_hour_later() -> None:
    before = SPRING[BERLIN] - timedelta(days=1)
    assert local(Timetable("30 2 * * *", BERLIN), before, 3) == ["28 02:30 +0100", "29 03:30 +0200", "30 02:30 +0200"]
    before = SPRING[NEW_YORK] - timedelta(days=1)
    assert local(Timetable("30 2 * * *", NEW_YORK), before, 2) == ["07 02:30 -0500", "08 03:30 -0400"]


def test_a_moment_that_comes_twice_in_autumn_is_meant_once() -> None:
    before = AUTUMN[BERLIN] - timedelta(days=1)
    assert local(Timetable("30 2 * * *", BERLIN), before, 2) == ["25 02:30 +0200", "26 02:30 +0100"]
    before = AUTUMN[NEW_YORK] - timedelta(days=1)
    assert local(Timetable("30 1 * * *", NEW_YORK), before, 2) == ["01 01:30 -0400", "02 01:30 -0500"]


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, TOKYO])
@pytest.mark.parametrize("expression", ["15 * * * *", "*/15 * * * *"])
def test_what_runs_every_hour_goes_on_without_a_gap_when_clocks_are_changed(zone: str, expression: str) -> None:
    table = Timetable(expression, zone)
    for change in (SPRING.get(zone, SPRING[BERLIN]), AUTUMN.get(zone, AUTUMN[BERLIN])):
        coming = table.coming(change - timedelta(hours=3), 24)
        assert len({later - earlier for earlier, later in pairwise(coming)}) == 1


def test_a_range_in_the_hour_that_is_left_out_is_not_lost() -> None:
    table = Timetable("*/20 2 * * *", BERLIN)
    assert local(table, SPRING[BERLIN] - timedelta(hours=12), 3) == [
        "29 03:00 +0200",
        "29 03:20 +0200",
        "29 03:40 +0200",
    ]


def test_clocks_that_change_at_midnight_or_leave_a_day_out_lose_nothing() -> None:
    havana = Timetable("30 0 * * *", "America/Havana")
    assert local(havana, datetime(2026, 3, 7, 12, tzinfo=UTC), 2) == ["08 01:30 -0400", "09 00:30 -0400"]
    samoa = Timetable("0 12 * * *", "Pacific/Apia")
    assert local(samoa, datetime(2011, 12, 28, 23, tzinfo=UTC), 3) == [
        "29 12:00 -1000",
        "31 12:00 +1400",
        "01 12:00 +1400",
    ]


def test_tokyo_has_every_day_once() -> None:
    table = Timetable("30 2 * * *", TOKYO)
    year = table.due_between(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)).moments
    assert {later - earlier for earlier, later in pairwise(year)} == {timedelta(days=1)}


@given(expression=expressions, after=moments)
@settings(max_examples=300, deadline=None)
def test_in_utc_it_is_what_cronsim_says(expression: str, after: datetime) -> None:
    try:
        table = Timetable(expression)
    except ValidationFailed:
        return
    theirs = CronSim(expression, after)
    assert table.coming(after, 5) == [next(theirs) for _each in range(5)]


@given(expression=expressions, after=moments, zone=st.sampled_from([BERLIN, NEW_YORK, "Australia/Lord_Howe"]))
@settings(max_examples=300, deadline=None)
def test_moments_ascend_and_are_the_same_wherever_one_begins(expression: str, after: datetime, zone: str) -> None:
    try:
        table = Timetable(expression, zone)
    except ValidationFailed:
        return
    coming = table.coming(after, 6)
    assert all(earlier < later for earlier, later in pairwise([after, *coming]))
    for earlier, later in pairwise(coming):
        assert table.next(earlier) == later
        assert table.next(later - timedelta(minutes=1)) == later


@given(days=st.integers(0, 364), hour=st.integers(0, 23), zone=st.sampled_from([BERLIN, NEW_YORK]))
@settings(max_examples=200, deadline=None)
def test_a_daily_schedule_comes_once_on_every_local_day(days: int, hour: int, zone: str) -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days)
    coming = Timetable(f"30 {hour} * * *", zone).coming(first, 4)
    dates = [moment.astimezone(ZoneInfo(zone)).date() for moment in coming]
    assert {later - earlier for earlier, later in pairwise(dates)} == {timedelta(days=1)}


def test_of_too_many_moments_the_newest_are_named_and_the_others_counted() -> None:
    due = Timetable("* * * * *").due_between(
        datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 2, tzinfo=UTC), limit=3
    )
    assert [moment.minute for moment in due.moments] == [58, 59, 0]
    assert (due.earlier, due.first) == (117, datetime(2026, 1, 1, 0, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 3 * * *", "Every day at 03:00"),
        ("0 3,15 * * *", "Every day at 03:00, 15:00"),
        ("15 * * * *", "Every hour at minute 15"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("* * * * *", "Every minute"),
        ("5 */6 * * *", "Every 6 hours at minute 5"),
        ("0 2 * * 0", "Sundays at 02:00"),
        ("0 2 * * mon,fri", "Mondays and Fridays at 02:00"),
        ("0 2 * * 1-5", "Monday to Friday at 02:00"),
        ("0 5 1 * *", "On the 1st of each month at 05:00"),
        ("0 5 15 * *", "On day 15 of each month at 05:00"),
        ("0 5 L * *", "On the last day of each month at 05:00"),
        ("@daily", "Every day at 00:00"),
        ("0 2 * * SUN#1", "On the first Sunday of the month: at 02:00"),
        ("0 2 * * 7L,1#3", "On the third Monday of the month and the last Sunday of the month: at 02:00"),
        ("0 2 * * 2,4,6", "Tuesdays, Thursdays and Saturdays at 02:00"),
        ("0 2 * 4 5-7", "In April, on Fridays to Sundays: at 02:00"),
        ("*/20 9-17 * * MON-FRI", "On Mondays to Fridays: every 20 minutes within 09:00–17:59"),
        ("30 23 L 3,6,9,12 *", "In March, June, September and December, on the last day of the month: at 23:30"),
        (
            "0 0 LW 10-12 *",
            "In October to December, on the last day of the month that is no Saturday or Sunday: at 00:00",
        ),
        ("0 0 1-7 * SUN", "On days 1–7 of the month and also on Sundays: at 00:00"),
        ("0 0 */10 * MON", "On days 1, 11, 21, 31 of the month, but only where these are Mondays: at 00:00"),
        ("0 0 1-31 * FRI", "Every day: at 00:00"),
        ("0 0 */31 2 *", "In February, on day 1 of the month: at 00:00"),
        ("0 */5 * * *", "Every day: at 00:00, 05:00, 10:00, 15:00, 20:00"),
        ("0 */6 * 2 *", "In February, every day: every 6 hours at minute 0"),
        ("*/25 * * * *", "Every day: at minutes 0, 25, 50 of every hour"),
        ("3-50 22,23 * * 1", "On Mondays: at minutes 3–50 of every hour within 22:00–23:59"),
        ("15 8-22 * * *", "Every day: at minute 15 of every hour within 08:00–22:59"),
        ("* 3 * * *", "Every day: every minute within 03:00–03:59"),
    ],
)
def test_it_is_said_as_a_person_would(expression: str, words: str) -> None:
    assert str(Timetable(expression).sentence) == words


@pytest.mark.parametrize("expression", ["17 3 */2 * *", "*/7 */2 * * *", "1-59/2 * * * *"])
def test_what_takes_too_many_words_is_shown_as_it_is(expression: str) -> None:
    assert str(Timetable(expression).sentence) == expression


def test_every_part_of_a_sentence_can_be_translated() -> None:
    set_translator(lambda message: message.upper() if "{" not in message else message)
    try:
        said = str(Timetable("0 2 LW 1 5,1#2").sentence)
    finally:
        set_translator(gettext)
    assert "FRIDAYS" in said
    assert "MONDAY" in said
    assert "JANUARY" in said
    assert "SATURDAY OR SUNDAY" in said


def test_two_that_are_said_alike_mean_the_same() -> None:
    chance = random.Random(7)
    parts = (
        ["*", "0", "*/15", "*/7", "5,35", "0-2", "0-29", "5-59/10"],
        ["*", "3", "*/6", "*/5", "1-4", "9-17", "0-23", "3,4,22"],
        ["*", "1", "1-31", "*/10", "L", "LW", "1-7", "1,2", "1,3,L", "29"],
        ["*", "2", "1-12", "10-12", "3,6"],
        ["*", "0", "7", "MON-FRI", "SUN#1", "5L", "1,2,5", "0-7", "MON,1#3"],
    )
    told: dict[str, object] = {}
    for _each in range(1500):
        with suppress(ValidationFailed):
            table = Timetable(" ".join(chance.choice(part) for part in parts))
            assert told.setdefault(str(table.sentence), meaning(table)) == meaning(table), table


def meaning(table: Timetable) -> object:
    cron = fields(table.expression)
    days = [datetime(2028, 1, 1).date() + timedelta(days=day) for day in range(366)]
    return cron.minutes, cron.hours, [day for day in days if day.month in cron.months and cron.match_day(day)]


@given(expression=expressions)
@settings(max_examples=300, deadline=None)
def test_everything_that_is_taken_can_be_said(expression: str) -> None:
    try:
        assert str(Timetable(expression).sentence)
    except ValidationFailed:
        assert expression.split()[2] in ("30", "31")


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("1 2 3", "has 3"),
        ("0 0 3 * * *", "has 6"),
        ("60 * * * *", "“60” is no minute"),
        ("0 x * * *", "“X” is no hour"),
        ("0 0 0 * *", "“0” is no day of the month"),
        ("0 0 * 13 *", "“13” is no month"),
        ("0 0 * * L", "“L” is no day of the week"),
        ("*/0 * * * *", "“*/0” is no minute"),
        ("0 0 31 2,4 *", "never comes"),
        ("@reboot", "no moment of the clock"),
        ("* " * 60, "longer than"),
        ("", "has 0"),
    ],
)
def test_what_means_nothing_is_refused_with_the_part_that_is_wrong(expression: str, words: str) -> None:
    with pytest.raises(ValidationFailed, match=words.replace("*", r"\*")):
        Timetable(expression)


@pytest.mark.parametrize("zone", ["", "Europe", "Europe/Nowhere", "../etc/passwd", "x" * 300, "a\0b"])
def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValidationFailed, match="There is no time zone"):
        Timetable("0 3 * * *", zone)


@given(text=st.text(max_size=30))
def test_nothing_that_is_typed_breaks_it(text: str) -> None:
    with suppress(ValidationFailed):
        Timetable(text, "UTC")


@pytest.mark.parametrize(
    "fields",
    [
        {"every": "hour", "minute": 15},
        {"every": "day", "time": "03:05"},
        {"every": "week", "time": "02:00", "weekday": 6},
        {"every": "month", "time": "23:59", "day": "31"},
        {"every": "month", "time": "00:00", "day": "L"},
    ],
)
def test_the_simple_form_and_back(fields: dict[str, str]) -> None:
    simple = to_simple(from_simple(**fields))  # type: ignore[arg-type]
    assert simple is not None
    assert {name: getattr(simple, name) for name in fields} == fields


def test_the_simple_form_refuses_what_is_no_time() -> None:
    for time in ("25:00", "3", "", "03:60", "a:b"):
        with pytest.raises(ValidationFailed):
            from_simple(every="day", time=time)
    with pytest.raises(ValidationFailed):
        from_simple(every="hour", minute=60)


def test_the_templates_are_the_guides_values() -> None:
    by_name = {template.name: template.expression for template in TEMPLATES}
    assert (by_name["daily"], by_name["hourly"], by_name["maintenance"]) == ("0 3 * * *", "15 * * * *", "0 2 * * 0")
    assert all(str(Timetable(template.expression).sentence) for template in TEMPLATES)


def test_the_machine_knows_time_zones() -> None:
    assert {BERLIN, NEW_YORK, TOKYO, "UTC"} <= set(zones())
