"""Proof that a SQLite backup comes back: a temporary file, its bytes, and what SQLite says of it."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import apsw
from backports import zstd

from dbadmin.engines.base import FULL, Examination
from dbadmin.engines.sqlite.connection import SQLiteConnection, sentences
from dbadmin.engines.sqlite.dump import MEMBERS, foreign_keys, integrity, reading
from dbadmin.engines.sqlite.measure import watched
from dbadmin.exceptions import CorruptArchive, ValidationFailed
from dbadmin.progress import Progress
from dbadmin.text import Text

FOLDER = "scratch"
WHOLE_FILE = "(database file)"
# For larger pieces Python fetches memory from the system each time.
CHUNK = 128 * 1024


@contextmanager
def scratch(spool: Path) -> Iterator[SQLiteConnection]:
    """Give a file name in a folder of the spool."""
    folder = spool / FOLDER
    folder.mkdir(mode=0o700)
    try:
        yield SQLiteConnection(folder / "drill.sqlite3")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def content(spool: Path, progress: Progress) -> Mapping[str, str]:
    """Hash the database as it is in the archive; nothing for a schema, which is no file."""
    member = spool / MEMBERS[FULL]
    if not member.exists():
        return {}
    progress.phase(Text("Comparing every byte"))
    try:
        with zstd.open(member, "rb") as file:
            return {WHOLE_FILE: _hash(file, progress)}
    except (zstd.ZstdError, EOFError) as error:
        raise CorruptArchive(
            Text("The backup cannot be unpacked: {reason}.", reason=str(error)), Text("Choose another backup.")
        ) from error


def content_of_file(path: Path, progress: Progress) -> Mapping[str, str]:
    """Hash a restored file, to which nobody writes."""
    with path.open("rb") as file:
        return {WHOLE_FILE: _hash(file, progress)}


def examine(path: Path, progress: Progress) -> tuple[Examination, ...]:
    """Run the integrity check and look for rows that point nowhere."""
    progress.phase(Text("Checking the restored file"))
    with sentences(path), reading(path) as db:
        watched(db, progress.check)
        return _integrity(db, path), _references(db)


def _integrity(db: apsw.Connection, path: Path) -> Examination:
    name = Text("Integrity check")
    try:
        remarks = integrity(db, path)
    except ValidationFailed as damage:
        return Examination(name=name, verdict="critical", message=damage.message)
    if remarks:
        return Examination(name=name, verdict="unknown", message=remarks[0])
    return Examination(name=name, verdict="ok", message=Text("SQLite finds nothing wrong."))


def _references(db: apsw.Connection) -> Examination:
    """The original's own broken references are no fault of the backup: a warning."""
    found = foreign_keys(db)
    verdict, message = ("warning", found[0]) if found else ("ok", Text("Every reference leads to a row."))
    return Examination(name=Text("Foreign keys"), verdict=verdict, message=message)


def _hash(file: io.BufferedIOBase | zstd.ZstdFile, progress: Progress) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
        progress.check()
    return digest.hexdigest()
