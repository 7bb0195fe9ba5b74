"""A catalogue as it looks after years: 5 applications, 20 databases, and as many backups as wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from django.utils import timezone

from dbadmin.models import (
    Application,
    AuditEvent,
    Backup,
    CheckResult,
    Copy,
    Database,
    Destination,
    Finding,
    Job,
    MigrationStatus,
    Schedule,
    ScheduleRun,
    Storage,
    StorageSample,
)
from dbadmin.text import Text

APPLICATIONS = ("COMET bot", "camp backend", "goal-mandala", "MangaAnime", "Mirai-Knowledge")
ENGINES = ("postgresql", "sqlite", "files", "postgresql")
BATCH = 2000
FACTS = {
    "tables": {f"public.table_{number}": number * 1000 for number in range(40)},
    "sequences": {f"public.table_{number}_id_seq": number * 1000 for number in range(40)},
    "objects": {"tables": 40, "indexes": 71, "views": 3},
}


def fill(backups: int) -> None:
    """Write ``backups`` backups, each with its job and an audit event, spread evenly over the databases."""
    storage, vault = _storages()
    databases = list(_databases())
    now = timezone.now()
    for start in range(0, backups, BATCH):
        numbers = range(start, min(start + BATCH, backups))
        jobs = Job.objects.bulk_create(_job(databases, number, _time(now, number, backups)) for number in numbers)
        made = Backup.objects.bulk_create(
            _backup(job, storage, number) for job, number in zip(jobs, numbers, strict=True)
        )
        Copy.objects.bulk_create(copy for backup in made for copy in _copies(backup, storage, vault))
        AuditEvent.objects.bulk_create(_event(job, number) for job, number in zip(jobs, numbers, strict=True))
    for database in databases:
        _health(database, now)
    _schedule(databases, now)


def _storages() -> tuple[Storage, Storage]:
    here = Storage.objects.create(name="This machine", settings={"path": "/nonexistent"}, is_default=True)
    away = Storage.objects.create(
        name="Tokyo", settings={"path": "/nowhere"}, is_offsite=True, cost_per_gigabyte="0.02", currency="EUR"
    )
    today = timezone.localdate()
    StorageSample.objects.bulk_create(
        StorageSample(
            storage=storage, day=today - timedelta(days=back), used_bytes=(500 - back) << 32, archives=500 - back
        )
        for storage in (here, away)
        for back in range(400)
    )
    return here, away


def _copies(backup: Backup, here: Storage, away: Storage) -> Iterator[Copy]:
    """One here, and of every fourth one in the other storage, of which few have not arrived."""
    of = {"backup": backup, "size": backup.size, "sha256": backup.sha256, "verified_at": backup.finished_at}
    yield Copy(storage=here, state="damaged" if backup.state == "damaged" else "stored", **of)
    if backup.pk % 4 == 0:
        yield Copy(storage=away, state="failed" if backup.pk % 5000 == 0 else "stored", **of)


def _schedule(databases: list[Database], now: datetime) -> None:
    schedule = Schedule.objects.create(name="Nightly", expression="0 3 * * *")
    schedule.databases.set(databases)
    Destination.objects.create(schedule=schedule, storage=Storage.objects.get(is_default=True))
    ScheduleRun.objects.bulk_create(
        ScheduleRun(
            schedule=schedule,
            database=database,
            due_at=now - timedelta(days=back),
            state="missed" if back % 90 == 7 else "succeeded",
        )
        for database in databases
        for back in range(365)
    )


def _databases() -> Iterator[Database]:
    for name in APPLICATIONS:
        application = Application.objects.create(name=name, slug=name.lower().replace(" ", "-"))
        for number, engine in enumerate(ENGINES):
            yield Database.objects.create(
                application=application, name=f"{engine} {number}", slug=f"{application.slug}-{number}", engine=engine
            )


def _time(now: datetime, number: int, backups: int) -> datetime:
    return now - timedelta(minutes=5 * (backups - number))


def _job(databases: list[Database], number: int, at: datetime) -> Job:
    failed = number % 997 == 0
    return Job(
        kind="backup" if number % 10 else "health",
        state="failed" if failed else "succeeded",
        database=databases[number % len(databases)],
        actor="cron",
        created_at=at,
        started_at=at,
        finished_at=at + timedelta(seconds=40),
        message=Text("The backup is complete."),
    )


def _backup(job: Job, storage: Storage, number: int) -> Backup:
    assert job.started_at
    assert job.finished_at
    short = hashlib.sha256(str(number).encode()).hexdigest()
    return Backup(
        database=job.database,
        storage=storage,
        job=job,
        key=f"{job.database.slug}/{job.started_at:%Y%m%dT%H%M%SZ}-full-{short[:8]}",
        scope="full" if number % 50 else "schema",
        state="damaged" if number % 9973 == 0 else "available",
        started_at=job.started_at,
        finished_at=job.finished_at,
        size=1_000_000 + int(short[:7], 16),
        sha256=short,
        row_count=780_000,
        server_version="16.15",
        client_version="16.15",
        facts=FACTS,
    )


def _event(job: Job, number: int) -> AuditEvent:
    return AuditEvent(
        at=job.created_at,
        actor="cron" if number % 3 else "sato",
        address="192.0.2.7",
        action="backup.run",
        object_type="database",
        object_id=str(job.database_id),
        object_label=str(job.database),
    )


def _health(database: Database, now: datetime) -> None:
    checks = islice(("reachable", "connections", "size", "backup_age", "content"), 5)
    CheckResult.objects.bulk_create(
        CheckResult(database=database, check_id=check, verdict="ok", message=Text("Well."), checked_at=now)
        for check in checks
    )
    Finding.objects.create(
        database=database,
        check_id="size",
        verdict="warning",
        message=Text("It is larger than 1000 MB."),
        opened_at=now,
        last_seen_at=now,
    )
    MigrationStatus.objects.create(database=database, tool="alembic", head="ab12cd34", applied=12, read_at=now)
