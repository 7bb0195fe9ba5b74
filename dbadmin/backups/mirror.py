"""A storage's folder copied to another host by rsync over SSH. Nothing is deleted there unless somebody asks for it."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from django.utils import timezone

from dbadmin import audit
from dbadmin.archives.manifest import ARCHIVE_NAME, MANIFEST_NAME
from dbadmin.choices import CopyState
from dbadmin.exceptions import CommandFailed, Refused, StorageError, ToolMissing, ValidationFailed
from dbadmin.models import Copy, Storage
from dbadmin.process import Command
from dbadmin.progress import Progress
from dbadmin.storages.base import TEMPORARY
from dbadmin.text import Text

# user@host:folder, host:/folder, or a folder of this machine such as a mounted disk; never an option of rsync.
TARGET = re.compile(r"^(?!-)(?!rsync:)(?:(?:[\w.-]+@)?[\w.-]+:)?/?[^:\0]*[^:\0/ -][^:\0]*$")
PARTIAL = ".rsync-partial"


@dataclass(frozen=True, kw_only=True)
class Mirrored:
    """What one run did. ``missing``: keys of archives that the catalogue has and the storage lacks."""

    target: str
    files: int
    seconds: float
    missing: tuple[str, ...] = ()


def mirror(
    storage: Storage,
    target: str,
    *,
    actor: audit.Actor,
    progress: Progress,
    delete: bool = False,
    ssh_config: Path | None = None,
) -> Mirrored:
    """Make ``target`` have every archive of a local ``storage``; what is the same there is not sent again.

    ``delete`` also removes there what is gone here; ``Refused`` while anything is missing here that the catalogue
    has, so that an emptied disk never empties the mirror. Without it what is there is sent, and what is missing told.
    Interrupted files go on where they stopped. ``ssh_config``: in place of the user's own. ``ToolMissing`` without
    rsync; ``StorageError`` with what it said otherwise.
    """
    folder = _folder(storage)
    if not TARGET.match(target):
        raise ValidationFailed(
            Text("“{target}” is no place for a mirror.", target=target),
            Text("Write user@host:/folder, or a folder of this machine."),
        )
    missing = _missing(storage, folder)
    if delete and missing:
        raise _incomplete(missing)
    progress.phase(Text("Copying to {target}", target=target))
    began = timezone.now()
    sent = _rsync(_argv(folder, target, delete=delete, ssh_config=ssh_config), progress)
    now = timezone.now()
    Storage.objects.filter(pk=storage.pk).update(mirror_target=target, mirrored_at=now)
    audit.record(actor, "storage.mirror", storage, target=target, files=sent, delete=delete, missing=len(missing))
    return Mirrored(target=target, files=sent, seconds=round((now - began).total_seconds(), 2), missing=missing)


def _folder(storage: Storage) -> Path:
    if storage.kind != "local":
        raise Refused(
            Text("“{storage}” is not a folder of this machine.", storage=storage.name),
            Text("Add the other place as a storage, and as a second destination of the schedules."),
        )
    folder = Path(storage.settings["path"])
    if not folder.is_dir():
        raise StorageError(
            Text("The folder {folder} of the storage is not there.", folder=str(folder)), Text("Is its disk mounted?")
        )
    return folder


def _missing(storage: Storage, folder: Path) -> tuple[str, ...]:
    """Return the keys of what is not here, also where that was noticed before: the mirror may have the last copy."""
    expected = Copy.objects.filter(storage=storage, state__in=(CopyState.STORED, CopyState.VANISHED))
    keys = expected.order_by("-backup__started_at").values_list("backup__key", flat=True)
    return tuple(key for key in keys.iterator() if not _is_here(folder / key))


def _is_here(archive: Path) -> bool:
    names = (ARCHIVE_NAME, MANIFEST_NAME)
    return all((archive / name).exists() or (archive / f"{name}.age").exists() for name in names)


def _incomplete(missing: tuple[str, ...]) -> Refused:
    return Refused(
        Text("{count} archives that the catalogue has are missing here, such as {key}.", count=len(missing),
             key=missing[0]),
        Text("With --delete they would vanish from the mirror, too. Nothing was copied. Mount the disk or bring them "
             "back; delete those backups only if they are lost for good."),
    )  # fmt: skip


def _argv(folder: Path, target: str, *, delete: bool, ssh_config: Path | None) -> tuple[str, ...]:
    program = shutil.which("rsync")
    if program is None:
        raise ToolMissing(Text("rsync is not on this machine."), Text("Install it here and on the other host."))
    ssh = ["ssh", "-o", "BatchMode=yes", *(("-F", str(ssh_config)) if ssh_config else ())]
    return (
        program, "--archive", "--no-owner", "--no-group", "--out-format=%n", f"--partial-dir={PARTIAL}",
        f"--exclude={TEMPORARY}*", f"--rsh={shlex.join(ssh)}", *(("--delete-after",) if delete else ()),
        "--", f"{folder}/", target,
    )  # fmt: skip


def _rsync(argv: tuple[str, ...], progress: Progress) -> int:
    """Return how many files were sent."""
    try:
        said = Command(argv=argv).read(progress=progress)
    except CommandFailed as failed:
        raise StorageError(
            Text("The copy was not finished: {reason}", reason=failed.output[-1] if failed.output else failed.message),
            Text("Look whether the other host answers, knows our SSH key and has space; what arrived stays there."),
        ) from failed
    return sum(not line.endswith("/") for line in said.splitlines() if line)
