"""The kinds of storage, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dbadmin.storages import buckets
from dbadmin.storages.base import Storage
from dbadmin.storages.kinds import require_valid
from dbadmin.storages.local import LocalStorage
from dbadmin.storages.rclone import rclone

Builder = Callable[[Mapping[str, Any], Mapping[str, str]], Storage]

STORAGES: dict[str, Builder] = {
    "local": lambda settings, secrets: LocalStorage(Path(settings["path"])),
    "s3": buckets.s3,
    "gcs": buckets.gcs,
    "azure": buckets.azure,
    "rclone": rclone,
}


def get_storage(kind: str, settings: Mapping[str, Any], secrets: Mapping[str, str] | None = None) -> Storage:
    """Return the storage of a registered kind. Contacts nothing; ``ValidationFailed`` for what cannot be one."""
    require_valid(kind, settings, secrets or {})
    return STORAGES[kind](settings, secrets or {})
