"""A set of files put in the place of another, file by file, so that every file is at each moment the old or the new.

Everything is copied first: what is current into the folder ``kept``, what is new beside the files it will replace.
Only then names change. The candidate's folder goes last: while it is there, the switch is not over.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from dbadmin.engines.base import ReportLine, Switch
from dbadmin.engines.files.selection import FilesConnection, require_regular, select, sentences
from dbadmin.engines.paths import attributes, give, partial, remove_partials, require_here, require_space, sync
from dbadmin.engines.private import require_apart
from dbadmin.exceptions import ConnectionFailed, DbadminError, Refused
from dbadmin.progress import Progress, Silent
from dbadmin.text import Text


def beside_name(root: Path, suffix: str) -> str:
    """Return the folder's name with the suffix."""
    room = 255 - len(os.fsencode(suffix))
    return os.fsdecode(os.fsencode(root.name)[:room]) + suffix


def intend(connection: FilesConnection, *, candidate: str, kept: str) -> Switch:
    """Look whether the folder may be written and is free of what the switch makes."""
    root = connection.root
    require_apart(root)
    with sentences(root):
        if os.path.lexists(root.with_name(kept)):
            raise Refused(
                Text("“{path}” is there already.", path=str(root.with_name(kept))),
                Text("Move it away, then try again."),
            )
        for folder in {root, root.parent, *(file.path.parent for file in select(connection))}:
            if not os.access(folder, os.W_OK | os.X_OK):
                raise ConnectionFailed(
                    Text("“{path}” may not be written.", path=str(folder)),
                    Text("Run dbadmin as the user who owns the files, or give its user the right to write."),
                )
    return Switch(current=root.name, candidate=candidate, kept=kept)


def replace(connection: FilesConnection, switch: Switch, *, progress: Progress) -> tuple[ReportLine, ...]:
    """Copy what is current, lay out what is new, then rename file by file; an error puts everything back."""
    root = connection.root
    require_apart(root)
    candidate, kept = root.with_name(switch.candidate), root.with_name(switch.kept)
    with sentences(root):
        require_space(root.parent, sum(require_regular(file, root).st_size for file in select(connection)))
        require_space(root, _size(candidate))
        progress.phase(Text("Keeping the present files"))
        _keep(connection, candidate, kept, progress)
        progress.phase(Text("Switching"))
        lines = _exchange(connection, candidate, kept, progress)
        progress.phase(Text("Switched"))
        shutil.rmtree(candidate)
        sync(root.parent)
    return lines


def settle(connection: FilesConnection, switch: Switch) -> bool:
    """Finish what was begun, as far as it can be; otherwise put everything back."""
    root = connection.root
    candidate, kept = root.with_name(switch.candidate), root.with_name(switch.kept)
    require_here(root)
    with sentences(root):
        remove_partials(kept)
        if not kept.exists():
            return False
        if candidate.exists():
            try:
                _exchange(connection, candidate, kept, Silent())
            except DbadminError:  # it is put back
                return False
            shutil.rmtree(candidate)
    return True


def _keep(connection: FilesConnection, candidate: Path, kept: Path, progress: Progress) -> None:
    """Copy the set, and whatever else has a name of the candidate's; ``kept`` is there when it is whole."""
    temporary = partial(kept)
    try:
        temporary.mkdir(mode=0o700)
        for name in sorted({file.name for file in select(connection)} | set(_names(candidate))):
            progress.check()
            _require_no_folder(connection.root / name)
            if os.path.lexists(connection.root / name):
                _copy(connection.root / name, temporary / name)
        give(temporary, attributes(connection.root), label="")
        os.rename(temporary, kept)
        sync(kept.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _exchange(connection: FilesConnection, candidate: Path, kept: Path, progress: Progress) -> tuple[ReportLine, ...]:
    """Make the set what the candidate holds; after any failure it is what ``kept`` holds, which then is gone."""
    try:
        lines = _laid_over(connection, candidate, kept, progress)
    except BaseException:
        with sentences(kept):
            _laid_over(connection, kept, None, Silent())
            shutil.rmtree(kept)
        raise
    return lines


def _laid_over(
    connection: FilesConnection, source: Path, kept: Path | None, progress: Progress
) -> tuple[ReportLine, ...]:
    """Make the set what ``source`` holds. What changed since it was kept is kept anew before it is replaced."""
    with sentences(connection.root):
        staged, lines = _staged(source, connection.root, progress)
        try:
            for name in sorted({file.name for file in select(connection)} | set(staged)):
                if kept is not None:
                    _keep_again(connection.root / name, kept / name, source / name)
                if name in staged:
                    os.replace(staged[name], connection.root / name)
                else:
                    (connection.root / name).unlink()
        finally:
            for path in staged.values():
                path.unlink(missing_ok=True)
        for folder in {(connection.root / name).parent for name in staged}:
            sync(folder)
    return lines


def _require_no_folder(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        raise Refused(
            Text("“{path}” is a folder now, in the backup it is a file.", path=str(path)),
            Text("Move the folder away, then try again."),
        )


def _staged(source: Path, root: Path, progress: Progress) -> tuple[dict[str, Path], tuple[ReportLine, ...]]:
    """Write every new file beside the one it will replace, so that a full disk is met before a name changes."""
    staged: dict[str, Path] = {}
    lines: list[ReportLine] = []
    try:
        for name in _names(source):
            progress.check()
            target = root / name
            lines += _folders(source, root, name)
            _require_no_folder(target)
            remove_partials(target)
            staged[name] = partial(target)
            lines += _copy(source / name, staged[name])
    except BaseException:
        for path in staged.values():
            path.unlink(missing_ok=True)
        raise
    return staged, tuple(lines)


def _folders(source: Path, root: Path, name: str) -> Iterator[ReportLine]:
    """Make the folders that a file needs as they are in ``source``."""
    for folder in reversed(PurePosixPath(name).parents[:-1]):
        if not (root / folder).is_dir():
            (root / folder).mkdir()
            yield from give(root / folder, attributes(source / folder), label=str(folder))


def _keep_again(live: Path, kept: Path, new: Path) -> None:
    """A program may have written to a file after it was kept; what is lost otherwise is its newest content."""
    if not os.path.lexists(live) or live.is_symlink() or _same(live, kept) or _same(live, new):
        return
    again = partial(kept)
    kept.parent.mkdir(parents=True, exist_ok=True)
    _copy(live, again)
    os.replace(again, kept)


def _copy(source: Path, target: Path) -> tuple[ReportLine, ...]:
    """Copy a file with mode, owner and time, or a link as a link, and return when it is on the disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        target.symlink_to(os.readlink(source))
        return ()
    shutil.copyfile(source, target)
    kept = attributes(source)
    lines = give(target, kept, label=source.name)
    os.utime(target, ns=(kept["mtime_ns"], kept["mtime_ns"]))
    sync(target)
    return lines


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and _digest(one) == _digest(other)


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _names(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def _size(folder: Path) -> int:
    return sum((folder / name).stat().st_size for name in _names(folder))
