"""``--key-file``: a command reads what the server cannot; the key is never an argument."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from django.core.management import call_command

from dbadmin.archives.age import new_identity
from dbadmin.backups.take import take_backup
from dbadmin.models import Backup, EncryptionKey, Job
from dbadmin.progress import Silent
from tests.factories import make_storage
from tests.sqlite_file import make_sqlite_file, sqlite_database

IDENTITY, RECIPIENT = new_identity()


@pytest.fixture
def backup(db: None, tmp_path: Path) -> Backup:
    storage = make_storage(tmp_path / "archives")
    storage.keys.add(EncryptionKey.objects.create(name="mine", recipient=RECIPIENT))
    database = sqlite_database(make_sqlite_file(tmp_path / "shop.db"), slug="shop")
    return take_backup(database=database, storages=[storage], scope="full", progress=Silent())


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key.txt"
    path.write_text(IDENTITY)
    path.chmod(0o600)
    return path


def run(*arguments: str) -> int:
    try:
        call_command(*arguments, "--json")
    except SystemExit as left:
        return int(left.code or 0)
    return 0


@pytest.mark.parametrize(
    "command",
    [("restore", "run", "{id}", "--to-new", "copy.db"), ("drill", "run", "{id}"), ("backup", "compare", "{id}")],
)
def test_with_the_file_it_is_read_and_without_it_is_refused(
    command: tuple[str, ...], backup: Backup, key_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = tuple(word.format(id=backup.pk) for word in command)
    assert run(*command) == 2
    assert "“mine”" in capsys.readouterr().out
    assert run(*command, "--key-file", str(key_file)) == 0
    said = capsys.readouterr()
    assert IDENTITY not in said.out + said.err
    assert not Job.objects.exclude(encrypted_identities="").exists()


def test_verify_reads_what_is_inside_with_the_file(backup: Backup, key_file: Path) -> None:
    assert run("backup", "verify", str(backup.pk)) == 0
    assert run("backup", "verify", str(backup.pk), "--key-file", str(key_file)) == 0


def test_a_file_that_others_can_read_is_warned_about(
    backup: Backup, key_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key_file.chmod(0o644)
    assert run("drill", "run", str(backup.pk), "--key-file", str(key_file)) == 0
    assert "chmod 600" in capsys.readouterr().err


def test_nobody_is_advised_to_change_the_file_of_somebody_else(
    backup: Backup, key_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if os.geteuid() != 0:
        pytest.skip("Only root gives files away.")
    key_file.chmod(0o644)
    os.chown(key_file, 65534, 65534)
    assert run("drill", "run", str(backup.pk), "--key-file", str(key_file)) == 0
    said = capsys.readouterr().err
    assert "belongs to another user" in said
    assert "chmod" not in said


def test_of_a_file_that_holds_no_key_no_rights_are_mentioned(
    backup: Backup, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("restore", "run", str(backup.pk), "--to-new", "copy.db", "--key-file", "/etc/passwd") == 4
    said = capsys.readouterr()
    assert "no line that begins with AGE-SECRET-KEY-1" in said.out
    assert "chmod" not in said.err


@pytest.mark.parametrize(("content", "code"), [(b"junk", 4), (b"\xff\0", 4), (None, 4)])
def test_junk_is_refused_and_nothing_is_made(
    content: bytes | None, code: int, backup: Backup, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "junk"
    if content is not None:
        path.write_bytes(content)
    assert run("restore", "run", str(backup.pk), "--to-new", "copy.db", "--key-file", str(path)) == code
    assert json.loads(capsys.readouterr().out)["error"]["message"]
    assert not Job.objects.exists()
