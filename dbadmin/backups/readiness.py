"""Disaster recovery: where each database could be brought back from, how much would be lost, how long it would take.

A storage counts while it can be read, is not the place of another one, and its newest full backup of the database is
not older than the database's limit: whatever else is lost, that storage alone keeps the promise. 3-2-1: three copies
with the live one, on two storages, one of them in another place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet, Subquery

from dbadmin.backups.twins import is_shared
from dbadmin.choices import CopyState, DrillKind, DrillState, Scope
from dbadmin.models import Backup, Copy, Database, Drill, Storage
from dbadmin.text import Text

COPIES, STORAGES = 3, 2
# What is older than this (and than the limit) is not looked for.
LOOK_BACK = timedelta(days=30)


class Step(StrEnum):
    """What to do next."""

    BACK_UP = "back up"
    COPY = "copy"
    OFFSITE = "offsite"
    DRILL = "drill"
    FASTER = "faster"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A storage, and the moment that its newest full backup holds; ``counts`` while that can be relied on."""

    storage: Storage
    held: datetime | None
    counts: bool

    @property
    def is_ill(self) -> bool:
        """Whether it does not count however recent: it cannot be read, or is another one's place. Full is not ill."""
        return _is_ill(self.storage)


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """How ready one database is. ``held``: the moment that its newest restorable full backup holds."""

    database: Database
    places: Sequence[Place]
    held: datetime | None
    now: datetime
    restore_seconds: float | None
    newest_backup: int | None

    @property
    def counted(self) -> list[Place]:
        """The places that keep the promise alone."""
        return [place for place in self.places if place.counts]

    @property
    def copies(self) -> int:
        """How many there are of it, the live database counted."""
        return 1 + len(self.counted)

    @property
    def storages(self) -> int:
        """On how many storages."""
        return len(self.counted)

    @property
    def offsite(self) -> int:
        """How many of them are in another place."""
        return sum(place.storage.is_offsite for place in self.counted)

    @property
    def has_copies(self) -> bool:
        """Three of them."""
        return self.copies >= COPIES

    @property
    def has_storages(self) -> bool:
        """Two of them."""
        return self.storages >= STORAGES

    @property
    def has_offsite(self) -> bool:
        """One of them."""
        return self.offsite >= 1

    @property
    def is_321(self) -> bool:
        """Three copies, two storages, one offsite."""
        return self.has_copies and self.has_storages and self.has_offsite

    @property
    def rpo(self) -> timedelta | None:
        """How much would be lost now; None: everything."""
        return None if self.held is None else self.now - self.held

    @property
    def rpo_target(self) -> timedelta | None:
        """How much may be lost; None where no limit is set."""
        hours = self.database.backup_age_hours
        return timedelta(hours=hours) if hours else None

    @property
    def keeps_rpo(self) -> bool:
        """Whether no more would be lost than may be."""
        return self.rpo is not None and (self.rpo_target is None or self.rpo <= self.rpo_target)

    @property
    def rto(self) -> timedelta | None:
        """How long the newest full drill that proved a backup took to restore; None where there was none."""
        return None if self.restore_seconds is None else timedelta(seconds=self.restore_seconds)

    @property
    def rto_target(self) -> timedelta:
        """How long it may take."""
        return timedelta(minutes=self.database.restore_minutes)

    @property
    def keeps_rto(self) -> bool:
        """Whether it was measured to be quick enough."""
        return self.rto is not None and self.rto <= self.rto_target

    @property
    def is_ready(self) -> bool:
        """Whether nothing is missing."""
        return self.step == Step.NONE

    @property
    def step(self) -> Step:
        """What to do next, the most urgent first."""
        if not self.keeps_rpo:
            return Step.BACK_UP
        if not self.has_storages:
            return Step.COPY
        if not self.has_offsite:
            return Step.OFFSITE
        if self.rto is None:
            return Step.DRILL
        return Step.NONE if self.keeps_rto else Step.FASTER

    @property
    def missing(self) -> Text:
        """Say in a sentence what is missing, empty when nothing is."""
        return _SENTENCES[self.step](self)


def assess(now: datetime) -> list[Readiness]:
    """Return how ready each registered database is. Two queries."""
    storages = list(Storage.objects.registered().order_by("name"))
    databases = _with_measures(Database.objects.registered().select_related("application"), storages, now)
    return [_judged(database, storages, now) for database in databases]


def _with_measures(databases: QuerySet[Database], storages: Sequence[Storage], now: datetime) -> QuerySet[Database]:
    full = Backup.objects.read_whole().past().filter(database=OuterRef("pk"), scope=Scope.FULL)
    newest = full.order_by("-finished_at")
    drills = Drill.objects.filter(backup__database=OuterRef("pk"), state=DrillState.PROVEN, kind=DrillKind.FULL)
    since = now - max([LOOK_BACK, *(timedelta(hours=hours) for hours in _limits(databases))])
    columns: dict[str, Any] = {
        f"in_{storage.pk}": Subquery(
            newest.filter(Exists(_stored(storage)), finished_at__gte=since).values("started_at")[:1]
        )
        for storage in storages
    }
    return databases.annotate(
        held=Subquery(newest.values("started_at")[:1]),
        newest_backup=Subquery(newest.values("pk")[:1]),
        restore_seconds=Subquery(drills.order_by("-finished_at").values("restore_seconds")[:1]),
        **columns,
    )


def _limits(databases: QuerySet[Database]) -> Iterator[int]:
    yield from databases.order_by().values_list("backup_age_hours", flat=True).distinct()


def _stored(storage: Storage) -> QuerySet[Copy]:
    read = Copy.objects.filter(state=CopyState.STORED, verified_at__isnull=False)
    return read.filter(backup=OuterRef("pk"), storage=storage)


def _judged(database: Any, storages: Sequence[Storage], now: datetime) -> Readiness:
    hours = database.backup_age_hours
    since = now - timedelta(hours=hours) if hours else None
    places = [
        Place(storage=storage, held=held, counts=not _is_ill(storage) and (since is None or held >= since))
        for storage in storages
        if (held := getattr(database, f"in_{storage.pk}")) is not None
    ]
    return Readiness(
        database=database,
        places=places,
        held=database.held,
        now=now,
        restore_seconds=database.restore_seconds,
        newest_backup=database.newest_backup,
    )


def _is_ill(storage: Storage) -> bool:
    return storage.is_away or is_shared(storage)


def _too_old(found: Readiness) -> Text:
    if found.rpo is None:
        return Text("There is no verified full backup.")
    return Text(
        "The newest backup is {hours} hours old; {limit} are allowed.",
        hours=round(found.rpo.total_seconds() / 3600, 1),
        limit=found.database.backup_age_hours,
    )


def _too_few(found: Readiness) -> Text:
    if not found.counted:
        return Text("No storage has a recent backup.")
    where = found.counted[0].storage
    if ill := next((place.storage for place in found.places if place.is_ill), None):
        return Text(
            "Only “{storage}” can be relied on: “{other}” has a problem, which its page names.",
            storage=where.name,
            other=ill.name,
        )
    if where.is_offsite:
        return Text("All copies are in “{storage}” alone: one more storage is missing.", storage=where.name)
    return Text(
        "All copies are in “{storage}” alone: a second storage is missing, in another place.", storage=where.name
    )


def _too_near(found: Readiness) -> Text:
    return Text("No copy is in another place: fire or theft takes them all.")


def _unproven(found: Readiness) -> Text:
    return Text("Nobody has measured how long a restore takes: no full drill has proven a backup.")


def _too_slow(found: Readiness) -> Text:
    assert found.rto is not None
    return Text(
        "The restore took {minutes} minutes in the newest drill; {limit} are acceptable.",
        minutes=round(found.rto.total_seconds() / 60, 1),
        limit=found.database.restore_minutes,
    )


def _nothing(found: Readiness) -> Text:
    return Text("")


_SENTENCES = {
    Step.BACK_UP: _too_old,
    Step.COPY: _too_few,
    Step.OFFSITE: _too_near,
    Step.DRILL: _unproven,
    Step.FASTER: _too_slow,
    Step.NONE: _nothing,
}
