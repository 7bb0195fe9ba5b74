"""What retention keeps of anything that hypothesis can think of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from dbadmin.backups.retention import YOUNG, Decision, Item, Policy, decide
from dbadmin.text import Text
from tests.backups.test_retention import DAY, GROUPS, NOW, item

counts = st.integers(0, 4)
zones = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Tokyo", "America/St_Johns", "Pacific/Kiritimati"])
policies = st.builds(
    Policy,
    name=st.just("Any"),
    last=counts,
    within_days=counts,
    hourly=counts,
    daily=counts,
    weekly=counts,
    monthly=counts,
    yearly=counts,
    minimum=counts,
    time_zone=zones,
)
by_group = st.fixed_dictionaries({group: st.none() | policies for group in GROUPS})
failures = st.sets(st.sampled_from(GROUPS)).map(lambda groups: {group: Text("It failed.") for group in groups})


@st.composite
def catalogues(draw: st.DrawFn) -> list[Item]:
    """Backups at any time, each with one to three copies in any state, some built on others."""
    items: list[Item] = []
    hours = draw(st.lists(st.integers(-60, 24 * 500), max_size=25))
    for backup, before in enumerate(hours):
        base = draw(st.none() | st.integers(0, backup - 1)) if backup else None
        proven, pinned = draw(st.booleans()), draw(st.integers(0, 9)) == 0
        scope = draw(st.sampled_from(["full", "full", "schema"]))
        for group in draw(st.sets(st.sampled_from(GROUPS), min_size=1)):
            state = draw(st.sampled_from(["good", "good", "good", "good", "bad", "waiting"]))
            items.append(
                Item(
                    id=len(items),
                    backup=backup,
                    group=group,
                    taken_at=NOW - timedelta(hours=before),
                    scope=scope,
                    base=base,
                    good=state == "good",
                    stored=state != "waiting",
                    proven=proven,
                    pinned=pinned,
                    busy=draw(st.integers(0, 9)) == 0,
                )
            )
    return items


def released(decisions: Iterable[Decision]) -> set[int]:
    return {decision.item.id for decision in decisions if not decision.keep}


@given(catalogues(), by_group, failures)
@settings(max_examples=400, deadline=None)
def test_the_guards_hold_for_anything(
    items: list[Item], by_group: dict[str, Policy | None], failing: dict[str, Text]
) -> None:
    decisions = decide(items, by_group, now=NOW, failing=failing)
    gone = released(decisions)
    staying = [each for each in items if each.id not in gone]
    good = [each for each in items if each.good and each.taken_at <= NOW]
    for wanted in (good, [each for each in good if each.proven], [each for each in good if each.scope == "schema"]):
        if wanted:
            newest = max(wanted, key=lambda each: (each.taken_at, each.backup))
            assert all(each.id not in gone for each in good if each.backup == newest.backup)
    for each in items:
        if each.pinned or each.busy or not each.stored or each.taken_at > NOW - YOUNG or each.group in failing:
            assert each.id not in gone
        if by_group[each.group] is None:
            assert each.id not in gone
    bases = {each.base for each in staying}
    assert not [each for each in items if each.id in gone and each.backup in bases]
    for group in GROUPS:
        of_group = [each for each in good if each.group == group]
        policy = by_group[group]
        if policy and of_group:
            assert len([each for each in of_group if each.id not in gone]) >= min(len(of_group), max(1, policy.minimum))
    assert {each.item.id for each in decisions} == {each.id for each in items}
    assert all(each.reasons for each in decisions)


@given(catalogues(), by_group, failures)
@settings(max_examples=200, deadline=None)
def test_deciding_twice_releases_nothing_more(
    items: list[Item], by_group: dict[str, Policy | None], failing: dict[str, Text]
) -> None:
    gone = released(decide(items, by_group, now=NOW, failing=failing))
    staying = [each for each in items if each.id not in gone]
    assert released(decide(staying, by_group, now=NOW, failing=failing)) == set()


@given(catalogues(), by_group, st.randoms())
@settings(max_examples=100, deadline=None)
def test_the_order_of_the_input_does_not_matter(
    items: list[Item], by_group: dict[str, Policy | None], random: Any
) -> None:
    shuffled = random.sample(items, len(items))
    assert decide(shuffled, by_group, now=NOW) == decide(items, by_group, now=NOW)


RULES = ("last", "within_days", "hourly", "daily", "weekly", "monthly", "yearly", "minimum")


@given(catalogues(), by_group, st.sampled_from(GROUPS), st.fixed_dictionaries(dict.fromkeys(RULES, counts)))
@settings(max_examples=200, deadline=None)
def test_a_more_generous_policy_never_releases_more(
    items: list[Item], by_group: dict[str, Policy | None], group: str, more: dict[str, int]
) -> None:
    policy = by_group[group]
    if policy is None or policy.keeps_all:
        return  # nothing is more generous than that
    generous = replace(policy, **{rule: getattr(policy, rule) + count for rule, count in more.items()})
    few, many = decide(items, by_group, now=NOW), decide(items, by_group | {group: generous}, now=NOW)
    assert released(many) <= released(few)


@given(catalogues(), by_group, st.sampled_from(GROUPS))
@settings(max_examples=100, deadline=None)
def test_a_failure_never_releases_more(items: list[Item], by_group: dict[str, Policy | None], group: str) -> None:
    failing = {group: Text("It failed.")}
    assert released(decide(items, by_group, now=NOW, failing=failing)) <= released(decide(items, by_group, now=NOW))


@given(zones, st.integers(1, 4), st.integers(1, 3))
@settings(max_examples=12, deadline=None)
def test_applied_every_day_for_years_it_keeps_what_it_would_keep_of_everything(
    zone: str, a_day: int, scale: int
) -> None:
    """Deleting as we go ends where deleting once at the end would, and that is seven days, weeks and months."""
    policy = Policy(daily=7 * scale, weekly=4 * scale, monthly=6 * scale, yearly=2, time_zone=zone)
    every: list[Item] = []
    staying: list[Item] = []
    for day in range(500):
        now = NOW + day * DAY
        for part in range(a_day):
            new = item(len(every), 0, taken_at=now + part * DAY / a_day)
            every.append(new)
            staying.append(new)
        later = now + DAY
        gone = released(decide(staying, {GROUPS[0]: policy}, now=later))
        staying = [each for each in staying if each.id not in gone]
    expected = expected_of(every, policy)
    assert {each.id for each in staying} == expected


def expected_of(items: Iterable[Item], policy: Policy) -> set[int]:
    """Say the same as the rules in another way."""
    zone, found = ZoneInfo(policy.time_zone), set()
    for count, name in (
        (policy.daily, lambda at: at.date()),
        (policy.weekly, lambda at: at.isocalendar()[:2]),
        (policy.monthly, lambda at: (at.year, at.month)),
        (policy.yearly, lambda at: at.year),
    ):
        buckets: dict[Any, Item] = defaultdict()
        for each in sorted(items, key=lambda each: each.taken_at):
            buckets[name(each.taken_at.astimezone(zone))] = each
        found |= {each.id for each in sorted(buckets.values(), key=lambda each: each.taken_at)[-count:]}
    return found
