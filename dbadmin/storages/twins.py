"""Two storages that are one place, or one in the other, by a link, another name of the server or a share."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TypeVar
from urllib.parse import urlsplit

from dbadmin.exceptions import DbadminError
from dbadmin.storages.base import Storage
from dbadmin.storages.local import LocalStorage
from dbadmin.storages.objectstore import ObjectStorage
from dbadmin.storages.probe import bare
from dbadmin.storages.rclone import RcloneStorage

Named = TypeVar("Named")
USUAL_PORTS = {"http": 80, "https": 443}


def seen_through(place: Storage, others: Iterable[tuple[Named, Storage]]) -> Named | None:
    """Write a little to ``place``, return the first of ``others`` that shows it, and remove it again.

    Raises ``StorageError`` when ``place`` cannot be written to; others that do not answer are passed over. A folder
    that is not there is no place of anybody's.
    """
    place = bare(place)
    return None if _is_missing(place) else _shown(place, "", [(name, bare(other), "") for name, other in others])


def overlapping(place: Storage, others: Iterable[tuple[Named, Storage]]) -> Named | None:
    """Return the first of ``others`` that is the same place, lies in it or around it; raises as ``seen_through``.

    What the settings alone tell is found first, and nothing is asked then: also of folders that are not made yet.
    """
    place, opened = bare(place), [(name, bare(other)) for name, other in others]
    if told := [name for name, other in opened if meet(place, other)]:
        return told[0]
    if _is_missing(place):
        return None
    waiting = [(name, other, _below(place, other), _below(other, place)) for name, other in opened]
    for folder in sorted({inside for _name, _other, inside, _around in waiting}):
        asked = [(name, other, around) for name, other, inside, around in waiting if inside == folder]
        if (found := _shown(place, folder, asked)) is not None:
            return found
    return None


def _shown(place: Storage, folder: str, others: Iterable[tuple[Named, Storage, str]]) -> Named | None:
    """Write to ``folder`` in ``place`` and look for it in each of the others, in the folder that is named for it."""
    if not (others := list(others)):
        return None
    probe = f"dbadmin-probe-{secrets.token_hex(8)}/object"
    place.write(f"{folder}{probe}", [b"dbadmin"])
    try:
        return next((name for name, other, looked in others if _shows(other, f"{looked}{probe}")), None)
    finally:
        place.delete(f"{folder}{probe}")


def _shows(other: Storage, key: str) -> bool:
    with contextlib.suppress(DbadminError):
        return other.stat(key) is not None
    return False


def _is_missing(place: Storage) -> bool:
    return isinstance(place, LocalStorage) and not place.root.is_dir()


def meet(one: Storage, other: Storage) -> bool:
    """Say whether one is in the other, or is it, going by what describes them."""
    inside, around = _folder(one), _folder(other)
    return _host(one) == _host(other) and (inside == around or inside in around.parents or around in inside.parents)


def _host(storage: Storage) -> tuple[object, ...]:
    """Return what two places have to have in common before the same folder in both is one; nothing else is theirs."""
    match storage:
        case LocalStorage():
            return ("folder",)
        case ObjectStorage():
            parts = urlsplit(storage.bucket)
            return ("bucket", parts.hostname, parts.port or USUAL_PORTS.get(parts.scheme), parts.path)
        case RcloneStorage() if storage.is_local:
            return ("folder",)
        case RcloneStorage():
            # A folder with a slash before it is not in the home of whoever signs in.
            return ("remote", storage.account, storage.root.startswith("/"))
    return (storage,)


def _below(outer: Storage, inner: Storage) -> str:
    """Return what ``outer`` has to put before the keys of ``inner``; nothing where no path says that it is in it."""
    around, inside = _folder(outer), _folder(inner)
    return f"{inside.relative_to(around)}/" if around in inside.parents else ""


def _folder(storage: Storage) -> PurePosixPath:
    match storage:
        case LocalStorage():
            return PurePosixPath(os.path.realpath(storage.root))
        case ObjectStorage():
            return PurePosixPath("/", storage.prefix)
        case RcloneStorage() if storage.is_local:
            return PurePosixPath(os.path.realpath(storage.root))
        case RcloneStorage():
            return PurePosixPath("/", storage.root)
    return PurePosixPath("/")
