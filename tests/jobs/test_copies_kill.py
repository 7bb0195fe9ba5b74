"""kill -9 and cut wires while backups are stored, at random points, in a folder and in a real S3 server."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from dbadmin import audit
from dbadmin.backups.missing import store_missing
from dbadmin.backups.reconcile import Reconciled, reconcile
from dbadmin.backups.verify import verify_backup
from dbadmin.choices import CopyState, JobKind, JobState
from dbadmin.jobs.execution import execute
from dbadmin.jobs.queue import enqueue
from dbadmin.jobs.reaper import reap
from dbadmin.models import Backup, Copy, Database, Job, Storage
from dbadmin.progress import Silent
from dbadmin.storages import buckets, resuming
from tests.backups.files import below, spools
from tests.factories import make_storage
from tests.jobs.forked import forked
from tests.sqlite_file import make_large_sqlite_file, sqlite_database
from tests.storages.servers import S3Server, Wire
from tests.storages.servers import s3_server as s3_server

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS, MEGABYTES = 50, 1
WORK = "tests.jobs.test_copies_kill:work"


def work(job: int) -> str:
    """For ``tests.jobs.forked``; a wire that stays cut is given up after a moment, not after two minutes."""
    buckets._retries = lambda number: {"max_retries": 1, "retry_timeout": timedelta(seconds=1)}
    resuming.PAUSES = (0.05,)
    execute(job)
    return "ended"


@dataclass
class Scene:
    """A database that goes to a folder and, over a wire that can be cut, to a bucket."""

    database: Database
    local: Storage
    bucket: Storage
    wire: Wire
    bucket_folder: Path

    def job(self, chance: random.Random) -> Job:
        """What is waiting, else copies that are missing, else another backup."""
        if waiting := Job.objects.active().first():
            return waiting
        Copy.objects.exclude(retry_at=None).update(retry_at=timezone.now())
        if chance.random() < 0.4 and Copy.objects.exclude(retry_at=None).exists():
            return enqueue(JobKind.COPY, self.database, actor=audit.SYSTEM, ring=False)[0]
        storages = [self.local.pk, self.bucket.pk]
        chance.shuffle(storages)
        params = {"storages": storages}
        return enqueue(JobKind.BACKUP, self.database, actor=audit.SYSTEM, params=params, ring=False)[0]

    def objects(self) -> dict[Storage, list[str]]:
        return {self.local: below(Path(self.local.settings["path"])), self.bucket: below(self.bucket_folder)}

    def expected(self, *states: CopyState) -> dict[Storage, set[str]]:
        found: dict[Storage, set[str]] = {self.local: set(), self.bucket: set()}
        for copy in Copy.objects.filter(state__in=states).select_related("storage", "backup"):
            names = ("backup.tar", "manifest.json")
            found[copy.storage] |= {f"{copy.backup.key}/{name}" for name in names}
        return found


@pytest.fixture
def scene(tmp_path: Path, s3_server: S3Server) -> Iterator[Scene]:
    database = sqlite_database(make_large_sqlite_file(tmp_path / "shop.db", megabytes=MEGABYTES), slug="shop")
    with Wire(s3_server.port) as wire:
        bucket = make_storage(kind="s3", name="Bucket", settings=s3_server.settings("kill", port=wire.port))
        bucket.secrets = s3_server.secrets
        bucket.save()
        assert s3_server.folder is not None
        local = make_storage(tmp_path / "archives", name="Folder")
        yield Scene(database, local, bucket, wire, s3_server.folder / "kill")


def test_whatever_is_killed_or_cut_leaves_whole_backups_and_nothing_else(scene: Scene) -> None:
    seed = random.randrange(1 << 32)
    chance, lasting, met = random.Random(seed), 0.5, []
    for number in range(4 * ROUNDS):
        if number >= ROUNDS + 3 and {"lost", "succeeded"} <= set(met):
            break
        job, began = scene.job(chance), time.monotonic()
        before = scene.wire.carried
        pid = forked().start(WORK, job.pk)
        if number < 3:  # how long one takes, and how much it carries
            forked().wait()
            lasting, carried = time.monotonic() - began, scene.wire.carried - before
            continue
        if number % 2:
            time.sleep(chance.uniform(0, 0.7 * lasting))
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        else:
            scene.wire.cut(after=chance.randrange(carried // 2), times=chance.choice((1, 4, 1000)))
        forked().wait()
        scene.wire.cut(after=0, times=0)
        reap(timezone.now())
        job.refresh_from_db()
        met.append(str(job.state))
        assert job.state != JobState.ERRORED, f"seed {seed}: {job.traceback}"
        _require_whole(scene, f"seed {seed}, round {number}")
    assert {"lost", "succeeded"} <= set(met), met
    _complete(scene)
    assert {storage: set(names) for storage, names in scene.objects().items()} == scene.expected(CopyState.STORED), seed
    assert (
        Copy.objects.exclude(state=CopyState.STORED).count() == 0 == Backup.objects.filter(missing_copies__gt=0).count()
    )
    for backup in Backup.objects.all():
        verify_backup(backup, Silent())
    assert reconcile(database=scene.database, progress=Silent()) == Reconciled()
    assert spools() == []


def _require_whole(scene: Scene, said: str) -> None:
    """What is listed is there, whole; what else lies there belongs to a copy that is being completed."""
    objects = scene.objects()
    for storage, names in scene.expected(CopyState.STORED).items():
        assert names <= set(objects[storage]), said
    known = set(Backup.objects.values_list("key", flat=True))
    noted = {job.params["key"] for job in Job.objects.exclude(params__storing=[]) if job.params.get("storing")}
    for storage, found in objects.items():
        strange = [name for name in found if name.rpartition("/")[0] not in known | noted]
        assert not strange, f"{said}: {storage} has {strange}"
    assert all(backup.copies.filter(state=CopyState.STORED).exists() for backup in Backup.objects.all()), said


def _complete(scene: Scene) -> None:
    """Some time later, with everything in order again."""
    for job in Job.objects.active():
        forked().run(WORK, job.pk)
    Copy.objects.exclude(retry_at=None).update(retry_at=timezone.now())
    assert [str(copy.message) for copy in store_missing(scene.database, Silent())[1]] == []
