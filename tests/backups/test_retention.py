"""What retention keeps: each guard and each rule by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dbadmin.backups.retention import YOUNG, Item, Policy, decide
from dbadmin.exceptions import ValidationFailed
from dbadmin.text import Text

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)
GROUPS = ("local daily", "local hourly", "bucket daily")


def item(number: int, days: float, **overrides: Any) -> Item:
    """A good copy of backup ``number`` that was taken some days ago."""
    defaults = {"id": number, "backup": number, "group": GROUPS[0], "taken_at": NOW - days * DAY}
    return Item(**defaults | overrides)  # type: ignore[arg-type]


def kept(items: Iterable[Item], policy: Policy | None, **more: Any) -> list[int]:
    decisions = decide(items, dict.fromkeys(GROUPS, policy), now=NOW, **more)
    return sorted(decision.item.id for decision in decisions if decision.keep)


def why(items: Iterable[Item], policy: Policy | None, number: int, **more: Any) -> str:
    decisions = decide(items, dict.fromkeys(GROUPS, policy), now=NOW, **more)
    return " ".join(str(reason) for each in decisions if each.item.id == number for reason in each.reasons)


def daily(count: int) -> list[Item]:
    return [item(number, number) for number in range(1, count + 1)]


# Rules


def test_the_newest_stay() -> None:
    assert kept(daily(9), Policy(last=3)) == [1, 2, 3]


def test_days_count_back_from_the_newest() -> None:
    assert kept(daily(9), Policy(within_days=3)) == [1, 2, 3, 4]
    assert kept(daily(9), Policy(within_days=2**31 - 1)) == [*range(1, 10)]


def test_the_newest_of_each_day_stays() -> None:
    twice = [item(number, number / 2) for number in range(1, 9)]
    assert kept(twice, Policy(daily=2)) == [1, 2]  # today at 0:00, and yesterday at noon


def test_a_standstill_of_a_year_releases_nothing_more() -> None:
    old = [item(number, 365 + number) for number in range(1, 10)]
    assert kept(old, Policy(daily=7, within_days=3)) == [1, 2, 3, 4, 5, 6, 7]


def test_days_begin_in_the_zone_of_the_policy() -> None:
    evening, night = item(1, 0, taken_at=NOW.replace(hour=16)), item(2, 0, taken_at=NOW.replace(hour=14))
    later = NOW + DAY
    utc = decide([evening, night], {GROUPS[0]: Policy(daily=5)}, now=later)
    assert [each.keep for each in utc] == [True, False]
    tokyo = decide([evening, night], {GROUPS[0]: Policy(daily=5, time_zone="Asia/Tokyo")}, now=later)
    assert [each.keep for each in tokyo] == [True, True]


def test_the_hour_that_comes_twice_is_two_hours() -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    twice = [item(1, 0, taken_at=first), item(2, 0, taken_at=first + timedelta(hours=1))]
    assert kept(twice, Policy(hourly=5, time_zone="Europe/Berlin")) == [1, 2]


def test_weeks_are_those_of_iso() -> None:
    days = [datetime(2027, 1, day, 3, tzinfo=UTC) for day in (1, 3, 4)]  # Friday, Sunday of 2026-W53, Monday of W01
    items = [item(number, 0, taken_at=day) for number, day in enumerate(days)]
    decisions = decide(items, {GROUPS[0]: Policy(weekly=9)}, now=NOW + 100 * DAY)
    assert [each.item.id for each in decisions if each.keep] == [2, 1]
    assert "2026-W53" in str(decisions[1].reasons[0])


def test_without_a_policy_or_a_rule_everything_stays() -> None:
    assert kept(daily(4), None) == kept(daily(4), Policy(minimum=1)) == [1, 2, 3, 4]
    assert why(daily(4), None, 4) == "Kept for ever: no retention applies."


def test_never_fewer_than_the_minimum() -> None:
    assert kept(daily(9), Policy(last=1, minimum=4)) == [1, 2, 3, 4]


def test_what_goes_says_why() -> None:
    assert "No rule of “Few” keeps it any more" in why(daily(3), Policy(name="Few", last=1), 3)


def test_a_zone_that_is_none_is_a_sentence() -> None:
    with pytest.raises(ValidationFailed, match="Europe/Atlantis"):
        kept(daily(2), Policy(daily=1, time_zone="Europe/Atlantis"))


# Guards

ONE = Policy(last=1)


def test_a_pin_stays_with_its_note() -> None:
    items = [*daily(3), item(4, 9, pinned=True, pin_note="before the move")]
    assert kept(items, ONE) == [1, 4]
    assert why(items, ONE, 4) == "Pinned: before the move"


def test_the_newest_proven_one_stays_in_every_storage() -> None:
    copy = item(9, 3, backup=3, group=GROUPS[2], proven=True)
    items = [*daily(5), replace(item(3, 3), id=8, proven=True), copy]
    assert {8, 9} < set(kept(items, ONE))


def test_a_damaged_one_counts_for_nothing() -> None:
    items = [*daily(4), item(5, 1.5, good=False)]
    assert kept(items, Policy(last=2)) == [1, 2, 5]  # it takes no place of a good one
    assert kept(items, ONE) == [1]


def test_while_the_newest_is_damaged_nothing_goes() -> None:
    items = [item(9, 0.5, good=False), *daily(4)]
    assert kept(items, ONE) == [1, 2, 3, 4, 9]
    assert "damaged or has vanished" in why(items, ONE, 4)


def test_while_newer_runs_fail_nothing_of_the_group_goes() -> None:
    others = [item(number + 10, number, group=GROUPS[1]) for number in range(1, 4)]
    failing = {GROUPS[0]: Text("The newest run failed.")}
    assert kept([*daily(4), *others], ONE, failing=failing) == [1, 2, 3, 4, 11]
    assert why(daily(4), ONE, 4, failing=failing) == "The newest run failed."


def test_while_the_newest_copy_is_waited_for_nothing_in_that_storage_goes() -> None:
    items = [*daily(4), *(item(10 + n, n, backup=n, group=GROUPS[2], stored=n > 1, good=n > 1) for n in range(1, 5))]
    assert kept(items, ONE) == [1, 11, 12, 13, 14]


def test_what_another_storage_still_waits_for_stays_where_it_is() -> None:
    waiting = item(13, 3, backup=3, group="monthly", stored=False, good=False)
    policies = {GROUPS[0]: ONE, "monthly": Policy(monthly=12)}
    there = item(11, 1, backup=1, group="monthly")
    older = item(14, 30, backup=4, group="monthly", stored=False, good=False)
    items = [*daily(3), item(4, 30), there, waiting, older]
    decisions = {each.item.id: each for each in decide(items, policies, now=NOW)}
    assert not decisions[3].keep  # the same month is there already
    assert decisions[4].keep
    assert str(decisions[4].reasons[0]) == "Another storage still waits for its copy."


def test_a_base_stays_as_long_as_what_builds_on_it() -> None:
    chain = [item(1, 1, base=2), item(2, 2, base=3), item(3, 3), item(4, 4)]
    assert kept(chain, ONE) == [1, 2, 3]


def test_the_young_the_read_and_the_future_stay() -> None:
    items = [
        item(1, 0.01),
        item(2, 1),
        item(3, 8, stored_at=NOW - YOUNG / 2),
        item(4, 9, busy=True),
        item(5, -3),
        item(6, 9),
    ]
    assert kept(items, ONE) == [1, 3, 4, 5]


def test_backups_dated_in_the_future_take_nobodys_place() -> None:
    assert kept([item(7, -1), item(8, -2), item(9, -3), *daily(5)], Policy(last=2)) == [1, 2, 7, 8, 9]


def test_a_clock_set_back_by_a_year_releases_nothing() -> None:
    decisions = decide(daily(9), {GROUPS[0]: ONE}, now=NOW - 365 * DAY)
    assert all(each.keep for each in decisions)


def test_a_clock_set_ahead_by_a_year_releases_no_more_than_today() -> None:
    ahead = decide(daily(9), {GROUPS[0]: Policy(within_days=4, daily=2)}, now=NOW + 365 * DAY)
    assert sorted(each.item.id for each in ahead if each.keep) == kept(daily(9), Policy(within_days=4, daily=2))
