"""What there is at the beginning of the year: databases, storages, schedules, retentions."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from dbadmin.jobs.schedules import save_schedule
from dbadmin.models import Application, Database, Destination, Retention, Schedule, Storage
from tests.sqlite_file import make_sqlite_file
from tests.year.moments import Times

# A leap year, and later than the files that are made in it, whose times are those of the real clock.
BEGIN, END = datetime(2032, 1, 1, tzinfo=UTC), datetime(2033, 1, 1, tzinfo=UTC)
# Two nights in each zone; 02:30 in Berlin is left out in spring and comes twice in autumn.
NIGHTS = [("Europe/Berlin", 2, 30), ("Asia/Tokyo", 3, 0), ("Europe/Berlin", 3, 0), ("Asia/Tokyo", 2, 30)]
HOURLY_FROM, HOURLY_UNTIL = datetime(2032, 10, 17, tzinfo=UTC), datetime(2032, 11, 2, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A schedule, its times, and from when to when it is there."""

    schedule: Schedule
    times: Times
    databases: Sequence[Database]
    begin: datetime = BEGIN
    end: datetime = END

    def stop(self, now: datetime) -> None:
        """Pause it, as the page does."""
        self.schedule.refresh_from_db()
        self.schedule.enabled = False
        save_schedule(self.schedule, now)


@dataclass(kw_only=True)
class World:
    """Everything there is. ``main`` keeps by days, weeks and months; ``vault`` the newest three."""

    folder: Path
    databases: list[Database]
    main: Storage
    vault: Storage
    plans: list[Plan] = field(default_factory=list)

    @property
    def storages(self) -> tuple[Storage, Storage]:
        """Both."""
        return self.main, self.vault


def make_world(folder: Path, *, databases: int) -> World:
    """Make it as it is at ``BEGIN``, which has to be now."""
    application = Application.objects.create(name="Year", slug="year")
    storages = [
        Storage.objects.create(
            name=name, settings={"path": str(folder / name)}, is_default=name == "main", is_offsite=name == "vault"
        )
        for name in ("main", "vault")
    ]
    rows = [_database(folder, application, number) for number in range(databases)]
    world = World(folder=folder, databases=rows, main=storages[0], vault=storages[1])
    for number, (zone, hour, minute) in enumerate(NIGHTS):
        of = rows[number :: len(NIGHTS)]
        if of:
            nightly(world, Times(zone=zone, hour=hour, minute=minute), of)
    for zone, of in (("Europe/Berlin", rows[::2]), ("Asia/Tokyo", rows[1::2])):
        add(world, "weekly drill", Times(zone=zone, hour=5, weekday=6), of, kind="drill", drill_kind="partial")
        add(world, "monthly drill", Times(zone=zone, hour=6, day=1), of, kind="drill", drill_kind="full")
    return world


def nightly(world: World, times: Times, databases: Sequence[Database]) -> None:
    """Full backups to both storages."""
    plan = add(world, f"{times.hour:02}:{times.minute:02}", times, databases)
    by_calendar, newest = _retentions(times.zone)
    Destination.objects.create(schedule=plan.schedule, storage=world.main, retention=by_calendar)
    Destination.objects.create(schedule=plan.schedule, storage=world.vault, retention=newest)


def hourly(world: World, databases: Sequence[Database]) -> None:
    """Full backups at a quarter past for two weeks; call it when they begin."""
    plan = add(world, "hourly", Times(zone="Europe/Berlin", minute=15), databases, begin=HOURLY_FROM, end=HOURLY_UNTIL)
    retention = Retention.objects.create(name="a day of hours", hourly=24)
    Destination.objects.create(schedule=plan.schedule, storage=world.main, retention=retention)


def add(
    world: World,
    name: str,
    times: Times,
    databases: Sequence[Database],
    *,
    begin: datetime = BEGIN,
    end: datetime = END,
    **fields: str,
) -> Plan:
    """Save a schedule as the page does, and remember what it means."""
    zone = times.zone.rpartition("/")[2]
    schedule = Schedule(name=f"{name} {zone}", expression=times.expression, time_zone=times.zone, **fields)
    save_schedule(schedule, begin)
    schedule.databases.set(databases)
    plan = Plan(schedule=schedule, times=times, databases=databases, begin=begin, end=end)
    world.plans.append(plan)
    return plan


def content(database: Database) -> Path:
    """Return the file that is the database, or for a set of files one of it."""
    settings = database.settings
    return Path(settings["path"]) if "path" in settings else Path(settings["folder"]) / "settings.json"


def change(database: Database, day: datetime) -> None:
    """Let the application write something, so that no two nights are the same."""
    path = content(database)
    if database.engine == "files":
        path.write_text(json.dumps({"day": f"{day:%F}"}))
        return
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("PRAGMA synchronous = OFF")
        file.execute("INSERT INTO releases (title) VALUES (?)", [f"{day:%F}"])


def _database(folder: Path, application: Application, number: int) -> Database:
    slug = f"year-{number:02}"
    place = folder / "databases" / slug
    place.mkdir(parents=True)
    is_sqlite = number % 4 in (0, 3)  # some of each in every night
    if is_sqlite:
        settings = {"path": str(make_sqlite_file(place / "shop.db"))}
    else:
        (place / "settings.json").write_text('{"day": ""}')
        settings = {"folder": str(place), "required": ["*.json"]}
    return Database.objects.create(
        application=application, name=slug, slug=slug, engine="sqlite" if is_sqlite else "files", settings=settings
    )


def _retentions(zone: str) -> tuple[Retention, Retention]:
    by_calendar, _made = Retention.objects.get_or_create(
        name=f"by calendar, {zone}", defaults={"daily": 7, "weekly": 8, "monthly": 12, "time_zone": zone}
    )
    newest, _made = Retention.objects.get_or_create(name="the newest three", defaults={"last": 3})
    return by_calendar, newest
