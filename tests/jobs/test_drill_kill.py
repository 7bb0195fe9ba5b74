"""A drill that is killed leaves no server, no folder and no doubt."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from dbadmin.audit import Actor
from dbadmin.choices import DrillState, JobKind, JobState
from dbadmin.engines.postgresql import scratch
from dbadmin.jobs import queue
from dbadmin.jobs.foreground import work_on
from dbadmin.jobs.reaper import reap
from dbadmin.models import Backup, Drill, Job, Storage
from tests.backups.files import spools
from tests.jobs.test_worker_postgresql import Shop, program_of, shop, storage, worker_of
from tests.jobs.workers import over, supervised, until

__all__ = ["shop", "storage"]
pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]
ANNE = Actor(name="anne")
SEEN: set[str] = set()


def scratch_servers() -> list[int]:
    """Those of this test's home folder; other drills may run on this machine."""
    folders = {str(scratch.folder_of(spool)) for spool in (settings.HOME / "spool").glob("job-*")} | SEEN
    SEEN.update(folders)
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if cwd(pid).startswith(tuple(folders))]


def cwd(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def begun(shop: Shop) -> tuple[Job, int]:
    """Wait until pg_restore works in the scratch server."""
    job, _ = queue.enqueue(
        JobKind.DRILL, shop.database, actor=ANNE, params={"backup": Backup.objects.get().pk}, ring=True
    )
    until(lambda: Drill.objects.filter(job=job).exists())
    until(scratch_servers)
    return job, program_of(job)


def test_kill_9_in_a_drill_leaves_no_server_and_no_folder(shop: Shop, storage: Storage) -> None:
    assert work_on(JobKind.BACKUP, shop.database, actor=ANNE, params={}).state == JobState.SUCCEEDED
    with supervised("worker", "--workers", "1", "--tick", "600") as supervisor:
        job, _program = begun(shop)
        worker = worker_of(job)
        os.kill(supervisor.pid, signal.SIGKILL)
        os.kill(worker, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{worker}/cwd").exists())
        assert scratch_servers()  # nobody has ended it yet
        reap(timezone.now())
    assert scratch_servers() == []
    assert not [folder for folder in SEEN if Path(folder).exists()]
    assert spools() == []
    assert Drill.objects.get(job=job).state == DrillState.FAILED
    assert Job.objects.get(pk=job.pk).state == JobState.LOST


def test_a_cancelled_drill_leaves_nothing_either(shop: Shop, storage: Storage) -> None:
    assert work_on(JobKind.BACKUP, shop.database, actor=ANNE, params={}).state == JobState.SUCCEEDED
    with supervised("worker", "--workers", "1", "--tick", "600"):
        job, _program = begun(shop)
        queue.cancel(job, actor=ANNE)
        until(over(job))
    assert (job.state, scratch_servers(), spools()) == (JobState.CANCELLED, [], [])
    assert Drill.objects.get().state == DrillState.FAILED
