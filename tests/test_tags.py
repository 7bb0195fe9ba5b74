from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone, translation

from dbadmin import charts
from dbadmin.choices import JobState
from dbadmin.templatetags.dbadmin import age, ago, badge, duration, icon, sentence, strip_of
from dbadmin.text import Text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.44, "0.4 s"),
        (12, "12 s"),
        (59.7, "1 min 0 s"),
        (130, "2 min 10 s"),
        (3 * 3600 + 720, "3 h 12 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds: float, words: str) -> None:
    assert duration(timedelta(seconds=seconds)) == words


def test_what_is_not_known_is_a_dash() -> None:
    assert duration(None) == ago(None) == "–"


def test_an_age_has_one_unit_and_the_exact_time_beside_it() -> None:
    moment = timezone.now() - timedelta(hours=3, minutes=20)
    assert age(moment) == "3 hours"
    assert f'datetime="{timezone.localtime(moment).isoformat()}"' in ago(moment)
    assert ">just now<" in ago(timezone.now())


def test_a_badge_is_a_word_and_a_colour() -> None:
    expected = '<span class="badge bg-red-lt">Failed</span>'
    assert badge("failed", "JobState") == badge(JobState.FAILED) == expected


def test_a_stored_sentence_is_translated_and_the_words_of_a_tool_are_not() -> None:
    with translation.override("ja"):
        assert sentence({"msgid": "{n} files", "params": {"n": 3}}) == str(Text("{n} files", n=3))
    assert sentence("FATAL: no") == "FATAL: no"
    assert sentence(None) == ""


def test_an_icon_is_hidden_from_those_who_listen() -> None:
    assert 'aria-hidden="true"' in icon("database")


def test_a_strip_is_told_in_words() -> None:
    days = [charts.Day(title=f"day {n}", colour=colour) for n, colour in enumerate(("none", "red", "yellow", "green"))]
    drawn = strip_of(days)
    assert 'aria-label="Last 4 days: backed up on 2, failed on 2."' in drawn
    assert drawn.count("<rect") == drawn.count("<title>") == 4


def test_a_sparkline_stands_any_values() -> None:
    assert 'points="0.0,20.0 100.0,0.0"' in charts.sparkline([1, 2], "size")
    assert charts.sparkline([], "size")
    assert 'points="0.0,20.0"' in charts.sparkline([5], "size")


def test_titles_are_escaped() -> None:
    assert "<b>" not in charts.strip([charts.Day(title="<b>")], "<b>")
