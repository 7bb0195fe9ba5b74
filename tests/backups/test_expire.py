"""Retention applied to real files: what goes, what never goes, and what happens when something comes between."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from dbadmin import audit
from dbadmin.backups import expire as expiring
from dbadmin.backups.expire import expire, in_need
from dbadmin.backups.judging import judge
from dbadmin.backups.pins import pin, unpin
from dbadmin.backups.reading import read
from dbadmin.choices import BackupState, CopyState, JobKind, JobState, RunState
from dbadmin.exceptions import Cancelled, Refused, StorageError
from dbadmin.models import AuditEvent, Backup, Copy, Database, Destination, Job, Retention, ScheduleRun, Storage
from dbadmin.progress import Silent
from dbadmin.text import Text
from tests.backups.dying import dies_after
from tests.backups.stored import put, put_copy, release, states, there
from tests.factories import make_copy, make_database, make_job, make_retention, make_schedule, make_storage


@pytest.fixture
def two() -> Retention:
    return make_retention(name="Two", last=2, daily=0)


@pytest.fixture
def database(db: None) -> Database:
    return make_database(slug="shop")


@pytest.fixture
def storage(two: Retention, tmp_path: Path) -> Storage:
    return make_storage(tmp_path / "archives", retention=two, is_default=True)


@pytest.fixture
def backups(database: Database, storage: Storage) -> list[Backup]:
    return [put(database, storage, days=days) for days in range(1, 6)]


def run(database: Database) -> expiring.Expired:
    return expire(database=database, progress=Silent())


pytestmark = pytest.mark.django_db


def test_what_no_rule_keeps_goes_with_its_files(backups: list[Backup], database: Database, storage: Storage) -> None:
    assert run(database) == expiring.Expired(deleted=3, freed=3000, left=0)
    assert [states(backup)[0] for backup in backups] == ["available"] * 2 + ["deleted"] * 3
    assert [bool(there(backup, storage)) for backup in backups] == [True, True, False, False, False]
    assert not list((Path(storage.settings["path"]) / "shop").glob("*0004"))
    event = AuditEvent.objects.filter(action="backup.expire").latest("pk")
    assert "No rule of “Two”" in event.reason
    assert event.details["storage"] == storage.name
    copy = backups[4].copies.get()
    assert copy.deleted_at
    assert "No rule of “Two”" in str(copy.message)


def test_twice_deletes_nothing_more(backups: list[Backup], database: Database) -> None:
    run(database)
    assert run(database).deleted == 0


def test_without_a_retention_nothing_goes(backups: list[Backup], database: Database, storage: Storage) -> None:
    Storage.objects.update(retention=None)
    assert run(database).deleted == 0
    assert database not in in_need()


def test_the_retention_of_a_destination_comes_before_that_of_the_storage(database: Database, storage: Storage) -> None:
    schedule = make_schedule()
    Destination.objects.create(schedule=schedule, storage=storage, retention=make_retention(last=1, daily=0))
    by_schedule = [put(database, storage, days=days, schedule=schedule) for days in range(2, 6)]
    by_hand = [put(database, storage, days=days) for days in range(1, 5)]
    run(database)
    assert [states(backup)[0] for backup in by_schedule] == ["available"] + ["deleted"] * 3
    assert [states(backup)[0] for backup in by_hand] == ["available"] * 2 + ["deleted"] * 2


def test_the_copy_that_is_read_moves_to_a_storage_that_keeps_it(
    backups: list[Backup], database: Database, storage: Storage, tmp_path: Path
) -> None:
    for_ever = make_storage(tmp_path / "vault")
    put_copy(backups[4], for_ever)
    run(database)
    assert states(backups[4]) == (BackupState.AVAILABLE, [CopyState.DELETED, CopyState.STORED])
    assert backups[4].storage == for_ever
    assert there(backups[4], for_ever) == {"backup.tar", "manifest.json"}
    assert there(backups[4], storage) == set()


def test_what_is_waited_for_elsewhere_stays_until_it_is_there(
    backups: list[Backup], database: Database, tmp_path: Path
) -> None:
    vault = make_storage(tmp_path / "vault")
    waiting = make_copy(backup=backups[4], storage=vault, state=CopyState.WAITING, stored_at=None)
    assert run(database).deleted == 2
    assert states(backups[4])[0] == BackupState.AVAILABLE
    Copy.objects.filter(pk=waiting.pk).update(state=CopyState.STORED)
    assert run(database).deleted == 1


def test_while_the_newest_run_of_the_schedule_failed_nothing_of_it_goes(database: Database, storage: Storage) -> None:
    schedule = make_schedule(name="Nightly")
    for days in range(1, 6):
        put(database, storage, days=days, schedule=schedule)
    missed = ScheduleRun.objects.create(
        schedule=schedule, database=database, due_at=timezone.now(), state=RunState.MISSED
    )
    assert run(database).deleted == 0
    assert "The newest run of “Nightly”" in str(judge(database, now=timezone.now()).copies[4].reasons[0])
    missed.state = RunState.SUCCEEDED
    missed.save()
    assert run(database).deleted == 3


@pytest.mark.parametrize(
    ("failed", "and_yet"),
    [
        ({"state": RunState.WAITING, "retry_at": timezone.now() + timedelta(hours=9)}, None),
        ({"state": RunState.FAILED}, {"state": RunState.SUCCEEDED, "due_at": timezone.now() + timedelta(days=9)}),
        ({"state": RunState.FAILED}, {"state": RunState.SUCCEEDED, "kind": JobKind.HEALTH}),
    ],
)
def test_a_run_that_failed_counts_until_a_backup_is_made(
    database: Database, storage: Storage, failed: dict[str, Any], and_yet: dict[str, Any] | None
) -> None:
    """Not only once it is tried again, nor until one of another kind, or of a day that has not come, succeeds."""
    schedule = make_schedule(name="Nightly")
    for days in range(1, 6):
        put(database, storage, days=days, schedule=schedule)
    now = timezone.now()
    ScheduleRun.objects.create(schedule=schedule, database=database, due_at=now - timedelta(minutes=2), **failed)
    if and_yet:
        job = make_job(database=database, state=JobState.SUCCEEDED, kind=and_yet.get("kind", JobKind.BACKUP))
        due_at = and_yet.get("due_at", now)
        ScheduleRun.objects.create(schedule=schedule, database=database, due_at=due_at, job=job, state=and_yet["state"])
    assert run(database).deleted == 0


def test_while_the_newest_backup_job_failed_nothing_goes(backups: list[Backup], database: Database) -> None:
    make_job(database=database, state=JobState.FAILED, finished_at=timezone.now())
    assert run(database).deleted == 0
    make_job(database=database, state=JobState.SUCCEEDED, finished_at=timezone.now())
    assert run(database).deleted == 3


def test_what_a_job_is_about_to_read_stays(backups: list[Backup], database: Database, storage: Storage) -> None:
    job = make_job(database=database, kind=JobKind.RESTORE, params={"backup": backups[4].pk})
    assert run(database).deleted == 2
    assert there(backups[4], storage) == {"backup.tar", "manifest.json"}
    Job.objects.filter(pk=job.pk).update(state=JobState.SUCCEEDED)
    assert run(database).deleted == 1


def test_a_job_that_came_between_decision_and_deletion_still_reads(
    backups: list[Backup], database: Database, storage: Storage
) -> None:
    """It had read the row before the decision was written; its files stay until it is over."""

    class RestoreBegins(Silent):
        def check(self) -> None:
            if not Job.objects.filter(kind=JobKind.DRILL).exists():
                make_job(database=database, kind=JobKind.DRILL, params={"backup": backups[4].pk})

    done = expire(database=database, progress=RestoreBegins())
    assert (done.deleted, done.left) == (2, 1)
    assert there(backups[4], storage) == {"backup.tar", "manifest.json"}
    Job.objects.update(state=JobState.SUCCEEDED)
    assert run(database).deleted == 1
    assert there(backups[4], storage) == set()


def test_nobody_begins_to_read_what_is_released(backups: list[Backup], database: Database) -> None:
    release(database)
    backups[4].refresh_from_db()
    with pytest.raises(Refused, match="was deleted"):
        read(backups[4], lambda backend: backend)


def test_a_pin_wins_until_the_release_is_written(backups: list[Backup], database: Database) -> None:
    pin(backups[4], actor=audit.SYSTEM, note="before the move")
    assert run(database).deleted == 2
    with pytest.raises(Refused, match="was deleted"):
        pin(backups[3], actor=audit.SYSTEM, note="too late")
    unpin(backups[4], actor=audit.SYSTEM)
    assert run(database).deleted == 1
    assert list(AuditEvent.objects.filter(action__contains="pin").values_list("action", "reason")) == [
        ("backup.unpin", ""),
        ("backup.pin", "before the move"),
    ]


def test_a_storage_that_is_away_is_said_and_tried_again(
    backups: list[Backup], database: Database, storage: Storage, tmp_path: Path
) -> None:
    folder = Path(storage.settings["path"])
    folder.rename(tmp_path / "unplugged")
    folder.mkdir()  # the empty mount point
    with pytest.raises(StorageError, match=r"Nothing is released in “.*”\. .*none of the archives"):
        run(database)
    assert states(backups[4]) == (BackupState.AVAILABLE, [CopyState.STORED])
    folder.rmdir()
    (tmp_path / "unplugged").rename(folder)
    assert run(database).deleted == 3
    assert states(backups[4]) == (BackupState.DELETED, [CopyState.DELETED])
    assert there(backups[4], storage) == set()


def test_one_storage_that_is_away_does_not_hold_up_another(
    backups: list[Backup], database: Database, storage: Storage, tmp_path: Path, two: Retention
) -> None:
    broken = make_storage(tmp_path / "broken", retention=two)
    for backup in backups:
        put_copy(backup, broken)
    (tmp_path / "broken").rename(tmp_path / "gone")
    (tmp_path / "broken").touch()
    with pytest.raises(StorageError, match=f"Nothing is released in “{broken.name}”"):
        run(database)
    assert [there(backup, storage) for backup in backups[2:]] == [set()] * 3
    assert [each.state for each in Copy.objects.filter(storage=broken)] == [CopyState.STORED] * 5


def test_a_removed_storage_keeps_everything(backups: list[Backup], database: Database, storage: Storage) -> None:
    storage.removed_at = timezone.now()
    storage.save()
    assert run(database).deleted == 0
    assert judge(database, now=timezone.now()).copies == ()


def test_a_vanished_one_leaves_the_list_when_its_time_is_over(backups: list[Backup], database: Database) -> None:
    backups[4].copies.update(state=CopyState.VANISHED)
    Backup.objects.filter(pk=backups[4].pk).update(state=BackupState.VANISHED)
    run(database)
    assert states(backups[4]) == (BackupState.DELETED, [CopyState.DELETED])


def test_cancelling_loses_nothing(backups: list[Backup], database: Database) -> None:
    class CancelledAtTheThird(Silent):
        left = 3

        def check(self) -> None:
            self.left -= 1
            if self.left == 0:
                raise Cancelled

    with pytest.raises(Cancelled):
        expire(database=database, progress=CancelledAtTheThird())
    run(database)
    assert [states(backup)[0] for backup in backups] == ["available"] * 2 + ["deleted"] * 3
    assert not Copy.objects.filter(state=CopyState.EXPIRING).exists()


def test_many_are_released_in_several_transactions(
    database: Database, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiring, "AT_ONCE", 2)
    chain: Backup | None = None
    for days in range(9, 0, -1):
        chain = put(database, storage, days=days, base=chain if days in (4, 5) else None)
    assert run(database).deleted == 7


# Preview


# By hand


# kill -9


@pytest.mark.django_db(transaction=True)
def test_killed_at_any_step_it_is_finished_by_the_next(database: Database, storage: Storage, two: Retention) -> None:
    Retention.objects.filter(pk=two.pk).update(last=1)
    steps, seen = 0, set()
    killed = True
    while killed:
        new, old, older = (put(database, storage, days=days) for days in (1, 30, 31))
        killed = dies_after(steps, lambda progress: expire(database=database, progress=progress))
        for backup in (new, old, older):
            state, (copy,) = states(backup)
            if state == BackupState.AVAILABLE:  # what is listed is there
                assert (copy, there(backup, storage)) == (CopyState.STORED, {"backup.tar", "manifest.json"})
        seen.add((*states(old)[1], *sorted(there(old, storage))))
        run(database)
        assert [states(backup) for backup in (old, older)] == [(BackupState.DELETED, [CopyState.DELETED])] * 2
        assert there(new, storage)
        assert not there(old, storage) | there(older, storage)
        delete_all(database)
        steps += 1
    assert seen == {
        ("stored", "backup.tar", "manifest.json"),
        ("expiring", "backup.tar", "manifest.json"),
        ("expiring", "backup.tar"),
        ("expiring",),
        ("deleted",),
    }


def delete_all(database: Database) -> None:
    for backup in Backup.objects.filter(database=database):
        backup.storage.backend().discard(backup.key)
    Backup.objects.filter(database=database).delete()


def test_a_line_of_the_log_names_the_storage_that_was_away(
    backups: list[Backup], database: Database, storage: Storage
) -> None:
    lines: list[str] = []

    class Listening(Silent):
        def log(self, line: Text, *, level: str = "info") -> None:
            lines.append(f"{level} {line}")

    Storage.objects.filter(pk=storage.pk).update(settings={"path": "/proc/nowhere"})
    with pytest.raises(StorageError):
        expire(database=database, progress=Listening())
    assert any(line.startswith(f"error {storage.name}: ") for line in lines)
