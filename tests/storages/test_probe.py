"""Testing a storage: which stage fails, why, and that nothing stays there."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from dbadmin.storages import get_storage
from dbadmin.storages.limited import LimitedStorage
from dbadmin.storages.objectstore import USUAL
from dbadmin.storages.probe import StorageProbe, probe_storage
from tests.servers import absent
from tests.storages.places import BUCKETS, Place
from tests.storages.servers import S3Server, SshServer, Wire, free_port


def names(probe: StorageProbe) -> list[str]:
    return [str(stage.name) for stage in probe.stages]


def test_a_good_storage_passes_every_stage_and_keeps_nothing(place: Place) -> None:
    probe = probe_storage(LimitedStorage(place.storage(), 10_000_000))
    assert probe.failed is None
    reached = [] if place.kind == "local" else ["name", "connect", "sign in"]
    assert names(probe) == [*reached, "list", "write", "read", "delete", "free space"]
    assert all(stage.milliseconds > 0 for stage in probe.stages)
    assert (probe.free_bytes is None) == (place.kind in BUCKETS)
    assert place.left() == []


def test_a_wrong_secret_fails_at_sign_in(guarded: Place) -> None:
    probe = probe_storage(get_storage(guarded.kind, guarded.settings(), guarded.wrong_secrets))
    assert probe.failed is not None
    assert names(probe)[-1] == "sign in"
    assert re.search("wrong|refused|does not take", str(probe.failed.message))


@pytest.mark.parametrize(
    ("changes", "stage", "message"),
    [
        ({"endpoint": "https://nowhere.invalid"}, "name", "no such host"),
        ({"endpoint": f"http://127.0.0.1:{free_port()}"}, "connect", "Nothing answers"),
        ({"bucket": "another"}, "sign in", "no such bucket"),
        ({"access_key_id": "NOBODY"}, "sign in", "does not know the access key"),
    ],
)
def test_s3_names_what_is_wrong(s3_server: S3Server, changes: dict[str, Any], stage: str, message: str) -> None:
    probe = probe_storage(get_storage("s3", s3_server.settings() | changes, s3_server.secrets))
    assert probe.failed is not None
    assert (names(probe)[-1], message in str(probe.failed.message)) == (stage, True)
    assert probe.failed.hint


def test_tls_where_there_is_none_is_named_soon(s3_server: S3Server) -> None:
    with Wire(s3_server.port) as wire:
        settings = s3_server.settings(endpoint=f"https://127.0.0.1:{wire.port}")
        probe = probe_storage(get_storage("s3", settings, s3_server.secrets))
    assert probe.failed is not None
    assert "could not be secured" in str(probe.failed.message)
    # It is tried less often than a backup would, each time with one connection beside the first stage's own.
    assert 1 < wire.connections < USUAL.retries


def test_another_host_key_is_named(ssh_server: SshServer, other_ssh_server: SshServer) -> None:
    settings = ssh_server.settings("x")
    settings["options"] = settings["options"].replace(ssh_server.host_key, other_ssh_server.host_key)
    probe = probe_storage(get_storage("rclone", settings, ssh_server.secrets))
    assert probe.failed is not None
    assert "host key is not the expected one" in str(probe.failed.message)


def test_a_folder_that_may_not_be_written_fails_at_write(ssh_server: SshServer) -> None:
    settings = ssh_server.settings() | {"path": "/usr/share/dbadmin-test"}
    probe = probe_storage(get_storage("rclone", settings, ssh_server.secrets))
    assert probe.failed is not None
    assert names(probe)[-1] == "write"
    assert "may not do that" in str(probe.failed.message)


def test_a_file_in_place_of_the_folder_fails_at_write(tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    probe = probe_storage(get_storage("local", {"path": str(tmp_path / "store")}))
    assert probe.failed is not None
    assert names(probe)[-1] == "write"


def test_a_read_only_folder_fails_at_write() -> None:
    if not Path("/proc/self").exists():
        absent("There is no file system here that nobody can write to.")
    probe = probe_storage(get_storage("local", {"path": "/proc/self/dbadmin"}))
    assert probe.failed is not None
    assert names(probe)[-1] == "write"
    assert os.listdir("/proc/self")
