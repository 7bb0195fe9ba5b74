"""What is released and still lies in a storage is shown as what it is, and why."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from dbadmin import audit
from dbadmin.backups.going import note_removals
from dbadmin.choices import JobKind, JobState
from dbadmin.jobs.execution import run_now
from dbadmin.jobs.queue import enqueue
from dbadmin.models import Backup, Copy, Database, Job, Storage
from tests.backups.stored import put, put_copy, release
from tests.factories import make_database, make_job, make_retention, make_storage

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def database(db: None) -> Database:
    return make_database(slug="shop")


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return make_storage(tmp_path / "away", name="disk", retention=make_retention(last=1, daily=0))


@pytest.fixture
def going(database: Database, storage: Storage, tmp_path: Path) -> Backup:
    """Released by a worker that died then; when the next one comes, its disk is away, and no file can go."""
    old = put(database, storage, days=2)
    put(database, storage, days=1)
    assert release(database) == 1
    (tmp_path / "away").rename(tmp_path / "elsewhere")
    ended = run_now(enqueue(JobKind.EXPIRE, database, actor=audit.SYSTEM)[0])
    assert ended.state == JobState.FAILED
    old.refresh_from_db()
    return old


def listed() -> list[dict[str, Any]]:
    output = StringIO()
    call_command("backup", "list", "--json", stdout=output)
    found: list[dict[str, Any]] = json.loads(output.getvalue())["results"]
    return found


def test_the_list_says_from_where_it_is_removed_and_what_that_waits_for(going: Backup, viewer: Client) -> None:
    row = next(row for row in listed() if row["id"] == going.pk)
    assert row["state"] == "expiring"
    [removal] = row["being_removed"]
    assert removal["storage"] == "disk"
    assert removal["because"].startswith("It waits because: ")
    for address in ("/backups/", going.get_absolute_url(), "/databases/shop/?tab=backups"):
        page = viewer.get(address).content.decode()
        assert "Being deleted" in page, address
        assert "Being removed from “disk”. It waits because: " in page, address


def test_the_filter_tells_what_is_being_deleted_from_what_is(going: Backup, viewer: Client) -> None:
    def keys(state: str) -> list[str]:
        return [row.key for row in viewer.get("/backups/", {"state": state}).context["page"].rows]

    assert (keys("expiring"), keys("deleted")) == ([going.key], [])
    Copy.objects.filter(backup=going).update(state="deleted")
    assert (keys("expiring"), keys("deleted")) == ([], [going.key])
    assert next(row for row in listed() if row["id"] == going.pk)["state"] == "deleted"


def test_one_copy_that_goes_leaves_the_backup_available(database: Database, storage: Storage) -> None:
    backup = put(database, storage, days=1)
    put_copy(backup, make_storage(name="second"), state="expiring")
    [row] = listed()
    assert (row["state"], [each["storage"] for each in row["being_removed"]]) == ("available", ["second"])


def because(backup: Backup) -> str:
    [found] = note_removals(Backup.objects.listed().filter(pk=backup.pk))
    return str(found.removals[0].because)


def test_every_reason_has_its_sentence(going: Backup, database: Database) -> None:
    reading = make_job(database=database, kind="verify", params={"backup": going.pk})
    assert because(going) == "It waits for a job that reads it."
    reading.delete()
    job = make_job(database=database, kind="expire")
    assert because(going) == f"Job {job.pk} does it."
    Job.objects.filter(pk=job.pk).update(state="succeeded")
    assert because(going) == "It goes with the next run of retention."
    Job.objects.filter(pk=job.pk).update(state="lost", message={"msgid": "The worker is gone.", "params": {}})
    assert because(going) == f"It waits because job {job.pk} failed: The worker is gone. It is tried again."
    Storage.objects.update(removed_at=timezone.now())
    assert because(going) == "“disk” was taken off the dashboard, so its files stay."
