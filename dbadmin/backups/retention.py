"""Which backups stay and which go, and why. Pure: nothing is read and nothing is deleted here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from dbadmin.exceptions import ValidationFailed
from dbadmin.text import Text

YOUNG: Final = timedelta(minutes=15)
Group = Any  # whatever can be a key of a dict
Reasons = dict[int, list[Text]]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What to keep; a copy that any rule wants stays. Without any rule everything stays.

    Hours, days, ISO weeks, months and years are those of ``time_zone``; the newest copy of each of the newest ones
    that have a copy is kept, and ``within_days`` counts back from the newest copy: neither a standstill nor a clock
    that runs ahead empties a storage.
    """

    name: str = ""
    last: int = 0
    within_days: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    minimum: int = 1
    time_zone: str = "UTC"

    @property
    def keeps_all(self) -> bool:
        """There is no rule that anything could be outside of."""
        return not any((self.last, self.within_days, self.hourly, self.daily, self.weekly, self.monthly, self.yearly))

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which days begin; ``ValidationFailed`` for a name that is none."""
        try:
            return ZoneInfo(self.time_zone)
        except (LookupError, ValueError, OSError) as error:
            raise ValidationFailed(
                Text(
                    "The retention “{name}” has a time zone that is none: {zone}.", name=self.name, zone=self.time_zone
                ),
                Text("Choose another zone in its settings. Until then nothing is deleted."),
            ) from error


@dataclass(frozen=True, kw_only=True)
class Item:
    """One copy of a backup. ``id`` names the copy, ``backup`` what it is a copy of, ``base`` the backup it builds on.

    Copies of one ``group`` are judged together; ``scope`` says what is in them. ``taken_at``: the moment whose content
    it holds. ``good``: it could be restored. ``stored``: it is there, good or not; else it is still waited for.
    ``read``: somebody has read it whole and found it as it was. ``busy``: a job reads it now.
    """

    id: int
    backup: int
    group: Group
    taken_at: datetime
    stored_at: datetime | None = None
    scope: str = "full"
    storage: int = 0
    size: int = 0
    base: int | None = None
    good: bool = True
    stored: bool = True
    read: bool = True
    proven: bool = False
    pinned: bool = False
    pin_note: str = ""
    busy: bool = False


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether a copy stays, and every reason for it."""

    item: Item
    keep: bool
    reasons: tuple[Text, ...]


def decide(
    items: Iterable[Item],
    policies: Mapping[Group, Policy | None],
    *,
    now: datetime,
    failing: Mapping[Group, Text] | None = None,
) -> list[Decision]:
    """Judge all copies of ONE database, newest first. ``items`` are all that are not deleted, in any order.

    A group without a policy keeps everything. ``failing``: groups of which newer runs failed, with the sentence.
    Whatever the policies say, these stay: all copies of the newest good and of the newest proven backup, what is
    pinned, what something that stays builds on, what is young, read by a job, never read whole, or dated in the future,
    and everything of a group whose newest backup is not good there. Deciding again after the deletion releases nothing
    more.
    """
    ordered = sorted(items, key=_newest_first)
    reasons: Reasons = defaultdict(list)
    past = [item for item in ordered if item.taken_at <= now]
    _guard_each(ordered, reasons, now)
    _guard_newest(past, reasons)
    groups: dict[Group, list[Item]] = defaultdict(list)
    for item in past:
        groups[item.group].append(item)
    for group, members in groups.items():
        _judge_group(members, policies.get(group), reasons, failing=(failing or {}).get(group))
    _guard_last_copies(past, policies, reasons)
    _guard_bases(ordered, reasons)
    return [_decision(item, policies.get(item.group), reasons[item.id]) for item in ordered]


def _newest_first(item: Item) -> tuple[float, int, int]:
    return (-item.taken_at.timestamp(), -item.backup, -item.id)


def _decision(item: Item, policy: Policy | None, reasons: Sequence[Text]) -> Decision:
    if reasons:
        return Decision(item=item, keep=True, reasons=tuple(reasons))
    name = policy.name if policy else ""
    if item.good:
        why = Text("No rule of “{retention}” keeps it any more, and newer good ones stay.", retention=name)
    else:
        why = Text("It is damaged or has vanished, and no rule of “{retention}” would keep it.", retention=name)
    return Decision(item=item, keep=False, reasons=(why,))


# Guards: what stays whatever the rules say


def _guard_each(items: Iterable[Item], reasons: Reasons, now: datetime) -> None:
    for item in items:
        reasons[item.id].extend(_own_guards(item, now))


def _own_guards(item: Item, now: datetime) -> Iterator[Text]:
    if not item.stored:
        yield Text("It is not in this storage yet.")
    elif not item.read:
        yield Text("It was adopted and never verified; until somebody has read it whole it does not go.")
    if item.pinned:
        yield Text("Pinned: {note}", note=item.pin_note) if item.pin_note else Text("Pinned.")
    if item.taken_at > now:
        yield Text("It is dated in the future; a clock was wrong.")
    elif max(item.taken_at, item.stored_at or item.taken_at) > now - YOUNG:
        yield Text("It was stored only minutes ago.")
    if item.busy:
        yield Text("A job is reading it.")


def _guard_newest(past: Sequence[Item], reasons: Reasons) -> None:
    """Keep every copy of the newest good backup of each scope, and of the newest proven one."""
    good = [item for item in past if item.good and item.stored]
    newest: dict[str, int] = {}
    for item in good:
        newest.setdefault(item.scope, item.backup)
    proven = next((item.backup for item in good if item.proven), None)
    for item in good:
        if newest[item.scope] == item.backup:
            reasons[item.id].append(Text("The newest good backup of the database."))
        if proven == item.backup:
            reasons[item.id].append(Text("The newest backup that a drill has proven."))


def _guard_last_copies(past: Sequence[Item], policies: Mapping[Group, Policy | None], reasons: Reasons) -> None:
    """Keep what another storage still waits for and would keep, while no copy that stays could be fetched."""
    wanted = _wanted_elsewhere(past, policies)
    staying = {item.backup for item in past if item.good and item.stored and reasons[item.id]}
    for item in past:
        if item.good and item.stored and item.backup in wanted - staying:
            reasons[item.id].append(Text("Another storage still waits for its copy."))


def _wanted_elsewhere(past: Sequence[Item], policies: Mapping[Group, Policy | None]) -> set[int]:
    waiting = {item.group for item in past if not item.stored}
    wanted: set[int] = set()
    for group in waiting:
        members = [item for item in past if item.group == group and (item.good or not item.stored)]
        policy = policies.get(group)
        chosen = _chosen(members, policy) if policy and not policy.keeps_all else {item.id for item in members}
        wanted |= {item.backup for item in members if not item.stored and item.id in chosen}
    return wanted


def _guard_bases(items: Sequence[Item], reasons: Reasons) -> None:
    """Keep every copy of a backup that something kept builds on, over as many steps as there are."""
    copies: dict[int, list[Item]] = defaultdict(list)
    for item in items:
        copies[item.backup].append(item)
    needed = [item.base for item in items if item.base is not None and reasons[item.id]]
    seen: set[int] = set()
    while needed:
        backup = needed.pop()
        if backup in seen:
            continue
        seen.add(backup)
        for item in copies[backup]:
            reasons[item.id].append(Text("A backup that stays builds on it."))
            if item.base is not None:
                needed.append(item.base)


# Rules: what the policy of a group wants


def _judge_group(members: Sequence[Item], policy: Policy | None, reasons: Reasons, *, failing: Text | None) -> None:
    if policy is None or policy.keeps_all:
        for item in members:
            reasons[item.id].append(Text("Kept for ever: no retention applies."))
        return
    frozen = failing or _newer_trouble(members)
    if frozen:
        for item in members:
            reasons[item.id].append(frozen)
    good = [item for item in members if item.good and item.stored]
    for item_id, why in _choose(good, policy).items():
        reasons[item_id].extend(why)
    # One that is no good takes no place of a good one; it goes when it would have gone had it been good.
    there = [item for item in members if item.stored]
    wanted = _chosen(there, policy)
    for item in there:
        if not item.good and item.id in wanted:
            reasons[item.id].append(Text("It is no good, but as young as those that stay; it may be of use yet."))


def _newer_trouble(members: Sequence[Item]) -> Text | None:
    """Say why nothing of a group may go: its newest backup is not good in this storage."""
    newest = members[0]
    if not newest.stored:
        return Text("The newest backup has not reached this storage yet; until then nothing here goes.")
    if not newest.read:
        return Text("The newest backup here was never verified; until it is, or a newer one comes, nothing here goes.")
    if not newest.good:
        return Text("The newest backup here is damaged or has vanished; until there is a newer one nothing here goes.")
    return None


def _chosen(items: Sequence[Item], policy: Policy) -> set[int]:
    return set(_choose(items, policy))


def _choose(items: Sequence[Item], policy: Policy) -> dict[int, list[Text]]:
    """Return what the rules want of ``items`` (newest first): id -> reasons."""
    chosen: dict[int, list[Text]] = defaultdict(list)
    for item in items[: policy.last]:
        chosen[item.id].append(Text("One of the newest {count}.", count=policy.last))
    if items and policy.within_days:
        # Ages are compared, not dates: no number of days that a row can hold leaves the calendar then.
        oldest = timedelta(days=min(policy.within_days, timedelta.max.days))
        for item in items:
            if items[0].taken_at - item.taken_at <= oldest:
                chosen[item.id].append(Text("Not older than {days} days.", days=policy.within_days))
    for rule in _rules(policy):
        for item, bucket in rule.newest(items):
            chosen[item.id].append(rule.reason(bucket))
    for item in items[: policy.minimum]:
        if item.id not in chosen:
            chosen[item.id].append(Text("Never fewer than {count} stay.", count=policy.minimum))
    return chosen


@dataclass(frozen=True)
class _Rule:
    """Keep the newest of each of the newest ``count`` buckets that have one."""

    count: int
    zone: ZoneInfo
    pattern: str
    reason: Callable[[str], Text] = field(repr=False)

    def newest(self, items: Iterable[Item]) -> Iterator[tuple[Item, str]]:
        seen: set[str] = set()
        for item in items:
            if len(seen) == self.count:
                return
            bucket = item.taken_at.astimezone(self.zone).strftime(self.pattern)
            if bucket not in seen:
                seen.add(bucket)
                yield item, bucket


def _rules(policy: Policy) -> tuple[_Rule, ...]:
    zone = policy.zone
    return (
        # The offset tells the two hours apart that have one name when summer time ends.
        _Rule(policy.hourly, zone, "%Y-%m-%d %H h %z", lambda hour: Text("The newest of the hour {hour}.", hour=hour)),
        _Rule(policy.daily, zone, "%Y-%m-%d", lambda day: Text("The newest of the day {day}.", day=day)),
        _Rule(policy.weekly, zone, "%G-W%V", lambda week: Text("The newest of the week {week}.", week=week)),
        _Rule(policy.monthly, zone, "%Y-%m", lambda month: Text("The newest of the month {month}.", month=month)),
        _Rule(policy.yearly, zone, "%Y", lambda year: Text("The newest of the year {year}.", year=year)),
    )  # fmt: skip
