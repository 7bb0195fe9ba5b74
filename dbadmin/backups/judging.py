"""Gather what the catalogue knows of a database's copies and judge it; nothing is changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter
from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from dbadmin.backups.retention import Decision, Item, Policy, decide
from dbadmin.choices import BackupState, CopyState, JobKind, JobState, RunState
from dbadmin.models import Backup, Copy, Database, Destination, Job, Retention, Schedule, ScheduleRun, Storage
from dbadmin.text import Text

Group = tuple[int, int | None, str]  # storage, schedule, scope
RULES = ("last", "within_days", "hourly", "daily", "weekly", "monthly", "yearly", "minimum", "time_zone")
READERS = (JobKind.RESTORE, JobKind.VERIFY, JobKind.DRILL, JobKind.COMPARE)
NOT_THERE = (CopyState.WAITING, CopyState.FAILED)
FACTS = (
    "pk", "state", "verified_at", "stored_at", "size", "storage_id", "backup_id", "backup__schedule_id",
    "backup__scope", "backup__state", "backup__started_at", "backup__base_id", "backup__proven_at", "backup__pinned_at",
    "backup__pin_note",
)  # fmt: skip
_facts_of = attrgetter(*(name.replace("__", ".") for name in FACTS))
BROKEN = (JobState.FAILED, JobState.ERRORED, JobState.LOST)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A copy, whether it stays, every reason for that, and the retention that applies (None: none)."""

    copy: Copy
    keep: bool
    reasons: tuple[Text, ...]
    retention: Retention | None


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """All copies of a database that are not deleted, the newest backup's first."""

    database: Database
    copies: tuple[Judged, ...]

    @property
    def going(self) -> tuple[Judged, ...]:
        """Those that would be deleted."""
        return tuple(judged for judged in self.copies if not judged.keep)

    @property
    def staying(self) -> tuple[Judged, ...]:
        """Those that stay."""
        return tuple(judged for judged in self.copies if judged.keep)

    @property
    def freed(self) -> int:
        """Bytes that what goes takes."""
        return sum(judged.copy.size for judged in self.going)


def preview(
    databases: Iterable[Database], *, retention: Retention | None = None, everywhere: bool = False, now: datetime
) -> list[Judgement]:
    """Say of each database what would stay and go now; a constant number of queries each.

    ``retention``: with these values, saved or not, in place of the stored row with its id; ``everywhere``: in place
    of every retention, as one that nothing uses yet is tried. ``ValidationFailed`` when its time zone is none.
    """
    return [judge(database, now=now, retention=retention, everywhere=everywhere) for database in databases]


def judge(
    database: Database,
    *,
    now: datetime,
    retention: Retention | None = None,
    everywhere: bool = False,
    backup: Backup | None = None,
) -> Judgement:
    """Say what would stay and go now, see ``preview``; with ``backup`` only of its copies."""
    reading = read_now(database)
    whole = list(_whole(_of(database))) if backup is None else []
    rows: Iterable[tuple[Any, ...]] = map(_facts_of, whole) if backup is None else _of(database).values_list(*FACTS)
    items = [_item(row, reading) for row in rows]
    storages, found, decisions = _decided(items, database, now, proposed=retention, everywhere=everywhere)
    copies = whole if backup is None else list(_whole(_of(database).filter(backup=backup, storage__in=storages)))
    _complete(copies, database, storages)
    return Judgement(database=database, copies=tuple(_judged(copies, found, decisions)))


def wanted_after_all(database: Database, released: Collection[int], *, now: datetime) -> set[int]:
    """Return which of these copies, released earlier, would stay if it were decided now, as if they were still there.

    A copy whose ``verified_at`` was taken from it when it was released was no good; a job that reads one is no reason.
    """
    again = Copy.objects.filter(backup__database=database, state=CopyState.EXPIRING, storage__removed_at=None)
    rows = [row for row in again.order_by().values_list(*FACTS) if row[0] in released]
    items = [replace(_item(row, set()), good=row[2] is not None, read=True) for row in rows]
    items += [_item(row, set()) for row in _of(database).values_list(*FACTS)]
    _storages, _found, decisions = _decided(items, database, now)
    return {decision.item.id for decision in decisions if decision.keep and decision.item.id in released}


def policy_of(retention: Retention) -> Policy:
    """Return the rules of a row, saved or not."""
    return Policy(name=retention.name, **{rule: getattr(retention, rule) for rule in RULES})


def concerned(retention: Retention) -> QuerySet[Database]:
    """Return the registered databases that have copies for which this retention is asked."""
    by_schedule = Q(backup__schedule__destinations__in=Destination.objects.filter(retention=retention))
    copies = Copy.objects.filter(by_schedule | Q(storage__retention=retention)).exclude(state=CopyState.DELETED)
    return Database.objects.registered().filter(pk__in=copies.values("backup__database"))


def _decided(
    items: Collection[Item],
    database: Database,
    now: datetime,
    *,
    proposed: Retention | None = None,
    everywhere: bool = False,
) -> tuple[Mapping[int, Storage], Mapping[Group, Retention | None], list[Decision]]:
    """Return their storages, the retention of each group, and what becomes of each item."""
    storages = Storage.objects.select_related("retention").in_bulk({item.storage for item in items})
    found = _retentions({item.group for item in items}, storages, proposed=proposed, everywhere=everywhere)
    policies = {group: policy_of(row) if row else None for group, row in found.items()}
    return storages, found, decide(items, policies, now=now, failing=_failing(database, found, now))


def read_now(database: Database) -> set[int]:
    """Return the backups that jobs read or are about to, and, while copies are made, those that have bad ones."""
    active = Job.objects.active().filter(Q(kind__in=READERS) | Q(kind=JobKind.COPY, database=database))
    jobs = list(active.values_list("kind", "params"))
    named = {params[name] for _kind, params in jobs for name in ("backup", "with") if params.get(name)}
    if any(kind == JobKind.COPY for kind, _params in jobs):
        named |= set(Backup.objects.filter(database=database, missing_copies__gt=0).values_list("pk", flat=True))
    return named


def _of(database: Database) -> QuerySet[Copy]:
    """What is there or waited for; removed storages keep what they have, and nothing else relies on that."""
    rows = Copy.objects.filter(backup__database=database, storage__removed_at=None)
    return rows.exclude(state__in=(CopyState.EXPIRING, CopyState.DELETED)).order_by()


def _whole(copies: QuerySet[Copy]) -> QuerySet[Copy]:
    return copies.select_related("backup").defer("message", "recipients", "backup__facts", "backup__origin")


def _complete(copies: Collection[Copy], database: Database, storages: Mapping[int, Storage]) -> None:
    """There may be ten thousand: what many share is read once."""
    schedules = Schedule.objects.in_bulk({copy.backup.schedule_id for copy in copies} - {None})
    for copy in copies:
        copy.storage, copy.backup.database = storages[copy.storage_id], database
        copy.backup.schedule = schedules[copy.backup.schedule_id] if copy.backup.schedule_id else None


def _item(row: tuple[Any, ...], reading: set[int]) -> Item:
    """``row``: its ``FACTS``. A model of each would cost several times as much where one backup alone is asked for."""
    pk, state, read_at, stored_at, size, storage, backup, schedule, scope, of, at, base, proven, pinned, note = row
    return Item(
        id=pk,
        backup=backup,
        group=(storage, schedule, scope),
        taken_at=at,
        stored_at=stored_at,
        scope=scope,
        storage=storage,
        size=size,
        base=base,
        good=state == CopyState.STORED and read_at is not None and of == BackupState.AVAILABLE,
        stored=state not in NOT_THERE,
        read=state != CopyState.STORED or read_at is not None,
        proven=proven is not None,
        pinned=pinned is not None,
        pin_note=note,
        busy=backup in reading,
    )


def _judged(
    copies: Iterable[Copy], found: Mapping[Group, Retention | None], decisions: Iterable[Decision]
) -> Iterable[Judged]:
    by_id = {copy.pk: copy for copy in copies}
    for decision in decisions:
        if copy := by_id.get(decision.item.id):
            yield Judged(copy=copy, keep=decision.keep, reasons=decision.reasons, retention=found[decision.item.group])


def _retentions(
    groups: Collection[Group], storages: Mapping[int, Storage], *, proposed: Retention | None, everywhere: bool
) -> dict[Group, Retention | None]:
    """Return group -> the retention of its schedule's destination, otherwise of its storage."""
    schedules = {schedule for _storage, schedule, _scope in groups if schedule}
    rows = Destination.objects.filter(schedule__in=schedules, retention__isnull=False).select_related("retention")
    chosen: dict[tuple[int, int | None], Retention | None] = {
        (row.storage_id, row.schedule_id): row.retention for row in rows
    }
    found = {group: chosen.get(group[:2]) or storages[group[0]].retention for group in groups}
    if proposed is None:
        return found
    return {group: proposed if everywhere or _is_same(row, proposed) else row for group, row in found.items()}


def _is_same(row: Retention | None, proposed: Retention) -> bool:
    return row is not None and row.pk == proposed.pk


# Failing: newer runs of a group that did not succeed


def _failing(database: Database, groups: Collection[Group], now: datetime) -> dict[Group, Text]:
    sentences = _failing_schedules(database, {schedule for _storage, schedule, _scope in groups if schedule}, now)
    if by_hand := _failing_by_hand(database):
        sentences[None] = by_hand
    return {group: sentences[group[1]] for group in groups if group[1] in sentences}


def _failing_schedules(database: Database, ids: Iterable[int], now: datetime) -> dict[int | None, Text]:
    settled = Q(state__in=(RunState.SUCCEEDED, RunState.FAILED, RunState.MISSED))
    tried = Q(attempt__gt=1) | Q(retry_at__isnull=False) | Q(job__attempt__gt=1) | Q(job__state__in=BROKEN)
    again = Q(tried, state__in=(RunState.WAITING, RunState.ACTIVE))
    # A schedule that is for something else since has runs that say nothing of its backups.
    backing_up = Q(job=None) | Q(job__kind=JobKind.BACKUP)
    runs = ScheduleRun.objects.filter(settled | again, backing_up, due_at__lte=now, database=database)
    runs = runs.filter(schedule=OuterRef("pk")).order_by("-due_at")
    schedules = Schedule.objects.filter(pk__in=list(ids)).annotate(
        newest=Subquery(runs.values("state")[:1]), due=Subquery(runs.values("due_at")[:1])
    )
    rows = schedules.exclude(newest__isnull=True).exclude(newest=RunState.SUCCEEDED)
    return {pk: _failing_sentence(name, due) for pk, name, due in rows.values_list("pk", "name", "due")}


def _failing_sentence(name: str, due: datetime) -> Text:
    return Text(
        "The newest run of “{schedule}” ({time}) did not succeed; until one does, nothing of it goes.",
        schedule=name,
        time=_clock(due),
    )


def _failing_by_hand(database: Database) -> Text | None:
    ended = Job.objects.filter(database=database, kind=JobKind.BACKUP, state__in=(JobState.SUCCEEDED, *BROKEN))
    newest = ended.order_by("-pk").only("state", "created_at").first()
    if newest is None or newest.state not in BROKEN:
        return None
    if _of(database).filter(state=CopyState.STORED, backup__started_at__gt=newest.created_at).exists():
        return None
    return Text("The newest backup job ({job}) did not succeed; until one does, nothing goes.", job=newest.pk)


def _clock(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M %Z}"
