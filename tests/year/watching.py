"""What has to be true after every event, at every midnight, and at the end of the year."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from django.db.models import Q

from dbadmin.choices import BackupState, CopyState, RunState
from dbadmin.models import Backup, Copy, Database, Finding, Job, Orphan, Schedule, ScheduleRun
from tests.year.moments import DAY, HOUR
from tests.year.scenario import Plan, World
from tests.year.troubles import OUTAGES, Trouble, Troubles, whereabouts

READ_ONE_OF = 50
# The days in Berlin of 23 and of 25 hours, as they begin and end in UTC nearly.
CHANGES = (datetime(2032, 3, 28, tzinfo=UTC), datetime(2032, 10, 31, tzinfo=UTC))
# By calendar 27, the newest three, 24 of hours, what is pinned and proven, and a week that nothing went.
MOST_ARCHIVES = 75


class Watch:
    """Remembers every backup that was ever made: what the catalogue says now is compared with that."""

    def __init__(self, world: World, troubles: Troubles) -> None:
        self.world, self.troubles = world, troubles
        self.made: dict[int, list[Backup]] = defaultdict(list)
        self.proven: dict[int, dict[int, datetime]] = defaultdict(dict)
        self.pinned: Backup | None = None
        self.read = self.looked = self.most_archives = self.most_bytes = 0
        self._seen = 0
        self._gaps_until: datetime | None = None
        self._chance = random.Random(troubles.seed)

    def after_event(self, now: datetime) -> None:
        """The newest good and the newest proven backup of each database are there, and nobody works twice."""
        self._remember()
        for database in self.world.databases:
            self._require_there(self._newest(database), "good")
            self._require_there(self._newest_proven(database), "proven")
        if self.pinned:
            self._require_there(self.pinned.pk, "pinned")
        active = Job.objects.active().order_by().values_list("database", "kind")
        twice = [pair for pair, count in Counter(active).items() if count > 1]
        assert not twice, twice
        assert not ScheduleRun.objects.filter(due_at__gt=now).exists()
        assert not Schedule.objects.filter(enabled=True, next_due_at__lte=now).exists()
        self._require_gaps_told()
        for trouble in self.troubles.all:
            self._follow(trouble, now)

    def at_midnight(self) -> None:
        """Nothing half stored lies about, and the storages do not fill."""
        there = {storage: set(self._folders(whereabouts(storage))) for storage in self.world.storages}
        for storage, folders in there.items():
            half = [folder for folder in folders if not (folder / "manifest.json").exists()]
            assert not half or Job.objects.active().exists(), (storage, half)
            per_database = Counter(folder.parent.name for folder in folders)
            self.most_archives = max(self.most_archives, *per_database.values(), 0)
            assert max(per_database.values(), default=0) <= MOST_ARCHIVES, (storage, per_database)
        sizes = [file.stat().st_size for folders in there.values() for folder in folders for file in folder.iterdir()]
        self.most_bytes = max(self.most_bytes, sum(sizes))

    def at_end(self, now: datetime) -> None:
        """Every moment has its one row, what is kept is what should be, and nothing needs attention."""
        for plan in self.world.plans:
            self._require_rows(plan, now)
            if plan.schedule.kind == "backup" and plan.times.hour is not None:
                self._require_kept(plan)
        for trouble in self.troubles.all:
            assert trouble.is_well or not trouble.has_begun, f"{trouble.name} was never told well"
        assert not Finding.objects.open().exclude(check_id="drill").exists(), list(Finding.objects.open())
        assert not Orphan.objects.exists()
        assert not Copy.objects.exclude(state__in=(CopyState.STORED, CopyState.DELETED)).exists()
        for storage in self.world.storages:
            on_disk = {f"{folder.parent.name}/{folder.name}" for folder in self._folders(whereabouts(storage))}
            listed = Copy.objects.filter(storage=storage, state=CopyState.STORED)
            assert on_disk == set(listed.values_list("backup__key", flat=True))
            assert not list(whereabouts(storage).rglob(".tmp*"))

    # What was made

    def _remember(self) -> None:
        for backup in Backup.objects.filter(pk__gt=self._seen).defer("facts", "origin").order_by("pk"):
            self.made[backup.database_id].append(backup)
            self._seen = backup.pk
        for pk, database, taken_at in Backup.objects.filter(proven_at__isnull=False).values_list(
            "pk", "database", "started_at"
        ):
            self.proven[database][pk] = taken_at

    def _newest(self, database: Database) -> int | None:
        made = (backup for backup in reversed(self.made[database.pk]) if backup.pk not in self.troubles.hidden)
        return next((backup.pk for backup in made), None)

    def _newest_proven(self, database: Database) -> int | None:
        proven = {pk: at for pk, at in self.proven[database.pk].items() if pk not in self.troubles.hidden}
        return max(proven, key=lambda pk: proven[pk], default=None)

    def _require_there(self, pk: int | None, what: str) -> None:
        """By the catalogue, and by the files of at least one copy, which are read now and then."""
        if pk is None:
            return
        self.looked += 1
        backup = Backup.objects.defer("facts", "origin").get(pk=pk)
        assert backup.state == BackupState.AVAILABLE, f"the newest {what} backup {backup} is {backup.state}"
        copies = list(Copy.objects.filter(backup=pk, state=CopyState.STORED).select_related("storage"))
        assert backup.storage_id in {copy.storage_id for copy in copies}
        folders = [whereabouts(copy.storage) / backup.key for copy in copies]
        whole = [folder for folder in folders if _is_whole(folder, backup)]
        assert whole, f"of the newest {what} backup {backup} nothing is there"
        if self._chance.randrange(READ_ONE_OF) == 0:
            self.read += 1
            manifest = json.loads((whole[0] / "manifest.json").read_text())
            digest = hashlib.sha256((whole[0] / "backup.tar").read_bytes()).hexdigest()
            assert digest == backup.sha256 == manifest["archive_sha256"]

    def _folders(self, root: Path) -> Iterator[Path]:
        for database in root.iterdir() if root.exists() else ():
            yield from database.iterdir()

    # What was told

    def _require_gaps_told(self) -> None:
        """A moment at which nothing was backed up, drilled or the like is told, at the latest when it is settled."""
        bad = ScheduleRun.objects.filter(state__in=(RunState.FAILED, RunState.MISSED), settled_at__isnull=False)
        if self._gaps_until:
            bad = bad.filter(settled_at__gte=self._gaps_until - HOUR)
        for run in bad.select_related("schedule"):
            assert run.reason, f"{run.schedule} {run.due_at} is {run.state} for no reason"
            self._gaps_until = max(self._gaps_until or run.settled_at, run.settled_at)
            told = Finding.objects.filter(database=run.database_id, check_id="schedule_runs")
            later = Q(resolved_at=None) | Q(resolved_at__gte=run.settled_at)
            found = told.filter(later, opened_at__lte=self._gaps_until + HOUR)
            assert found.exists(), f"{run.schedule} of {run.due_at} is {run.state}: nobody was told"

    def _follow(self, trouble: Trouble, now: datetime) -> None:
        if not trouble.has_begun or trouble.is_well:
            return
        if not trouble.is_told:
            trouble.is_told = all(self._is_told(trouble, database) for database in trouble.databases)
            late = now > _later(trouble.begin, trouble.told_within)
            assert trouble.is_told or not late, f"{trouble.name} since {trouble.begin}: nobody is told at {now}"
        if trouble.is_told and trouble.has_ended:
            trouble.is_well = not self._open(trouble, now)
            late = now > _later(trouble.end, trouble.well_within)
            assert trouble.is_well or not late, (
                f"{trouble.name} until {trouble.end}: {self._open(trouble, now)} at {now}"
            )

    def _is_told(self, trouble: Trouble, database: Database) -> bool:
        told = Finding.objects.filter(database=database, check_id__in=trouble.checks)
        return told.filter(Q(resolved_at=None) | Q(resolved_at__gte=trouble.begin)).exists()

    def _open(self, trouble: Trouble, now: datetime) -> list[Finding]:
        """Return what is open, but for databases that something else of the kind has come to."""
        others = {
            database.pk
            for other in self.troubles.all
            if other is not trouble
            and other.has_begun
            and not other.is_well
            and set(other.checks) & set(trouble.checks)
            for database in other.databases
        }
        mine = [database for database in trouble.databases if database.pk not in others]
        return list(Finding.objects.open().filter(database__in=mine, check_id__in=trouble.checks))

    # What was due

    def _require_rows(self, plan: Plan, now: datetime) -> None:
        expected = plan.times.between(plan.begin, min(plan.end, now))
        for database in plan.databases:
            rows = ScheduleRun.objects.filter(schedule=plan.schedule, database=database)
            found = Counter(rows.values_list("due_at", flat=True))
            assert max(found.values()) == 1
            told = set(found)
            for run in rows.filter(state=RunState.MISSED):  # one row may stand for many
                told |= set(plan.times.between(run.due_at, run.due_at + run.reason.params.get("count", 0) * HOUR))
            assert told == set(expected), (plan.schedule, sorted(told ^ set(expected))[:5])
            if plan.times.zone == "Europe/Berlin" and plan.times.hour is not None and plan.schedule.kind == "backup":
                self._require_once(plan.schedule, database, now)

    def _require_once(self, schedule: Schedule, database: Database, now: datetime) -> None:
        """On a night when clocks change there is one run, and one backup when it has succeeded."""
        for night in (night for night in CHANGES if night < now):
            [run] = ScheduleRun.objects.filter(schedule=schedule, database=database, due_at__range=(night, night + DAY))
            made = Backup.objects.filter(schedule=schedule, database=database, started_at__range=(night, night + DAY))
            assert made.count() == (run.state == RunState.SUCCEEDED)

    # What is kept

    def _require_kept(self, plan: Plan) -> None:
        """By calendar in the one storage, the newest three in the other, and what is pinned or proven."""
        for database in plan.databases:
            copies = Copy.objects.filter(backup__schedule=plan.schedule, backup__database=database)
            # What the drill of this morning has replaced as the newest proof goes with tonight's backup.
            proven = sorted(self.proven[database.pk], key=lambda pk: self.proven[database.pk][pk])[-2:]
            besides = {*proven, self.pinned.pk if self.pinned else None}
            for storage, choose in ((self.world.main, _by_calendar), (self.world.vault, _newest_three)):
                stored = copies.filter(storage=storage, stored_at__isnull=False)
                rows = stored.values_list("backup", "backup__started_at").order_by("-backup__started_at")
                wanted = choose([(pk, at.astimezone(ZoneInfo(plan.times.zone))) for pk, at in rows])
                kept = set(stored.filter(state=CopyState.STORED).values_list("backup", flat=True))
                assert wanted <= kept <= wanted | besides, (database, storage, kept ^ wanted)


def _newest_three(taken: list[tuple[int, datetime]]) -> set[int]:
    return {pk for pk, _at in taken[:3]}


def _by_calendar(taken: list[tuple[int, datetime]]) -> set[int]:
    wanted: set[int] = set()
    for count, name in ((7, "%Y-%m-%d"), (8, "%G-%V"), (12, "%Y-%m")):
        newest: dict[str, int] = {}
        for pk, at in taken:
            newest.setdefault(at.strftime(name), pk)
        wanted |= set(list(newest.values())[:count])
    return wanted


def _is_whole(folder: Path, backup: Backup) -> bool:
    archive, manifest = folder / "backup.tar", folder / "manifest.json"
    return manifest.is_file() and archive.is_file() and archive.stat().st_size == backup.size


def _later(moment: datetime, by: timedelta) -> datetime:
    """While nothing ticks, nobody can be told: that time is not counted."""
    until = moment + by
    for begin, length in OUTAGES:
        if begin < until and begin + length > moment:
            until += length + HOUR
    return until
