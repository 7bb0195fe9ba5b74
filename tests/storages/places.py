"""The same storage contract on four real places: a folder, two S3 servers and an SFTP server."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dbadmin.storages import get_storage
from dbadmin.storages.base import Storage
from tests.storages import servers


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
    """Return an empty place by its name: folder, rclone-s3, moto or sftp."""
    return {"folder": _folder, "rclone-s3": _rclone_s3, "moto": _moto, "sftp": _sftp}[name](request, tmp_path)


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

    def left() -> list[str]:
        client, where = servers.boto(server), {"Bucket": servers.BUCKET, "Prefix": f"{prefix}/"}
        objects = client.list_objects_v2(**where).get("Contents", [])
        uploads = client.list_multipart_uploads(**where).get("Uploads", [])
        return [each["Key"].removeprefix(f"{prefix}/") for each in (*objects, *uploads)]

    settings = server.settings
    return Place(
        kind="s3",
        settings=lambda **changes: settings(prefix, **changes),
        secrets=server.secrets,
        left=left,
        port=server.port,
    )


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
