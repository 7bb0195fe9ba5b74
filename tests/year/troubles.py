"""What goes wrong during the year, when, and what the dashboard has to say about it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from django.db.models import QuerySet
from django.utils import timezone

from dbadmin.backups import spool
from dbadmin.choices import CopyState
from dbadmin.jobs import queue
from dbadmin.jobs.lease import Worker, this_host
from dbadmin.models import Backup, Copy, Database, Job, Storage
from tests.year.moments import DAY, HOUR
from tests.year.scenario import BEGIN, World, content

# Nothing ticks and nobody works: an evening, a weekend, the holidays.
OUTAGES = [
    (datetime(2032, 2, 9, 16, tzinfo=UTC), 3 * HOUR),
    (datetime(2032, 5, 10, 12, tzinfo=UTC), 2 * DAY),
    (datetime(2032, 10, 19, 20, tzinfo=UTC), 9 * DAY),
]
VAULT_AWAY, MAIN_AWAY = datetime(2032, 6, 3, 9, tzinfo=UTC), datetime(2032, 8, 10, 9, tzinfo=UTC)
BROKEN_CHECKS = ("reachable", "schedule_runs", "sqlite_content", "quick_check", "files_required")
# A look into a storage comes once a day, and the tick after it asks for it.
TOLD_WITHIN = DAY + HOUR
AWAY = "-away"
NIGHTS_DEATHS = 6  # three tries, each of them repeated once by the reaper


@dataclass(kw_only=True)
class Trouble:
    """From ``begin`` to ``end``: one of ``checks`` has to find it in each of ``databases``, and all to be well later.

    ``begins`` may return the databases that it has come to; none when it could not happen.
    """

    name: str
    begin: datetime
    end: datetime
    databases: list[Database]
    checks: tuple[str, ...]
    begins: Callable[[], list[Database]]
    ends: Callable[[], None]
    told_within: timedelta = TOLD_WITHIN
    well_within: timedelta = 2 * DAY
    has_begun: bool = False
    has_ended: bool = False
    is_told: bool = False
    is_well: bool = False


@dataclass
class Troubles:
    """All of them, and what they have taken away meanwhile."""

    world: World
    seed: int
    quiet_from: datetime
    dying: dict[int, int] = field(default_factory=dict)  # database: how many of its backup jobs die
    hidden: dict[int, Path] = field(default_factory=dict)  # backup: where its only archive is meanwhile
    spoilt: set[int] = field(default_factory=set)  # databases whose file is not what it was

    def __post_init__(self) -> None:
        everybody = list(self.world.databases)
        away = ((self.world.vault, VAULT_AWAY), (self.world.main, MAIN_AWAY))
        self.all = [self._storage_away(*each, everybody) for each in away if each[1] < self.quiet_from]
        chance = random.Random(self.seed)
        for database in everybody:
            self.all += self._of(database, chance)
        self.all.sort(key=lambda trouble: trouble.begin)

    def pass_to(self, now: datetime) -> None:
        """Let begin and end what has come."""
        for trouble in self.all:
            if not trouble.has_begun and trouble.begin <= now:
                trouble.has_begun, trouble.databases = True, trouble.begins()
            if trouble.has_begun and not trouble.has_ended and trouble.end <= now:
                trouble.has_ended = True
                trouble.ends()

    def next(self, now: datetime) -> datetime | None:
        """Return when the next one begins or ends."""
        edges = (edge for trouble in self.all for edge in (trouble.begin, trouble.end) if edge > now)
        return min(edges, default=None)

    def kill(self, job: Job) -> bool:
        """Leave what a worker leaves that is killed while it stores a backup; False when nobody dies here."""
        left = self.dying.get(job.database_id, 0)
        if job.kind != "backup" or not left:
            return False
        self.dying[job.database_id] = left - 1
        claimed = queue.claim(job.pk, Worker(name="999999999/1", host=this_host()))
        assert claimed is not None
        (spool.make(claimed) / "dump").write_bytes(b"half of it")
        key = f"{job.database.slug}/{timezone.now():%Y%m%dT%H%M%SZ}-full-{job.pk:08x}"
        claimed.note(key=key, storing=[self.world.main.pk])
        if (root := place(self.world.main)).exists():
            (root / key).mkdir(parents=True)
            (root / key / "backup.tar").write_bytes(b"half of it")
        return True

    def _of(self, database: Database, chance: random.Random) -> Iterator[Trouble]:
        kinds = [self._broken, self._missing, self._dies_once, self._dies_all_night, self._deleted, self._moved]
        chance.shuffle(kinds)
        begin = BEGIN + chance.uniform(10, 40) * DAY
        for kind in kinds:
            length = chance.uniform(1.2, 6) * DAY
            if begin + length > self.quiet_from:
                return
            yield kind(database, begin.replace(second=0, microsecond=0), length)
            begin += length + chance.uniform(20, 50) * DAY

    def _storage_away(self, storage: Storage, begin: datetime, databases: list[Database]) -> Trouble:
        root = place(storage)
        away = root.with_name(f"{root.name}{AWAY}")

        def begins() -> list[Database]:
            root.rename(away)
            return databases

        return Trouble(
            name=f"{storage.name} away", begin=begin, end=begin + 7 * DAY, databases=databases, checks=("archives",),
            begins=begins, ends=partial(away.rename, root),
        )  # fmt: skip

    def _broken(self, database: Database, begin: datetime, length: timedelta) -> Trouble:
        return self._spoilt("broken", database, begin, length, lambda path: path.write_bytes(b"{ not what it was"))

    def _missing(self, database: Database, begin: datetime, length: timedelta) -> Trouble:
        return self._spoilt("missing", database, begin, length, lambda path: path.unlink())

    def _spoilt(
        self, name: str, database: Database, begin: datetime, length: timedelta, spoil: Callable[[Path], object]
    ) -> Trouble:
        path = content(database)
        aside = self.world.folder / f"{database.slug}.aside"

        def begins() -> list[Database]:
            shutil.copy(path, aside)
            self.spoilt.add(database.pk)
            spoil(path)
            return [database]

        def ends() -> None:
            shutil.move(aside, path)
            self.spoilt.remove(database.pk)

        return Trouble(
            name=f"{database.slug} {name}", begin=begin, end=begin + length, databases=[database],
            checks=(*BROKEN_CHECKS, "files_valid"), begins=begins, ends=ends,
        )  # fmt: skip

    def _dies_once(self, database: Database, begin: datetime, length: timedelta) -> Trouble:
        """The job is repeated at once: nothing is lost, so nothing need be told."""
        return self._deaths(database, begin, 1)

    def _dies_all_night(self, database: Database, begin: datetime, length: timedelta) -> Trouble:
        return self._deaths(database, begin, NIGHTS_DEATHS)

    def _deaths(self, database: Database, begin: datetime, times: int) -> Trouble:
        def begins() -> list[Database]:
            self.dying[database.pk] = times
            return [database] if times == NIGHTS_DEATHS else []

        return Trouble(
            name=f"{database.slug} dies {times} times", begin=begin, end=begin + DAY, databases=[database],
            checks=("schedule_runs",), begins=begins, ends=lambda: None, told_within=DAY + 2 * HOUR,
        )  # fmt: skip

    def _deleted(self, database: Database, begin: datetime, length: timedelta) -> Trouble:
        """Somebody deletes the newest archive in the vault; the other copy is still there."""

        def begins() -> list[Database]:
            copy = _stored(database, self.world.vault).first()
            other = copy and _stored(database, self.world.main).filter(backup=copy.backup_id).exists()
            if not copy or not other or not self._are_there():
                return []
            shutil.rmtree(place(self.world.vault) / copy.backup.key)
            return [database]

        return Trouble(
            name=f"{database.slug} deleted by hand", begin=begin, end=begin + DAY, databases=[database],
            checks=("archives",), begins=begins, ends=lambda: None,
        )  # fmt: skip

    def _moved(self, database: Database, begin: datetime, length: timedelta) -> Trouble:
        """Somebody moves the only archive of an old backup away, and brings it back."""
        moved: list[Copy] = []

        def begins() -> list[Database]:
            only = _stored(database, self.world.main).exclude(
                backup__in=_stored(database, self.world.vault).values("backup")
            )
            copy = only.last()
            if copy is None or not self._are_there():
                return []
            aside = self.world.folder / f"moved-{copy.pk}"
            (place(self.world.main) / copy.backup.key).rename(aside)
            self.hidden[copy.backup_id] = aside
            moved.append(copy)
            return [database]

        def ends() -> None:
            for copy in moved:
                aside = self.hidden.pop(copy.backup_id)
                if Backup.objects.filter(pk=copy.backup_id, state="deleted").exists():  # it has expired meanwhile
                    shutil.rmtree(aside)
                else:
                    aside.rename(whereabouts(self.world.main) / copy.backup.key)

        return Trouble(
            name=f"{database.slug} moved by hand", begin=begin, end=begin + length, databases=[database],
            checks=("archives",), begins=begins, ends=ends,
        )  # fmt: skip

    def _are_there(self) -> bool:
        return all(place(storage).exists() for storage in self.world.storages)


def place(storage: Storage) -> Path:
    """Return the folder that the storage should be, whether it is there or not."""
    return Path(storage.settings["path"])


def whereabouts(storage: Storage) -> Path:
    """Return where its archives are in truth."""
    root = place(storage)
    away = root.with_name(f"{root.name}{AWAY}")
    return away if away.exists() else root


def _stored(database: Database, storage: Storage) -> QuerySet[Copy]:
    copies = Copy.objects.filter(backup__database=database, storage=storage, state=CopyState.STORED)
    return copies.select_related("backup").order_by("-backup__started_at")
