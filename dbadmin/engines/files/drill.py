"""Proof that a set of files comes back: a temporary folder and the hash of every file in it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dbadmin.engines.base import Examination
from dbadmin.engines.files.selection import FilesConnection
from dbadmin.progress import Progress
from dbadmin.text import Text

FOLDER = "scratch"
CHUNK = 1024 * 1024


@contextmanager
def scratch(spool: Path, origin: Mapping[str, Any]) -> Iterator[FilesConnection]:
    """Give a folder in the spool, with the patterns by which the set was chosen."""
    folder = spool / FOLDER
    folder.mkdir(mode=0o700)
    try:
        yield FilesConnection(folder / "files", tuple(origin.get("required", ())), tuple(origin.get("optional", ())))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def hashes(folder: Path, progress: Progress) -> Mapping[str, str]:
    """Return the SHA-256 of every file below ``folder``."""
    progress.phase(Text("Comparing every byte"))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _hash(path, progress) for path in files}


def judge(invalid: Sequence[Mapping[str, Any]], missing: Sequence[str]) -> tuple[Examination, ...]:
    """Say whether every file can be read by what uses it."""
    name = Text("Files can be read")
    if missing:
        message = Text("No file matches “{pattern}”.", pattern=", ".join(missing))
    elif invalid:
        message = Text("“{name}” does not parse: {reason}", name=invalid[0]["path"], reason=invalid[0]["reason"])
    else:
        return (Examination(name=name, verdict="ok", message=Text("Every file parses.")),)
    return (Examination(name=name, verdict="critical", message=message),)


def _hash(path: Path, progress: Progress) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            progress.check()
    return digest.hexdigest()
