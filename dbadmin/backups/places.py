"""Where somebody who is not on this machine may have files and folders made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings

from dbadmin.exceptions import Refused
from dbadmin.models import Database
from dbadmin.text import Text

FIELDS = {"sqlite": "path", "files": "folder"}


def require_listed(engine: str, target: Any) -> None:
    """Refuse a file or folder that is neither near a registered one of its kind nor in DBADMIN_RESTORE_FOLDERS."""
    path = getattr(target, "path", None) or getattr(target, "root", None)
    if not isinstance(path, Path):
        return
    folder = _real(path.parent)
    if not any(_holds(allowed, folder) for allowed in _allowed(engine)):
        raise Refused(
            Text("From the web nothing is restored to “{folder}”.", folder=str(path.parent)),
            Text(
                "Choose a place beside the original. To allow this folder, add it to DBADMIN_RESTORE_FOLDERS; "
                "manage.py restore run --to-new may use any."
            ),
        )


def _allowed(engine: str) -> Iterator[Path]:
    yield from (_real(Path(folder)) for folder in settings.RESTORE_FOLDERS)
    registered = Database.objects.registered().filter(engine=engine)
    for described in registered.values_list("settings", flat=True):
        path = described.get(FIELDS[engine])
        if isinstance(path, str) and path.startswith("/"):
            yield _real(Path(path)).parent


def _holds(allowed: Path, folder: Path) -> bool:
    """Beside something in the root of the machine is the root itself, not everything."""
    return folder == allowed or (allowed != Path("/") and folder.is_relative_to(allowed))


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
