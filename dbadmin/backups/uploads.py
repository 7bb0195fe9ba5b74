"""Files on their way in: uploads in the spool, and folders in which the operator lets files be found."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from dbadmin.backups import spool
from dbadmin.choices import ImportState
from dbadmin.engines.private import is_private
from dbadmin.engines.recognise import LEFT_FREE, Recognised, recognise
from dbadmin.exceptions import DbadminError, Refused
from dbadmin.models import Import
from dbadmin.text import Text

KEPT_FOR = timedelta(days=1)
MOST_FOUND = 200
_PREFIX = "upload-"


@dataclass(frozen=True, kw_only=True)
class Found:
    """A file in one of the folders. ``what`` is set when it can be imported, else ``why_not``."""

    path: Path
    size: int
    modified: datetime
    what: Recognised | None
    why_not: Text


def new_folder() -> Path:
    """Make an empty folder for one upload."""
    folder = spool.root() / f"{_PREFIX}{secrets.token_hex(8)}"
    folder.mkdir(parents=True, mode=0o700)
    return folder


def limit() -> int:
    """Return how many bytes an upload may have."""
    return int(settings.UPLOAD_LIMIT_MB) << 20


def too_large() -> Refused:
    """Return the refusal of a file that is larger than the limit."""
    return Refused(
        Text("The file is larger than {limit} MB.", limit=settings.UPLOAD_LIMIT_MB),
        Text("Put it into a folder of DBADMIN_IMPORT_FOLDERS, or set DBADMIN_UPLOAD_LIMIT_MB."),
    )


def require_room(size: int) -> None:
    """Refuse an upload before it is read."""
    if size > limit() + (1 << 20):  # what the form has around the file
        raise too_large()
    spool.require_space(size + LEFT_FREE)


def discard(path: Path) -> None:
    """Remove an upload with its folder; other files are left alone."""
    folder = path.parent
    if folder.parent == spool.root() and folder.name.startswith(_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


def sweep(now: datetime) -> None:
    """Remove uploads that nobody imported for a day, and what an interrupted upload left."""
    waiting = Import.objects.filter(state=ImportState.WAITING, created_at__lt=now - KEPT_FOR)
    for row in waiting:
        if row.uploaded:
            discard(Path(row.path))
    waiting.delete()
    known = {
        Path(path).parent
        for path in Import.objects.filter(uploaded=True, state__in=_USED).values_list("path", flat=True)
    }
    for folder in spool.root().glob(f"{_PREFIX}*"):
        if folder not in known and folder.stat().st_mtime < (now - KEPT_FOR).timestamp():
            shutil.rmtree(folder, ignore_errors=True)


_USED = (ImportState.WAITING, ImportState.RUNNING)


def found_files() -> list[Found]:
    """List what lies in the folders of DBADMIN_IMPORT_FOLDERS, newest first; links are not followed."""
    listed = [_described(path) for folder in settings.IMPORT_FOLDERS for path in _entries(Path(folder))]
    return sorted(listed, key=lambda one: one.modified, reverse=True)[:MOST_FOUND]


def found_file(name: str) -> Path:
    """Return the listed file called ``name``, an absolute path; ``Refused`` for every other."""
    for folder in settings.IMPORT_FOLDERS:
        for path in _entries(Path(folder)):
            if str(path) == name:
                return path
    raise Refused(
        Text("“{path}” is not in a folder that files may be imported from.", path=name),
        Text("Add its folder to DBADMIN_IMPORT_FOLDERS, or upload the file."),
    )


def _entries(folder: Path) -> Iterator[Path]:
    """Yield files and dump folders directly in a folder. Links might lead to what nobody meant to offer."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except OSError:
        return
    for name in names:
        path = folder / name
        if _is_offered(path):
            yield path


def _is_offered(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
        is_dump = stat.S_ISDIR(mode) and (path / "toc.dat").is_file()
    except OSError:
        return False
    return (stat.S_ISREG(mode) or is_dump) and not is_private(path)


def _described(path: Path) -> Found:
    status = path.lstat()
    what, why_not = _looked_at(path, status.st_mtime_ns, status.st_size)
    modified = datetime.fromtimestamp(status.st_mtime, UTC)
    return Found(path=path, size=size_of(path), modified=modified, what=what, why_not=why_not)


@lru_cache(maxsize=1000)
def _looked_at(path: Path, changed: int, size: int) -> tuple[Recognised | None, Text]:
    """Look once: a packed tar file has to be read to its end."""
    try:
        return recognise(path), Text("")
    except DbadminError as error:
        return None, error.message


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of the files in a dump's folder."""
    if path.is_dir():
        return sum(each.lstat().st_size for each in path.iterdir())
    return path.stat().st_size
