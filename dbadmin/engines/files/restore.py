"""A restored set of files: a folder made beside and renamed into place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from dbadmin.engines.base import ReportLine
from dbadmin.engines.files.selection import sentences
from dbadmin.engines.paths import give, partial, require_space, sync
from dbadmin.engines.private import require_apart
from dbadmin.exceptions import ConnectionFailed, CorruptArchive, Refused
from dbadmin.progress import Progress
from dbadmin.text import Text

MEMBERS = "files"


def taken(target: Path) -> bool:
    """Say whether something is there; an empty folder is nothing."""
    if target.is_symlink() or not target.is_dir():
        return os.path.lexists(target)
    return any(target.iterdir())


def restore(target: Path, *, spool: Path, origin: Mapping[str, Any], progress: Progress) -> tuple[ReportLine, ...]:
    """Make the folder ``target`` of the files in ``spool``; after any exception it is as it was."""
    require_apart(target, spool=spool)
    with sentences(target):
        _require_free(target)
        files = sorted(path for path in (spool / MEMBERS).rglob("*") if path.is_file())
        _require_known(files, spool, origin)
        require_space(target.parent, sum(path.stat().st_size for path in files))
        temporary = partial(target)
        try:
            temporary.mkdir(mode=0o700)
            lines = _filled(temporary, files, spool=spool, origin=origin, progress=progress)
            os.rename(temporary, target)  # replaces an empty folder, fails on one that is not
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        sync(target.parent)
    return lines


def _require_free(target: Path) -> None:
    if taken(target):
        raise Refused(
            Text("“{path}” exists already; a restore goes into a new folder.", path=str(target)),
            Text("Choose another name, or replace the registered database."),
        )
    if not target.parent.is_dir():
        raise ConnectionFailed(
            Text("There is no folder “{folder}”.", folder=str(target.parent)), Text("Make it, or choose another place.")
        )


def _require_known(files: list[Path], spool: Path, origin: Mapping[str, Any]) -> None:
    """The files of the archive have to be those that were backed up, no fewer."""
    found = {path.relative_to(spool / MEMBERS).as_posix() for path in files}
    missing = sorted(origin.get("files", {}).keys() - found)
    if missing or not found:
        raise CorruptArchive(
            Text("“{name}” is missing from the backup.", name=missing[0] if missing else MEMBERS),
            Text("Restore another backup."),
        )


def _filled(
    temporary: Path, files: list[Path], *, spool: Path, origin: Mapping[str, Any], progress: Progress
) -> tuple[ReportLine, ...]:
    progress.phase(Text("Writing the files"), total=len(files), unit="items")
    kept: Mapping[str, Mapping[str, Any]] = origin.get("files", {})
    lines: list[ReportLine] = []
    for done, source in enumerate(files):
        progress.check()
        name = source.relative_to(spool / MEMBERS).as_posix()
        progress.update(done, current=name)
        path = temporary / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        shutil.copyfile(source, path)
        lines += give(path, kept.get(name, {}), label=name)
        if mtime := kept.get(name, {}).get("mtime_ns"):
            os.utime(path, ns=(mtime, mtime))
        sync(path)
    progress.update(len(files))
    return (*lines, *_folders(temporary, origin))


def _folders(temporary: Path, origin: Mapping[str, Any]) -> tuple[ReportLine, ...]:
    """Give the folders their modes, innermost first, since a mode may forbid entering."""
    kept: Mapping[str, Mapping[str, Any]] = origin.get("folders", {})
    lines: list[ReportLine] = []
    for name in sorted(kept, key=lambda name: -len(PurePosixPath(name).parts)):
        if (temporary / name).is_dir():
            sync(temporary / name)
            lines += give(temporary / name, kept[name], label=name)
    return tuple(lines)
