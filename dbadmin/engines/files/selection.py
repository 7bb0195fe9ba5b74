"""Which files of a folder belong to the set."""

from __future__ import annotations

import errno
import fnmatch
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dbadmin.engines.private import is_private, require_public
from dbadmin.exceptions import ConnectionFailed, DbadminError, StorageError, ValidationFailed
from dbadmin.text import Text


@dataclass(frozen=True)
class FilesConnection:
    """A folder and the files of it that count: globs relative to it, ``**`` for any depth.

    Each required glob has to match at least one file. Names that begin with a dot match only a glob that does.
    """

    root: Path
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """The folder."""
        return str(self.root)


@dataclass(frozen=True)
class Selected:
    """A file of the set: its name relative to the root, with slashes, and whether a required glob names it."""

    name: str
    path: Path
    required: bool


def select(connection: FilesConnection) -> tuple[Selected, ...]:
    """Return the files in order of their names. Raises for what may not be read, and for a missing root.

    ``Refused`` for a file of our own below a root that is not.
    """
    required = {path for pattern in connection.required for path in matches(connection.root, pattern)}
    optional = {path for pattern in connection.optional for path in matches(connection.root, pattern)}
    if not is_private(connection.root):  # a drill's copy is in the spool
        for path in required | optional:
            require_public(path)
    return tuple(
        Selected(path.relative_to(connection.root).as_posix(), path, path in required)
        for path in sorted(required | optional)
    )


def unmatched(connection: FilesConnection, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the globs that match no file."""
    return tuple(pattern for pattern in patterns if not any(matches(connection.root, pattern)))


def matches(root: Path, pattern: str) -> Iterator[Path]:
    """Yield the files that a glob matches; folders are not files. A folder that cannot be listed is an error."""
    for path in _walk(root, pattern.split("/")):
        if path.is_symlink() or not path.is_dir():
            yield path


def require_patterns(patterns: object, field: str) -> tuple[str, ...]:
    """Return the globs of a setting; ``ValidationFailed`` for one that could leave the folder."""
    if not isinstance(patterns, (list, tuple)) or not all(isinstance(pattern, str) for pattern in patterns):
        raise ValidationFailed(
            Text("The field {field} has to be a list of file patterns.", field=field),
            Text("Write one per line, such as {example}.", example="config/*.json"),
        )
    cleaned = tuple(dict.fromkeys(pattern.strip() for pattern in patterns if pattern.strip()))
    for pattern in cleaned:
        parts = pattern.split("/")
        if "" in parts or "." in parts or ".." in parts or "\0" in pattern:
            raise ValidationFailed(
                Text("“{pattern}” is not a pattern inside the folder.", pattern=pattern),
                Text("Write it relative to the folder, such as {example}.", example="config/*.json"),
            )
    return cleaned


def require_regular(selected: Selected, root: Path) -> os.stat_result:
    """Refuse links that leave the root, links to nothing, devices and names that no manifest can hold."""
    name = os.fsencode(selected.name).decode("utf-8", "backslashreplace")
    with sentences(selected.path):
        if name != selected.name:
            raise ValidationFailed(Text("The name of “{name}” is not UTF-8.", name=name), Text("Rename the file."))
        if not Path(os.path.realpath(selected.path)).is_relative_to(os.path.realpath(root)):
            raise ValidationFailed(
                Text("“{name}” is a link that leaves the folder.", name=name),
                Text("Name the file where it really is, or register its own folder."),
            )
        info = selected.path.stat()
    if not stat.S_ISREG(info.st_mode):
        raise ValidationFailed(
            Text("“{name}” is not a regular file.", name=name), Text("Leave it out of the patterns.")
        )
    return info


def _walk(folder: Path, parts: list[str]) -> Iterator[Path]:
    part, rest = parts[0], parts[1:]
    if part == "**":
        if rest:
            yield from _walk(folder, rest)
        for entry in _entries(folder):
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), parts)
            elif not rest:
                yield Path(entry.path)
        return
    for entry in _entries(folder):
        hidden = entry.name.startswith(".") and not part.startswith(".")
        if hidden or not fnmatch.fnmatchcase(entry.name, part):
            continue
        if not rest:
            yield Path(entry.path)
        elif entry.is_dir():
            yield from _walk(Path(entry.path), rest)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise explained(folder, error) from error


@contextmanager
def sentences(path: Path) -> Iterator[None]:
    """Turn what the operating system says about ``path`` into what somebody can act on."""
    try:
        yield
    except OSError as error:
        raise explained(path, error) from error


def explained(path: Path, error: OSError) -> DbadminError:
    """Return the sentence for an error of the operating system."""
    name = os.fsencode(path).decode("utf-8", "backslashreplace")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            Text("The disk that holds “{path}” is full.", path=name),
            Text("Free some space and try again; nothing partial was left."),
        )
    if isinstance(error, FileNotFoundError):
        return ConnectionFailed(
            Text("There is no “{path}”.", path=name),
            Text("Check the path, and whether the disk it is on is mounted."),
        )
    if isinstance(error, PermissionError):
        return ConnectionFailed(
            Text("“{path}” may not be read.", path=name),
            Text("Give the user that dbadmin runs as the right to read it and to enter its folder."),
        )
    if isinstance(error, NotADirectoryError):
        return ConnectionFailed(Text("“{path}” is not a folder.", path=name), Text("Name the folder of the files."))
    return ConnectionFailed(
        Text("“{path}” cannot be read: {reason}.", path=name, reason=error.strerror or str(error)),
        Text("Check the disk, its free space and, for a network file system, the connection to it."),
    )
