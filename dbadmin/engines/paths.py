"""What the engines of files on this machine have in common."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dbadmin.engines.base import ReportLine
from dbadmin.exceptions import ConnectionFailed, Refused, ValidationFailed
from dbadmin.text import Text

_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs", "fuse.glusterfs"}


def absolute(settings: Mapping[str, Any], field: str = "path") -> Path:
    """Return the absolute path of a setting; ``ValidationFailed`` names the field."""
    path = settings.get(field)
    if not isinstance(path, str) or not path.strip():
        raise ValidationFailed(Text("The field {field} is empty.", field=field), Text("Fill in the path."))
    if not path.startswith("/") or "\0" in path:
        raise ValidationFailed(
            Text("“{path}” is not an absolute path.", path=path),
            Text("Write the path from the root, beginning with “/”."),
        )
    return Path(path)


def beside(original: Path, name: str) -> Path:
    """Return the path of something called ``name`` beside the original, or of an absolute path."""
    path = Path(name)
    if name != name.strip() or not path.name or ".." in path.parts or "\0" in name or name.endswith("/"):
        raise ValidationFailed(
            Text("“{name}” cannot be the name of a file or folder.", name=name), Text("Choose another name.")
        )
    if "/" in name and not path.is_absolute():
        raise ValidationFailed(
            Text("“{name}” is neither a name nor an absolute path.", name=name),
            Text("Write a name to put it beside the original, or a path beginning with “/”."),
        )
    return original.parent / path


def partial(target: Path) -> Path:
    """Return a new name beside ``target`` for what is to become it; ``remove_partials`` finds it after a crash."""
    return target.with_name(f"{_partial_prefix(target)}{secrets.token_hex(4)}.partial")


def require_here(path: Path) -> None:
    """Raise ``ConnectionFailed`` where the path is not: nothing of what happened to it can be seen from here."""
    if not path.exists():
        raise ConnectionFailed(
            Text("“{path}” is not on this machine.", path=str(path)),
            Text("Is its disk mounted? If it is another machine's, give the database a site and start a worker there."),
        )


def remove_partials(target: Path) -> None:
    """Remove what a process that died had begun to make of ``target``."""
    for path in target.parent.glob(f"{_partial_prefix(target)}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _partial_prefix(target: Path) -> str:
    return f".dbadmin-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12]}-"


def network_file_system(path: Path) -> str:
    """Return the kind of network file system a path is on, as the kernel names it; empty when it is on none."""
    best, kind = "", ""
    try:
        mounts = Path("/proc/self/mounts").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    for _device, place, name, *_rest in (line.split(" ") for line in mounts):
        folder = place.replace("\\040", " ")
        if path.is_relative_to(folder) and len(folder) >= len(best):
            best, kind = folder, name
    return kind if kind in _NETWORK else ""


def require_space(folder: Path, needed: int) -> None:
    """Refuse before anything is written when ``needed`` bytes do not fit."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise Refused(
            Text(
                "The copy needs {needed} MB in “{folder}”, which has {free} MB free.",
                needed=needed // 1_000_000 + 1,
                folder=str(folder),
                free=free // 1_000_000,
            ),
            Text("Free some space and try again; nothing was written."),
        )


def attributes(path: Path) -> dict[str, int]:
    """Return mode and owner of a file or folder, for ``give``."""
    stat = path.stat()
    return {"mode": stat.st_mode & 0o7777, "uid": stat.st_uid, "gid": stat.st_gid, "mtime_ns": stat.st_mtime_ns}


def give(path: Path, wanted: Mapping[str, Any], *, label: str) -> tuple[ReportLine, ...]:
    """Give a file or folder the owner, as far as we may, and the mode it had; say when the owner was refused.

    The bits that let a program run as its owner are given only together with that owner.
    """
    mode = int(wanted.get("mode", 0o600))
    try:
        os.chown(path, int(wanted.get("uid", -1)), int(wanted.get("gid", -1)))
    except PermissionError:
        path.chmod(mode & 0o777)
        owner = f"{wanted.get('uid')}:{wanted.get('gid')}"
        return (
            ReportLine(level="info", object=label, message=Text("The owner {owner} could not be set.", owner=owner)),
        )
    path.chmod(mode)
    return ()


def sync(path: Path) -> None:
    """Return when a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
