from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone

from dbadmin.backups import own
from dbadmin.models import AuditEvent, Drill, EncryptionKey, Schedule, Storage
from tests.factories import make_backup, make_copy, make_database, make_job, make_storage

SECRET = "tr0ub4dor&3"


def run(*arguments: str) -> tuple[list[dict[str, Any]], int, str]:
    """Return results, exit code and the whole output of a command with --json."""
    out, code = io.StringIO(), 0
    try:
        call_command(*arguments, "--json", stdout=out)
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    return json.loads(out.getvalue())["results"], code, out.getvalue()


def test_the_first_storage_is_the_default_and_keeps_the_catalogue(db: None, tmp_path: Path) -> None:
    said = [run("storages", "add", name, "--set", f"path={tmp_path / name}")[0][0] for name in ("First", "Second")]
    assert [row["is_default"] for row in said] == [True, False]
    own.register()
    assert Schedule.objects.get().destinations.get().storage.name == "First"


def test_a_storage_is_added_tested_made_default_and_removed(db: None, tmp_path: Path) -> None:
    [row], code, _ = run("storages", "add", "Vault", "--set", f"path={tmp_path}", "--quota-gb", "5", "--offsite")
    assert (row["quota_bytes"], row["is_offsite"], code) == (5 << 30, True, 0)
    [tested], code, _ = run("storages", "test", "Vault")
    assert (tested["ok"], code) == (True, 0)
    assert {"write", "read", "delete"} <= {stage["name"] for stage in tested["stages"]}
    assert list(tmp_path.iterdir()) == []
    [row], code, _ = run("storages", "default", "Vault")
    assert row["is_default"]
    assert run("storages", "remove", "Vault", "--reason", "sold")[1] == 5
    make_storage(is_default=False)
    Storage.objects.update(is_default=False)
    [row], code, _ = run("storages", "remove", "Vault", "--reason", "sold")
    assert row["removed_at"]
    actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert {"storage.add", "storage.test", "storage.default", "storage.remove"} <= actions


HOME = Path(settings.HOME)


@pytest.mark.parametrize(
    "place",
    ["/", "/proc", "/sys/fs", *map(str, (HOME.parent, HOME, HOME / "spool"))],
    ids=["root", "proc", "sys", "above home", "home", "spool"],
)
def test_our_own_files_and_the_kernels_are_no_place_for_archives(db: None, tmp_path: Path, place: str) -> None:
    (tmp_path / "link").symlink_to(place)
    for path in (place, str(tmp_path / "link")):
        assert run("storages", "add", "Vault", "--set", f"path={path}")[1] == 5
    assert not Storage.objects.exists()
    assert run("storages", "add", "Vault", "--set", f"path={settings.HOME}/archives/second")[1] == 0


def test_secrets_come_by_the_environment_or_standard_input_and_are_not_shown(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", SECRET)
    bucket = ("--kind", "s3", "--set", "bucket=archives")
    [row], _code, out = run("storages", "add", "Cloud", *bucket, "--secret-env", "secret_access_key=KEY")
    assert row["secrets"] == ["secret_access_key"]
    assert SECRET not in out
    assert Storage.objects.get().secrets == {"secret_access_key": SECRET}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"session_token": SECRET})))
    [row], _code, out = run("storages", "edit", "Cloud", "--secrets-stdin", "--forget", "secret_access_key")
    assert row["secrets"] == ["session_token"]
    assert SECRET not in out + str(list(AuditEvent.objects.values()))


@pytest.mark.parametrize(
    "wrong",
    [
        ("--kind", "s3", "--set", "bucket=a", "--set", f"secret_access_key={SECRET}"),
        ("--kind", "s3", "--set", "bucket=a", "--set", "folder=x"),
        ("--kind", "s3", "--set", "bucket"),
        ("--kind", "s3", "--set", "bucket=a", "--secret-env", "secret_access_key=NOT_SET"),
        ("--kind", "s3", "--set", "bucket=a", "--key", "unknown"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_saved(db: None, wrong: tuple[str, ...]) -> None:
    _results, code, out = run("storages", "add", "Cloud", *wrong)
    assert code == 4
    assert SECRET not in out
    assert not Storage.objects.exists()


def test_a_failing_test_is_critical_and_names_its_stage(db: None, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    make_storage(tmp_path / "file" / "inside", name="Vault")
    [row], code, _ = run("storages", "test", "Vault")
    assert code == 2
    assert [stage["ok"] for stage in row["stages"]][-1] is False
    assert run("storages", "show", "Vault")[0][0]["problem"]


def test_a_folder_whose_disk_is_gone_fails_the_test(db: None, tmp_path: Path) -> None:
    make_backup(storage=make_storage(tmp_path, name="Vault"))  # the folder is there, and nothing is in it
    [row], code, _ = run("storages", "test", "Vault")
    assert code == 2
    assert [(stage["name"], stage["ok"]) for stage in row["stages"]] == [("list", False)]
    assert "disk is not mounted" in row["stages"][0]["hint"]
    assert run("storages", "show", "Vault")[0][0]["is_away"] is True


def test_changing_what_is_not_named_leaves_it(db: None, tmp_path: Path) -> None:
    storage = make_storage(tmp_path, name="Vault", is_offsite=True, currency="EUR")
    storage.keys.add(EncryptionKey.objects.create(name="one", recipient="age1x"))
    run("storages", "edit", "Vault", "--bandwidth-kb", "300")
    storage.refresh_from_db()
    assert (storage.bandwidth_kilobytes, storage.is_offsite, storage.currency) == (300, True, "EUR")
    assert storage.keys.count() == 1


def test_archives_are_not_lost_sight_of(db: None, tmp_path: Path) -> None:
    storage = make_backup(storage=make_storage(tmp_path, name="Vault")).storage
    assert run("storages", "edit", "Vault", "--set", f"path={tmp_path / 'new'}")[1] == 5
    storage.refresh_from_db()
    assert storage.settings == {"path": str(tmp_path)}


def test_a_folder_that_is_not_there_yet_is_not_registered_twice(db: None, tmp_path: Path) -> None:
    assert run("storages", "add", "A", "--set", f"path={tmp_path}/v1")[1] == 0
    _results, code, out = run("storages", "add", "B", "--set", f"path={tmp_path}/./v1/")
    assert (code, Storage.objects.get().name) == (5, "A")
    assert "the place of “A” already" in out


@pytest.mark.parametrize("inside", ["", "/inside"])
def test_a_file_is_no_folder(db: None, tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").touch()
    _results, code, out = run("storages", "add", "Vault", "--set", f"path={tmp_path}/file{inside}")
    assert (code, Storage.objects.exists()) == (5, False)
    assert f"“{tmp_path}/file” is a file, not a folder." in out


SFTP = "options=user = me\nhost_keys = ssh-ed25519 AAAA\nhost = "


@pytest.mark.parametrize(
    ("described", "offsite"),
    [
        (["s3", "bucket=a", "endpoint=https://s3.example.org"], True),
        (["s3", "bucket=a", "endpoint=http://127.0.0.1:9000"], False),
        (["s3", "bucket=a", "endpoint=https://[::1]:9000"], False),
        (["rclone", "remote=sftp", "path=a", f"{SFTP}nas.example.org"], True),
        (["rclone", "remote=sftp", "path=a", f"{SFTP}localhost"], False),
        (["rclone", "remote=webdav", "path=a", "options=url = http://localhost:8080/dav"], False),
        (["rclone", "remote=webdav", "path=a", "options=url = http://[localhost/dav"], True),
        (["rclone", "remote=local", "path=/srv/archives"], False),
    ],
)
def test_this_machine_is_no_other_place(db: None, described: list[str], offsite: bool) -> None:
    kind, *settings = described
    given = ["--kind", kind, *(f"--set={each}" for each in settings)]
    assert run("storages", "add", "One", *given)[0][0]["is_offsite"] is offsite
    Storage.objects.all().delete()
    assert run("storages", "add", "One", *given, "--offsite")[0][0]["is_offsite"]


def test_a_name_is_one_line(db: None, tmp_path: Path) -> None:
    _results, code, out = run("storages", "add", "two\nlines", "--set", f"path={tmp_path}")
    assert (code, Storage.objects.exists()) == (4, False)
    assert "Write it on one line" in out


def test_stats_count_and_sum(db: None) -> None:
    database = make_backup(size=5).database
    make_backup(database=database, scope="schema", size=2)
    make_backup(state="deleted", size=100)
    make_job(database=database, state="failed")
    make_job(database=database, state="succeeded")
    [found], code, _ = run("backup", "stats")
    assert (found["total"]["count"], found["total"]["bytes"], code) == (2, 7, 0)
    assert found["scopes"]["schema"]["bytes"] == 2
    assert found["success"]["days_30"] == {"succeeded": 1, "ended": 2, "percent": 50.0}


def test_dr_says_what_is_missing_and_exits_with_it(db: None) -> None:
    database = make_database()
    [row], code, _ = run("backup", "stats", "--dr")
    assert (row["next"], row["copies"], code) == ("back up", 1, 2)
    backup = make_backup(database=database, storage=make_storage(name="Here"))
    [row], code, _ = run("backup", "stats", "--dr")
    assert (row["next"], row["missing"], code) == (
        "copy",
        "All copies are in “Here” alone: a second storage is missing, in another place.",
        1,
    )
    make_copy(backup=backup, storage=make_storage(is_offsite=True))
    [row], code, _ = run("backup", "stats", "--dr")
    assert (row["next"], row["three_two_one"], code) == ("drill", True, 1)
    now = timezone.now()
    proof = {"state": "proven", "started_at": now, "finished_at": now}
    Drill.objects.create(backup=backup, restore_seconds=90, **proof)
    [row], code, _ = run("backup", "stats", "--dr")
    assert (row["next"], row["missing"], row["rto_seconds"], code) == ("none", "", 90, 0)
    assert row["rpo_seconds"] < timedelta(hours=1).total_seconds()
