from __future__ import annotations

import json
import shutil
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from dbadmin import audit
from dbadmin.choices import BackupState, JobKind, JobState
from dbadmin.jobs.queue import enqueue
from dbadmin.models import AuditEvent, Backup, Copy, Database, Job, Storage
from tests.backups.files import flip_a_byte, stored
from tests.factories import make_storage, make_worker
from tests.sqlite_file import make_sqlite_file, sqlite_database

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def database(db: None, tmp_path: Path) -> Database:
    return sqlite_database(make_sqlite_file(tmp_path / "shop.db"), slug="shop")


@pytest.fixture
def storage(db: None, tmp_path: Path) -> Storage:
    return make_storage(tmp_path / "archives", is_default=True, name="disk")


@pytest.fixture
def backup(database: Database, storage: Storage) -> Backup:
    call_command("backup", "run", "shop", stdout=StringIO())
    return Backup.objects.get()


def run(*arguments: str) -> tuple[int, Any]:
    """Return exit code and document."""
    output = StringIO()
    try:
        call_command(*arguments, "--json", stdout=output)
        code = 0
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    return code, json.loads(output.getvalue())


def test_backup_run_backs_up_here_and_now(database: Database, storage: Storage) -> None:
    code, document = run("backup", "run", "shop")
    [result] = document["results"]
    assert (code, result["state"], result["backup"]["row_count"]) == (0, "succeeded", 3)
    assert AuditEvent.objects.get(action="backup.run").actor.startswith("shell:")


def test_backup_run_queue_leaves_it_to_a_worker(database: Database, storage: Storage) -> None:
    code, document = run("backup", "run", "shop", "--queue")
    assert (code, document["results"][0]["state"]) == (0, "queued")
    assert not Backup.objects.exists()


def test_backup_run_queue_says_when_no_worker_takes_it(
    database: Database, storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    no_worker = "It waits for a worker; none runs that takes it."
    call_command("backup", "run", "shop", "--queue")
    assert no_worker in capsys.readouterr().out
    make_worker()
    call_command("backup", "run", "shop", "--queue")
    assert no_worker not in capsys.readouterr().out


def test_backup_run_all_goes_on_after_a_failure_and_exits_2(database: Database, storage: Storage) -> None:
    sqlite_database(Path("/nonexistent/file.db"), slug="gone")
    code, document = run("backup", "run", "--all")
    assert code == 2
    assert {result["database"]: result["state"] for result in document["results"]} == {
        "shop": "succeeded",
        "gone": "failed",
    }


def test_backup_run_application_takes_only_its_databases(database: Database, storage: Storage, tmp_path: Path) -> None:
    sqlite_database(make_sqlite_file(tmp_path / "other.db"))
    _, document = run("backup", "run", "--application", database.application.slug)
    assert [result["database"] for result in document["results"]] == ["shop"]


def test_a_backup_that_is_running_is_refused_with_exit_code_5(database: Database, storage: Storage) -> None:
    job, _ = enqueue(JobKind.BACKUP, database, actor=audit.SYSTEM)
    code, document = run("backup", "run", "shop")
    assert (code, document["error"]["class"]) == (5, "Refused")
    assert f"Job {job.pk}" in document["error"]["message"]


@pytest.mark.parametrize(
    "arguments", [("nix",), ("--application", "nix"), ("shop", "--storage", "nix")], ids=["slug", "app", "storage"]
)
def test_names_that_are_not_known_exit_4(arguments: tuple[str, ...], database: Database, storage: Storage) -> None:
    assert run("backup", "run", *arguments)[0] == 4


def test_backup_list_and_show(backup: Backup) -> None:
    assert [row["id"] for row in run("backup", "list", "--database", "shop")[1]["results"]] == [backup.pk]
    [row] = run("backup", "show", str(backup.pk))[1]["results"]
    assert row["facts"]["tables"] == {"releases": 3}
    assert run("backup", "show", "999")[0] == 4


def test_backup_verify_finds_damage(backup: Backup) -> None:
    assert run("backup", "verify", str(backup.pk))[1]["results"][0]["verified_at"]
    flip_a_byte(stored(backup, "backup.tar"))
    code, document = run("backup", "verify", str(backup.pk))
    assert (code, document["error"]["class"]) == (2, "CorruptArchive")
    backup.refresh_from_db()
    assert backup.state == BackupState.DAMAGED


def test_restore_run_compares_and_list_shows_it(backup: Backup, tmp_path: Path) -> None:
    code, document = run("restore", "run", str(backup.pk), "--to-new", "copy.db")
    assert (code, document["results"][0]["restore"]["state"]) == (0, "exact")
    assert (tmp_path / "copy.db").exists()
    assert run("restore", "list")[1]["results"][0]["target"] == str(tmp_path / "copy.db")


def test_restore_over_something_is_refused_without_a_job(backup: Backup) -> None:
    assert run("restore", "run", str(backup.pk), "--to-new", "shop.db")[0] == 5
    assert not Job.objects.filter(kind=JobKind.RESTORE).exists()


def test_restore_with_differences_exits_1(backup: Backup) -> None:
    manifest = stored(backup, "manifest.json")
    manifest.write_text(manifest.read_text().replace('"releases": 3', '"releases": 4'))
    code, document = run("restore", "run", str(backup.pk), "--to-new", "copy.db")
    assert (code, document["results"][0]["restore"]["state"]) == (1, "different")


def test_restore_of_a_damaged_archive_exits_2(backup: Backup) -> None:
    flip_a_byte(stored(backup, "backup.tar"))
    code, document = run("restore", "run", str(backup.pk), "--to-new", "copy.db")
    assert (code, document["results"][0]["error_class"]) == (2, "CorruptArchive")


def test_jobs_list_and_cancel(database: Database) -> None:
    job, _ = enqueue(JobKind.BACKUP, database, actor=audit.SYSTEM)
    assert [row["id"] for row in run("jobs", "list", "--state", "queued")[1]["results"]] == [job.pk]
    assert run("jobs", "cancel", str(job.pk))[1]["results"][0]["state"] == JobState.CANCELLED
    assert run("jobs", "cancel", str(job.pk))[0] == 5
    assert run("jobs", "cancel", "999")[0] == 4


def test_tick_tells_what_it_asked_for(database: Database) -> None:
    assert {row["kind"] for row in run("tick")[1]["results"]} == {"health", "history"}
    assert run("tick")[1]["results"] == []


def test_backup_run_in_two_storages_copy_and_restore_from_one(database: Database, tmp_path: Path) -> None:
    make_storage(tmp_path / "one", name="One")
    two, three = make_storage(tmp_path / "two", name="Two"), make_storage(tmp_path / "three", name="Three")
    code, document = run("backup", "run", "shop", "--storage", "One", "--storage", "Two")
    number = str(document["results"][0]["backup"]["id"])
    assert (code, document["results"][0]["backup"]["missing_copies"]) == (0, 0)
    [shown] = run("backup", "show", number)[1]["results"]
    assert [(copy["storage"], copy["state"]) for copy in shown["copies"]] == [("One", "stored"), ("Two", "stored")]
    assert run("backup", "copy", number, "--storage", "Three")[0] == 0
    assert Copy.objects.get(storage=three).state == "stored"
    shutil.rmtree(tmp_path / "one")
    assert run("restore", "run", number, "--to-new", "from-three.db", "--storage", "Three")[0] == 0
    assert run("restore", "run", number, "--to-new", "from-one.db", "--storage", "One")[0] == 2
    assert run("restore", "run", number, "--to-new", "from-any.db")[0] == 0
    assert Backup.objects.get().storage == two
    assert run("backup", "verify", number, "--storage", "Two")[0] == 0
    assert run("backup", "verify", number, "--storage", "Nowhere")[0] == 4


def test_a_partial_backup_is_a_warning(database: Database, storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    make_storage(tmp_path / "file", name="Away")
    code, document = run("backup", "run", "shop", "--storage", "disk", "--storage", "Away")
    assert (code, document["results"][0]["backup"]["missing_copies"]) == (1, 1)
