"""What is special to rclone: passwords, its own configuration, refused options, a program that is not there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbadmin.exceptions import StorageError, ToolMissing, ValidationFailed
from dbadmin.storages import get_storage
from dbadmin.storages.kinds import problems
from dbadmin.storages.probe import probe_storage
from dbadmin.storages.rclone_program import find_program, obscured
from tests.storages.servers import free_port, running

PASSWORD = 'pass word\'s = \\ 密 "x"'
USER = "user = keeper"


@pytest.fixture
def webdav(tmp_path: Path) -> Iterator[str]:
    """Options of a WebDAV server of rclone that asks for a password."""
    port = free_port()
    argv = (find_program(), "serve", "webdav", "--addr", f"127.0.0.1:{port}", str(tmp_path / "served"))
    environment = {"RCLONE_USER": "keeper", "RCLONE_PASS": PASSWORD, "RCLONE_CONFIG": "/dev/null", "HOME": "/tmp"}
    (tmp_path / "served").mkdir()
    with running(argv, port=port, env=environment):
        yield f"url = http://127.0.0.1:{port}\nvendor = other\n{USER}"


def test_passwords_with_any_character_arrive(webdav: str, tmp_path: Path) -> None:
    settings = {"remote": "webdav", "path": "backups", "options": webdav}
    assert probe_storage(get_storage("rclone", settings, {"secret_options": f"pass = {PASSWORD}"})).failed is None
    wrong = probe_storage(get_storage("rclone", settings, {"secret_options": "pass = another"}))
    assert wrong.failed is not None
    assert "refused the user's name, password or key" in str(wrong.failed.message)


def test_passwords_are_obscured_as_rclone_does_it() -> None:
    hidden = obscured(PASSWORD)
    assert hidden != obscured(PASSWORD)
    revealed = subprocess.run([find_program(), "reveal", "--", hidden], capture_output=True, check=True)
    assert revealed.stdout.decode().rstrip("\n") == PASSWORD


def test_a_remote_of_the_operators_own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rclone.conf").write_text("[our drive]\ntype = local\n")
    monkeypatch.setenv("RCLONE_CONFIG", str(tmp_path / "rclone.conf"))
    storage = get_storage("rclone", {"remote": "our drive:", "path": str(tmp_path / "kept")})
    storage.write("a/b", [b"x"])
    assert (tmp_path / "kept" / "a" / "b").read_bytes() == b"x"
    unknown = probe_storage(get_storage("rclone", {"remote": "nobody:", "path": "x"}))
    assert unknown.failed is not None


def test_options_of_another_rclone_are_named_before_anything_is_sent(tmp_path: Path) -> None:
    settings = {"remote": "sftp", "path": "x", "options": "host = 127.0.0.1\nport = 1\nknown_hosts_file = /h\nhots = 1"}
    with pytest.raises(ValidationFailed, match="has no option “hots” for sftp"):
        get_storage("rclone", settings).stat("a")
    with pytest.raises(ValidationFailed, match="no remote of type “floppy”"):
        get_storage("rclone", {"remote": "floppy", "path": "x"}).stat("a")


@pytest.mark.parametrize(
    ("settings", "secret"),
    [
        ({"remote": "sftp", "options": "host = h"}, ""),
        ({"remote": "sftp"}, ""),
        ({"remote": "sftp", "options": "host = h\nknown_hosts_file = /h\nssh = touch /tmp/x"}, ""),
        ({"remote": "webdav"}, "bearer_token_command = id"),
        ({"remote": "alias", "options": "remote = /"}, ""),
        ({"remote": ":local:"}, ""),
        ({"remote": "--config"}, ""),
        ({"remote": "drive:", "options": "scope = drive"}, ""),
        ({"remote": "ftp", "options": "type = local"}, ""),
        ({"remote": "ftp", "options": "no value"}, ""),
    ],
)
def test_what_is_not_safe_or_not_clear_is_refused(settings: dict[str, str], secret: str) -> None:
    assert problems("rclone", {"path": "x", **settings}, {"secret_options": secret})


def test_without_the_program_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    storage = get_storage("rclone", {"remote": "ftp", "path": "x", "options": "host = h"})
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ToolMissing, match="rclone is not on this machine"):
        storage.stat("a")


def test_the_operators_own_program_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "rclone").write_text("#!/bin/sh\n")
    (tmp_path / "rclone").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program() == str(tmp_path / "rclone")


def test_a_remote_that_is_away_is_a_sentence() -> None:
    settings = {"remote": "ftp", "path": "x", "options": f"host = 127.0.0.1\nport = {free_port()}\nuser = a"}
    with pytest.raises(StorageError, match="Nothing answers"):
        get_storage("rclone", settings, {"secret_options": "pass = b"}).stat("a")
