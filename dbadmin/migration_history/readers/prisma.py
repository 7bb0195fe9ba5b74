"""Prisma: one folder for each migration with migration.sql in it, whose SHA-256 is in Prisma's table."""

from __future__ import annotations

import hashlib
from os.path import isdir, isfile
from pathlib import Path

from dbadmin.migration_history.project import MEGABYTE, Folder, MigrationFile, Project, Unreadable, printable
from dbadmin.text import Text

LARGEST = 64 * MEGABYTE


def read(folder: Folder) -> Project | None:
    """Read the nearest migrations folder of Prisma."""
    places = [place for place in folder.folders if _is_migrations(place)]
    if not places:
        return None
    files: list[MigrationFile] = []
    problems = [_ambiguous(folder, places)] if len(places) > 1 else []
    try:
        names = folder.names(places[0])
    except Unreadable as error:
        return Project(problems=(error.message,))
    for name in names:
        if not isdir(places[0] / name):
            continue
        try:
            content = folder.read(places[0] / name / "migration.sql", limit=LARGEST)
        except Unreadable as error:
            problems.append(error.message)
            continue
        files.append(_file(name, content))
    return Project(files=tuple(files), problems=tuple(problems))


def _is_migrations(place: Path) -> bool:
    if place.name != "migrations":
        return False
    return isfile(place / "migration_lock.toml") or any(place.glob("*/migration.sql"))


def _ambiguous(folder: Folder, places: list[Path]) -> Text:
    return Text(
        "There are several folders of Prisma migrations; {used} was read, not {others}. "
        "Name a project folder nearer to the right one.",
        used=folder.shown(places[0]),
        others=", ".join(folder.shown(place) for place in places[1:4]),
    )


def _file(name: str, content: bytes) -> MigrationFile:
    _number, _line, words = name.partition("_")
    unix = content.replace(b"\r\n", b"\n")
    # Git may have changed the line ends since the migration ran; Prisma accepts both, too.
    variants = dict.fromkeys(hashlib.sha256(each).hexdigest() for each in (content, unix, unix.replace(b"\n", b"\r\n")))
    return MigrationFile(
        revision=printable(name),
        description=printable(words.replace("_", " "), 300),
        checksums=tuple(variants),
    )
