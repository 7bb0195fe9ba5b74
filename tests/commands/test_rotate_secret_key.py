"""The key of the secrets changes, also when the machine dies in the middle; no secret is ever unreadable."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.core.management import call_command

from dbadmin import crypto
from dbadmin.backups.own import SLUG
from dbadmin.exceptions import Refused
from dbadmin.management import secret_key
from dbadmin.management.secret_key import rotate, secret_fields
from dbadmin.models import Database, EncryptionKey, Job, KeyProof
from tests.factories import make_database, make_job, make_schedule, make_storage

ROOT = Path(__file__).parent.parent.parent
ROWS = 300
FILL = f"""
from dbadmin.models import Application, Database
application = Application.objects.create(name="A", slug="a")
for number in range({ROWS}):
    database = Database(application=application, name=str(number), slug=f"d{{number}}", engine="sqlite", settings={{}})
    database.password = f"secret {{number}}"
    database.save()
"""
READ = """
from dbadmin.models import Database
for database in Database.objects.order_by("pk"):
    assert database.password == f"secret {database.name}", database.name
print("read", Database.objects.count())
"""


@pytest.fixture
def key_file(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings.ENCRYPTION_KEY_FILE = tmp_path / "encryption_key"
    settings.ENCRYPTION_KEY_FILE.write_text(Fernet.generate_key().decode())
    monkeypatch.setattr(secret_key, "SETTLE_SECONDS", 0)
    return tmp_path / "encryption_key"


@pytest.fixture
def rows(db: None, key_file: Path) -> Callable[[], tuple[Any, ...]]:
    """One secret of each kind; called, it reads them."""
    database, storage, key, job = (
        make_database(),
        make_storage(),
        EncryptionKey(name="k", recipient="age1k"),
        make_job(),
    )
    database.password, storage.secrets, key.identity = "first", {"token": "second"}, "third"
    job.encrypted_identities = crypto.encrypt("fourth")
    for row in (database, storage, key, job):
        row.save()

    KeyProof.accept()

    def read() -> tuple[Any, ...]:
        for row in (database, storage, key, job):
            row.refresh_from_db()
        return database.password, storage.secrets, key.identity, crypto.decrypt(job.encrypted_identities)

    return read


SECRETS = ("first", {"token": "second"}, "third", "fourth")


def test_every_secret_gets_the_new_key(rows: Callable[[], tuple[Any, ...]], key_file: Path) -> None:
    former = key_file.read_text().strip()
    done = rotate()
    assert done.changed == {f"{model.__name__}.{name}": 1 for model, name in secret_fields()}
    assert len(done.changed) == 5
    assert rows() == SECRETS
    assert former not in key_file.read_text()
    assert (key_file.stat().st_mode & 0o777, len(crypto.keys())) == (0o600, 1)


def test_a_change_that_was_broken_off_goes_on_with_the_same_key(
    rows: Callable[[], tuple[Any, ...]], key_file: Path
) -> None:
    pair = [Fernet.generate_key().decode(), key_file.read_text().strip()]
    crypto.keep_keys(key_file, pair)
    Database.objects.exclude(encrypted_password="").update(encrypted_password=crypto.encrypt("first"))
    assert rows() == SECRETS
    assert rotate().changed == {"EncryptionKey.encrypted_identity": 1, "Job.encrypted_identities": 1} | {
        "Storage.encrypted_secrets": 1,
        "KeyProof.encrypted_word": 1,
    }
    assert crypto.keys() == pair[:1]
    assert rows() == SECRETS


def test_a_running_process_follows_without_a_restart(rows: Callable[[], tuple[Any, ...]], key_file: Path) -> None:
    before = settings.ENCRYPTION_KEY
    rotate()
    assert (settings.ENCRYPTION_KEY, crypto.decrypt(crypto.encrypt("new"))) == (before, "new")


def test_what_no_key_opens_is_named_and_the_former_key_stays_until_it_is_entered_again(
    rows: Callable[[], tuple[Any, ...]], key_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    former = key_file.read_text().strip()
    lost = Fernet(Fernet.generate_key()).encrypt(b"lost").decode()
    storage = make_storage(name="attic", encrypted_secrets=lost)
    for _call in range(2):
        with pytest.raises(SystemExit) as left:
            call_command("rotate_secret_key", json=True)
        (said,) = json.loads(capsys.readouterr().out)["results"]
        assert (left.value.code, said["finished"]) == (2, False)
        assert said["unreadable"] == [{"model": "Storage", "id": storage.pk, "name": "attic", "field": "secrets"}]
        assert (len(crypto.keys()), crypto.keys()[1]) == (2, former)
        assert rows() == SECRETS
    storage.refresh_from_db()
    assert storage.encrypted_secrets == lost
    storage.secrets = {"token": "new"}
    storage.save()
    call_command("rotate_secret_key", json=True)
    [key] = crypto.keys()
    assert key != former
    assert rows() == SECRETS


def test_what_is_given_up_stays_as_it_is_and_still_is_not_called_done(
    rows: Callable[[], tuple[Any, ...]], key_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = Fernet(Fernet.generate_key()).encrypt(b"lost").decode()
    job = make_job(encrypted_identities=lost)
    with pytest.raises(SystemExit) as left:
        call_command("rotate_secret_key", leave_unreadable=True)
    assert left.value.code == 2
    assert f"Job #{job.pk}" in capsys.readouterr().out
    assert Job.objects.get(pk=job.pk).encrypted_identities == lost
    assert len(crypto.keys()) == 1
    assert rows() == SECRETS


def test_two_at_once_are_refused(rows: Callable[[], tuple[Any, ...]], key_file: Path) -> None:
    with secret_key._alone(key_file), pytest.raises(Refused):
        rotate()


def test_what_a_killed_writer_left_beside_the_key_file_goes(
    rows: Callable[[], tuple[Any, ...]], key_file: Path
) -> None:
    left, others = key_file.with_name(".encryption_key.4711"), key_file.with_name(".encryption_key.kept")
    for path in (left, others):
        path.write_text(key_file.read_text())
    with secret_key._alone(key_file), pytest.raises(Refused):
        rotate()
    assert left.exists()  # it may be of who holds the lock
    rotate()
    assert not left.exists()
    assert others.exists()
    assert rows() == SECRETS


def test_with_a_key_from_the_environment_it_says_what_to_set(
    rows: Callable[[], tuple[Any, ...]], key_file: Path, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.ENCRYPTION_KEY, settings.ENCRYPTION_KEY_FILE = key_file.read_text().strip(), None
    with pytest.raises(SystemExit) as left:
        call_command("rotate_secret_key", json=True)
    (first,) = json.loads(capsys.readouterr().out)["results"]
    assert (left.value.code, first["finished"], first["changed"]) == (1, False, {})
    settings.ENCRYPTION_KEY = first["set"]["DBADMIN_ENCRYPTION_KEY"]
    call_command("rotate_secret_key", json=True)
    (second,) = json.loads(capsys.readouterr().out)["results"]
    settings.ENCRYPTION_KEY = second["set"]["DBADMIN_ENCRYPTION_KEY"]
    assert (second["finished"], "," in settings.ENCRYPTION_KEY) == (True, False)
    assert rows() == SECRETS


def rotated(capsys: pytest.CaptureFixture[str]) -> str:
    call_command("rotate_secret_key")
    return capsys.readouterr().out


def test_the_catalogue_is_backed_up_to_where_its_schedule_does(
    rows: Callable[[], tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    storage, own = make_storage(), make_database(slug=SLUG, is_catalogue=True)
    schedule = make_schedule()
    schedule.destinations.create(storage=storage)
    said = rotated(capsys)
    job = Job.objects.get(database=own)
    assert (job.kind, job.state) == ("backup", "queued")
    assert job.params == {"scope": "full", "schedule": schedule.pk, "storages": [storage.pk]}
    assert f"A backup of the catalogue is queued (job {job.pk})" in said
    assert "Until it is stored keep the old Recovery Kit" in said


def test_the_catalogue_without_a_schedule_is_backed_up_to_the_default_storage(
    rows: Callable[[], tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    make_storage(is_default=True)
    own = make_database(slug=SLUG, is_catalogue=True)
    call_command("rotate_secret_key", json=True)
    (result,) = json.loads(capsys.readouterr().out)["results"]
    job = Job.objects.get(database=own)
    assert (job.params, result["catalogue_backup_job"]) == ({"scope": "full"}, job.pk)


@pytest.mark.parametrize("is_at_work", [False, True])
def test_where_no_backup_of_the_catalogue_can_be_queued_it_is_said_how(
    is_at_work: bool, rows: Callable[[], tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    """A backup that began before may hold the secrets as they were; it is not counted on."""
    own = make_database(slug=SLUG, is_catalogue=True)
    if is_at_work:
        make_storage(is_default=True)
        make_job(database=own, state="running")
    said = rotated(capsys)
    assert Job.objects.filter(database=own).count() == is_at_work
    assert "manage.py backup run dbadmin-catalogue\n" in said
    assert "Until it is stored keep the old Recovery Kit" in said


def test_where_the_catalogue_is_not_backed_up_nothing_is_said_of_it(
    rows: Callable[[], tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "catalogue" not in rotated(capsys)


def manage(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_argv(*arguments), env=_environment(home), capture_output=True, text=True, timeout=600)


def _argv(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "manage.py"), *arguments]


def _environment(home: Path) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("DBADMIN_", "DATABASE_", "DJANGO_"))
    }
    return kept | {"DBADMIN_HOME": str(home), "DJANGO_SETTINGS_MODULE": "project.settings"}


def test_kill_9_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    assert manage(tmp_path, "migrate", "--verbosity", "0").returncode == 0
    assert manage(tmp_path, "shell", "-c", FILL).returncode == 0
    former = (tmp_path / "encryption_key").read_text().strip()
    halfway = 0
    for number in range(6):
        process = subprocess.Popen(
            _argv("rotate_secret_key"), env=_environment(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 300
        while len((tmp_path / "encryption_key").read_text().split()) == 1 and time.monotonic() < until:
            if process.poll() is not None:
                break
            time.sleep(0.002)
        if number:  # the first time at once, when surely not all is done
            time.sleep(random.Random(number).uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.wait()
        halfway += len((tmp_path / "encryption_key").read_text().split()) == 2
        said = manage(tmp_path, "shell", "-c", READ)
        assert f"read {ROWS}" in said.stdout, said.stderr
    assert halfway
    assert manage(tmp_path, "rotate_secret_key").returncode == 0
    assert f"read {ROWS}" in manage(tmp_path, "shell", "-c", READ).stdout
    keys = (tmp_path / "encryption_key").read_text().split()
    assert (len(keys), former in keys) == (1, False)
    assert not list(tmp_path.glob(".encryption_key*"))
