from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import timezone

from dbadmin.models import AuditEvent, Backup, Copy, Database, Job, Storage
from tests.backups.stored import put, release, there
from tests.commands.test_backup import run
from tests.factories import make_job, make_retention, make_storage
from tests.sqlite_file import make_sqlite_file, sqlite_database

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def database(db: None, tmp_path: Path) -> Database:
    return sqlite_database(make_sqlite_file(tmp_path / "shop.db"), slug="shop")


@pytest.fixture
def storage(db: None, tmp_path: Path) -> Storage:
    retention = make_retention(name="Two", last=2, daily=0)
    return make_storage(tmp_path / "archives", is_default=True, name="disk", retention=retention)


@pytest.fixture
def backups(database: Database, storage: Storage) -> list[Backup]:
    return [put(database, storage, days=days) for days in range(1, 5)]


def test_a_dry_run_tells_of_every_copy_why_and_deletes_nothing(backups: list[Backup], storage: Storage) -> None:
    code, document = run("backup", "expire", "--dry-run")
    assert code == 0
    assert [(row["backup"], row["keep"]) for row in document["results"]] == [
        (backup.pk, keep) for backup, keep in zip(backups, (True, True, False, False), strict=True)
    ]
    assert document["results"][1]["reasons"] == ["One of the newest 2."]
    assert document["results"][1]["retention"] == "Two"
    assert all(there(backup, storage) for backup in backups)
    assert not Job.objects.exists()
    output = StringIO()
    call_command("backup", "expire", "--dry-run", "--database", "shop", stdout=output)
    assert output.getvalue().splitlines()[-1] == "To be deleted: 2 copies, 0.0 MB."


def test_a_dry_run_tells_of_what_is_released_already(backups: list[Backup], storage: Storage) -> None:
    release(backups[0].database)
    rows = run("backup", "expire", "--dry-run", "--database", "shop")[1]["results"]
    assert [(row["backup"], row["keep"]) for row in rows[2:]] == [(each.pk, False) for each in backups[2:]]
    Copy.objects.filter(backup__in=backups[:2]).update(state="vanished")
    rows = run("backup", "expire", "--dry-run", "--database", "shop")[1]["results"]
    assert [row["keep"] for row in rows] == [True] * 4
    assert "it is taken back if it is whole" in rows[3]["reasons"][0]


def test_expire_deletes_in_earnest(backups: list[Backup], storage: Storage) -> None:
    code, document = run("backup", "expire")
    assert (code, document["results"][0]["state"]) == (0, "succeeded")
    assert document["results"][0]["message"] == "2 archives are deleted, 0.0 MB."
    assert [bool(there(backup, storage)) for backup in backups] == [True, True, False, False]
    assert AuditEvent.objects.filter(action="retention.apply", actor__startswith="shell:").exists()


def test_expire_in_a_storage_that_is_away_fails(backups: list[Backup], storage: Storage) -> None:
    Storage.objects.update(settings={"path": "/proc/nowhere"})
    code, document = run("backup", "expire")
    assert (code, document["results"][0]["state"]) == (2, "failed")


def test_a_job_that_is_active_already_refuses(backups: list[Backup], database: Database) -> None:
    make_job(database=database, kind="expire")
    code, document = run("backup", "expire")
    assert (code, document["results"][0]["state"]) == (5, "refused")


def test_pin_and_unpin(backups: list[Backup]) -> None:
    code, document = run("backup", "pin", str(backups[3].pk), "--note", "before the move")
    assert (code, document["results"][0]["pin_note"]) == (0, "before the move")
    assert run("backup", "delete", str(backups[3].pk), "--reason", "space")[0] == 5
    code, document = run("backup", "unpin", str(backups[3].pk))
    assert (code, document["results"][0]["pinned_at"]) == (0, None)


def test_a_note_is_one_line(backups: list[Backup]) -> None:
    code, document = run("backup", "pin", str(backups[3].pk), "--note", "two\nlines")
    assert (code, document["error"]["class"]) == (5, "Refused")
    backups[3].refresh_from_db()
    assert backups[3].pinned_at is None


def test_delete_needs_the_name_for_the_only_one(backups: list[Backup], storage: Storage) -> None:
    for backup in backups[1:]:
        assert run("backup", "delete", str(backup.pk), "--reason", "space")[0] == 0
    only = str(backups[0].pk)
    code, document = run("backup", "delete", only, "--reason", "space")
    assert (code, document["error"]["class"]) == (5, "Refused")
    code, document = run("backup", "delete", only, "--reason", "space", "--confirm", "shop")
    assert (code, document["results"][0]["state"]) == (0, "deleted")
    assert not there(backups[0], storage)


def test_reconcile_lists_what_is_wrong(backups: list[Backup], storage: Storage) -> None:
    assert run("backup", "reconcile")[0] == 0
    storage.backend().write("shop/unknown/backup.tar", [b"?"])
    code, document = run("backup", "reconcile", "--database", "shop")
    assert (code, document["results"][1]["what"]) == (1, "orphan")
    storage.backend().discard(backups[0].key)
    code, document = run("backup", "reconcile")
    assert (code, [row.get("what") for row in document["results"]]) == (2, [None, "vanished", "orphan"])


def test_reconcile_never_says_that_all_agrees_above_a_list_of_what_is_missing(
    backups: list[Backup], storage: Storage
) -> None:
    storage.backend().discard(backups[0].key)
    storage.backend().write("shop/unknown/backup.tar", [b"?"])
    for new in (1, 0):
        code, document = run("backup", "reconcile")
        assert (code, [row.get("what") for row in document["results"]]) == (2, [None, "vanished", "orphan"])
        said = f"Missing: 1, {new} of them new. Damaged: 0. There again: 0. Belonging to no backup: 1."
        assert document["results"][0]["message"] == said
    Copy.objects.filter(backup=backups[1]).update(state="damaged")
    code, document = run("backup", "reconcile")
    assert (code, "Damaged: 1." in document["results"][0]["message"]) == (2, True)
    assert {row.get("what") for row in document["results"][1:]} == {"vanished", "damaged", "orphan"}
    Copy.objects.filter(backup=backups[1]).update(state="stored")
    Storage.objects.update(removed_at=timezone.now())  # what it had is still listed, and is nowhere now
    code, document = run("backup", "reconcile")
    assert (code, document["results"][0]["message"]) == (2, said)


def test_a_number_of_no_backup_is_wrong_usage(db: None) -> None:
    assert run("backup", "pin", "999")[0] == 4
