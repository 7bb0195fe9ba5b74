"""What no registered source and no restore may touch: our own keys and catalogue, and the kernel's files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from dbadmin.exceptions import Refused
from dbadmin.text import Text

# /proc/self/environ is a file with our keys, where they come from the environment.
KERNEL = tuple(Path(folder) for folder in ("/proc", "/sys", "/dev"))

_protected: list[Path] = []
_exceptions: list[Path] = []


def configure(*, protected: Sequence[Path] = (), exceptions: Sequence[Path] = ()) -> None:
    """Say which folders and files are private, and which folders inside them are not."""
    _protected[:] = [_real(path) for path in protected]
    _exceptions[:] = [_real(path) for path in exceptions]


def require_public(path: Path, *, spool: Path | None = None) -> None:
    """Refuse a path that leads, through whatever links, to something private.

    What is beside ``spool`` is the caller's own.
    """
    if is_private(path) and not (spool is not None and _real(path).is_relative_to(_real(spool).parent)):
        raise Refused(
            Text("“{path}” belongs to dbadmin or to the kernel.", path=str(path)),
            Text("Choose a place outside dbadmin's home folder."),
        )


def require_apart(folder: Path, *, spool: Path | None = None) -> None:
    """Refuse a folder that is private, and one that something private is in, because it is going to be written to."""
    require_public(folder, spool=spool)
    if any(private.is_relative_to(_real(folder)) for private in _protected):
        raise Refused(
            Text("dbadmin's home folder is inside “{path}”.", path=str(folder)),
            Text("Register the folders beside it instead."),
        )


def is_private(path: Path) -> bool:
    """Say whether a path leads to something private."""
    real = _real(path)
    if any(real.is_relative_to(folder) for folder in _exceptions):
        return False
    return any(real.is_relative_to(folder) for folder in (*KERNEL, *_protected))


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
