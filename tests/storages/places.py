"""The same storage contract on real places: a folder, two S3 servers, Google's dialect, an SFTP server; and Azurite."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dbadmin.storages import get_storage
from dbadmin.storages.base import Storage
from tests.storages import azure, google, servers

DISTANT = ["rclone-s3", "moto", "gcs", "sftp", *(["azure"] if azure.AZURITE else [])]
# What does not say how much is free.
BUCKETS = ("s3", "gcs", "azure")
# Moto takes any secret.
GUARDED = [name for name in DISTANT if name != "moto"]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a storage keeps its objects, and a way to look there that is not the storage's own.

    ``left`` returns every name below the storage, and every upload that is not finished. ``port`` is 0 where there is
    no line that could be cut.
    """

    kind: str
    settings: Callable[..., dict[str, Any]]
    left: Callable[[], list[str]]
    secrets: dict[str, str] = field(default_factory=dict)
    wrong_secrets: dict[str, str] = field(default_factory=dict)
    port: int = 0

    def storage(self, **changes: Any) -> Storage:
        """Return the storage anew; ``port`` where there is a wire in between."""
        return get_storage(self.kind, self.settings(**changes), self.secrets)


def make_place(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return an empty place by its name: folder, rclone-s3, moto, gcs, sftp or azure."""
    return _PLACES[name](request, tmp_path)


def _folder(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    root = tmp_path / "store"
    return Place(kind="local", settings=lambda: {"path": str(root)}, left=lambda: _files(root))


def _rclone_s3(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    server: servers.S3Server = request.getfixturevalue("s3_server")
    prefix = f"pre fix/{secrets.token_hex(4)}"
    assert server.folder is not None
    folder = server.folder / prefix
    return Place(
        kind="s3",
        settings=lambda **changes: server.settings(prefix, **changes),
        secrets=server.secrets,
        wrong_secrets={"secret_access_key": "wrong-but-secret"},
        # The server's own files of parts that it has thrown away or has yet to put together.
        left=lambda: [name for name in _files(folder) if ".rclone_temp_multipart" not in name],
        port=server.port,
    )


def _moto(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    server: servers.S3Server = request.getfixturevalue("moto_server")
    prefix = secrets.token_hex(4)
    return Place(
        kind="s3",
        settings=lambda **changes: server.settings(prefix, **changes),
        secrets=server.secrets,
        left=lambda: _in_bucket(server, prefix),
        port=server.port,
    )


def _gcs(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    server: google.GoogleServer = request.getfixturevalue("google_server")
    prefix = f"pre fix/{secrets.token_hex(4)}"
    return Place(
        kind="gcs",
        settings=lambda **changes: server.settings(prefix, **changes),
        secrets=server.secrets,
        wrong_secrets={"service_account_key": google.service_account(google.new_key())},
        left=lambda: _in_bucket(server.s3, prefix),
        port=server.s3.port,
    )


def _azure(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    server: azure.AzureServer = request.getfixturevalue("azure_server")
    prefix = f"pre fix/{secrets.token_hex(4)}"
    return Place(
        kind="azure",
        settings=lambda **changes: server.settings(prefix, **changes),
        secrets=server.secrets,
        wrong_secrets={"account_key": "d3JvbmcgYnV0IHNlY3JldA=="},
        left=lambda: [name.removeprefix(f"{prefix}/") for name in server.names(f"{prefix}/")],
        port=server.port,
    )


def _in_bucket(server: servers.S3Server, prefix: str) -> list[str]:
    client, where = servers.boto(server), {"Bucket": servers.BUCKET, "Prefix": f"{prefix}/"}
    objects = client.list_objects_v2(**where).get("Contents", [])
    uploads = client.list_multipart_uploads(**where).get("Uploads", [])
    return [each["Key"].removeprefix(f"{prefix}/") for each in (*objects, *uploads)]


def _sftp(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    server: servers.SshServer = request.getfixturevalue("ssh_server")
    other: servers.SshServer = request.getfixturevalue("other_ssh_server")
    folder = f"pre fix/{secrets.token_hex(4)}"
    return Place(
        kind="rclone",
        settings=lambda **changes: server.settings(folder, **changes),
        secrets=server.secrets,
        wrong_secrets=other.secrets,
        left=lambda: _files(server.root / folder),
        port=server.port,
    )


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


_PLACES = {"folder": _folder, "rclone-s3": _rclone_s3, "moto": _moto, "gcs": _gcs, "sftp": _sftp, "azure": _azure}
