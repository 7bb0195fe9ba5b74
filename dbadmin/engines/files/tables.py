"""Some files of a restored set: a folder of them beside the live one, or what a replacement is narrowed to."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from dbadmin.engines.files.drill import hashes
from dbadmin.engines.files.restore import MEMBERS
from dbadmin.engines.files.selection import FilesConnection, sentences
from dbadmin.engines.paths import sync
from dbadmin.engines.private import require_apart
from dbadmin.exceptions import CorruptArchive, Refused
from dbadmin.progress import Progress, Silent
from dbadmin.text import Text


def place(suffix: str) -> str:
    """Return what the folder's name ends with."""
    return suffix


def is_there(current: FilesConnection, suffix: str) -> bool:
    """Say whether the files have been brought."""
    with sentences(current.root):
        return os.path.lexists(_place(current, suffix))


def bring_tables(
    current: FilesConnection, copy: FilesConnection, *, tables: Mapping[str, int], suffix: str, progress: Progress
) -> None:
    """Put the files that ``tables`` names into a folder of their own, all or nothing; ``copy`` is used up."""
    place = _place(current, suffix)
    require_apart(place)
    with sentences(place):
        if os.path.lexists(place):
            raise Refused(Text("“{path}” is there already.", path=str(place)), Text("Move it away, then try again."))
        keep_only(copy, tables)
        progress.check()
        os.rename(copy.root, place)
        sync(place.parent)


def narrowed(connection: FilesConnection, names: Iterable[str]) -> FilesConnection:
    """Return the folder with only these files as its set."""
    return FilesConnection(connection.root, (), tuple(glob.escape(name) for name in names))


def keep_only(copy: FilesConnection, names: Iterable[str]) -> None:
    """Remove every other file of a restored folder, and the folders that are empty then."""
    wanted = set(names)
    with sentences(copy.root):
        for path in sorted(copy.root.rglob("*"), reverse=True):
            if path.is_dir() and not path.is_symlink():
                if not any(path.iterdir()):
                    path.rmdir()
            elif path.relative_to(copy.root).as_posix() not in wanted:
                path.unlink()


def require_equal(spool: Path, copy: FilesConnection, names: Iterable[str]) -> None:
    """Raise ``CorruptArchive`` unless the restored files are, byte by byte, those of the dump in ``spool``."""
    held, found = hashes(spool / MEMBERS, Silent()), hashes(copy.root, Silent())
    for name in names:
        if name not in held or held[name] != found.get(name):
            raise CorruptArchive(
                Text("“{name}” was not restored as the backup has it.", name=name), Text("Choose another backup.")
            )


def _place(current: FilesConnection, suffix: str) -> Path:
    return current.root.with_name(os.fsdecode(os.fsencode(current.root.name)[: 255 - len(suffix)]) + suffix)
