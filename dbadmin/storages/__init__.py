"""The kinds of storage, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dbadmin.storages.base import Storage
from dbadmin.storages.local import LocalStorage

STORAGES: dict[str, Callable[[Mapping[str, Any]], Storage]] = {
    "local": lambda settings: LocalStorage(Path(settings["path"])),
}


def get_storage(kind: str, settings: Mapping[str, Any]) -> Storage:
    """Return the storage of a registered kind; ``settings`` are the catalogue row's. KeyError for another kind."""
    return STORAGES[kind](settings)
