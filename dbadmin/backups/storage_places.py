"""Which places somebody who is not on this machine may have archives kept in, and read from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from dbadmin.engines.private import is_private
from dbadmin.exceptions import Refused
from dbadmin.models import Storage
from dbadmin.text import Text

HINT = Text(
    "Choose a folder inside one of DBADMIN_STORAGE_FOLDERS or beside a registered storage; "
    "manage.py storages add, on this machine, may use any."
)


def require_apart(kind: str, described: Mapping[str, Any], key: str = "") -> None:
    """Refuse dbadmin's own files and the kernel's, whoever asks: the folder of a storage, or ``key`` in it.

    Whoever may adopt would read the catalogue; a link inside the folder leads there as well.
    """
    if kind != "local" and described.get("remote") != "local":
        return
    place = _real(Path(str(described.get("path", "")), key))
    if is_private(place) and not place.is_relative_to(_real(Path(settings.HOME)) / "archives"):
        raise Refused(
            Text("“{path}” belongs to dbadmin or to the kernel.", path=str(place)),
            Text("Choose a place outside dbadmin's home folder."),
        )
    _require_not_around_home(place)


def require_folder(kind: str, described: Mapping[str, Any]) -> None:
    """Refuse a path that a file is at: there is no folder to be made there."""
    if kind != "local" and described.get("remote") != "local":
        return
    path = Path(str(described.get("path", "")))
    for each in (path, *path.parents):
        if os.path.exists(each) and not os.path.isdir(each):
            raise Refused(
                Text("“{path}” is a file, not a folder.", path=str(each)), Text("Name a folder. Nothing was saved.")
            )


def require_listed(kind: str, described: Mapping[str, Any]) -> None:
    """Refuse folders of this machine that nobody has named for this, by whatever kind of storage they are reached.

    A storage is not only written to: what lies in it is listed, and can be adopted, restored and downloaded.
    """
    remote = str(described.get("remote", ""))
    if kind == "rclone" and remote.endswith(":"):
        raise Refused(
            Text(
                "From the web rclone's own configuration is not used: "
                "“{remote}” may lead to any folder of this machine.",
                remote=remote,
            ),
            Text("Describe the remote by its type and options, or add it with manage.py storages add on this machine."),
        )
    if kind == "local" or remote == "local":
        _require_folder(Path(str(described.get("path", ""))))


def _require_folder(folder: Path) -> None:
    real = _real(folder)
    home = _real(Path(settings.HOME))
    if real.is_relative_to(home) and not real.is_relative_to(home / "archives"):
        raise Refused(
            Text("“{folder}” is inside dbadmin's own home folder.", folder=str(folder)),
            Text("Its folder “archives” is the only one there that archives are kept in."),
        )
    if not (any(real.is_relative_to(named) for named in _named()) or any(each in real.parents for each in _beside())):
        raise Refused(Text("From the web nothing is kept in “{folder}”.", folder=str(folder)), HINT)
    _require_not_around_home(real)


def _require_not_around_home(place: Path) -> None:
    """The catalogue and its keys would be listed among the archives."""
    if _real(Path(settings.HOME)).is_relative_to(place):
        raise Refused(
            Text("dbadmin's home folder is inside “{path}”.", path=str(place)),
            Text("Choose a place outside dbadmin's home folder."),
        )


def _named() -> Iterator[Path]:
    yield _real(Path(settings.HOME)) / "archives"
    yield from (_real(Path(folder)) for folder in settings.STORAGE_FOLDERS)


def _beside() -> Iterator[Path]:
    """Folders that registered storages are in; not to be storages themselves, or each would open the one above it."""
    for described in Storage.objects.registered().filter(kind="local").values_list("settings", flat=True):
        beside = _real(Path(str(described.get("path", "")))).parent
        # beside something in the root of the machine is the root itself, not everything
        if beside != Path("/"):
            yield beside


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
