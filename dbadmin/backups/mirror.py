"""A storage's folder copied to another host by rsync over SSH. What is there is never replaced, nor deleted unasked."""

from __future__ import annotations

import re
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
LOST = (CopyState.DAMAGED, CopyState.VANISHED)
# What the catalogue does not call complete here would stay in the mirror as it is now, since nothing is replaced there.
UNSENT = (*LOST, CopyState.WAITING, CopyState.FAILED)
# rsync's "%i": eleven characters, of which the first two say what is done to what, and the fourth whether sizes differ.
ITEMS = "--out-format=%i %n"
NAME_AT = 12


@dataclass(frozen=True, kw_only=True)
class Mirrored:
    """What one run did.

    ``files`` were sent, ``deleted`` is how many files were removed there.
    ``missing``: keys of archives that the catalogue has and the storage lacks; ``withheld``: of those that are here
    and were not sent, since the catalogue calls them damaged or vanished. ``different``: files that have another size
    there than here.
    """

    target: str
    files: int
    deleted: int
    seconds: float
    missing: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    different: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the mirror has everything that the catalogue has, as far as sizes tell."""
        return not (self.missing or self.withheld or self.different)


def mirror(
    storage: Storage,
    target: str,
    *,
    actor: audit.Actor,
    progress: Progress,
    delete: bool = False,
    ssh_config: Path | None = None,
) -> Mirrored:
    """Make ``target`` have every good archive of a local ``storage``; a file that is there is never replaced.

    Archives never change, so what differs there is told, not mended: the one here may be the bad one. ``delete`` also
    removes there what is gone here; ``Refused`` while anything is missing here that the catalogue has, so that an
    emptied disk never empties the mirror, while there is no archive here at all, and when something would go there that
    the catalogue never had in this storage, as when it is a new one. Without it what is there is sent, and what is
    missing told.

    Interrupted files go on where they stopped. ``ssh_config``: in place of the user's own. ``ToolMissing`` without
    rsync; ``StorageError`` with what it said otherwise.
    """
    folder = _folder(storage)
    require_place(target)
    missing = _missing(storage, folder)
    if delete and missing:
        raise _incomplete(missing)
    progress.phase(Text("Copying to {target}", target=target))
    began = timezone.now()
    with _unsent(storage) as unsent:
        run = _Run(folder=folder, target=target, unsent=unsent, ssh_config=ssh_config, progress=progress)
        if delete:
            _require_known(storage, run)
        sent, deleted = run.send(delete=delete)
        different = run.different()
    now = timezone.now()
    Storage.objects.filter(pk=storage.pk).update(mirror_target=target, mirrored_at=now)
    audit.record(
        actor, "storage.mirror", storage, target=target, files=sent, delete=delete, deleted=deleted,
        missing=len(missing), different=len(different),
    )  # fmt: skip
    return Mirrored(
        target=target,
        files=sent,
        deleted=deleted,
        seconds=round((now - began).total_seconds(), 2),
        missing=missing,
        withheld=tuple(key for key in _keys(storage, LOST) if _is_here(folder / key)),
        different=different,
    )


def require_place(target: str) -> None:
    """Raise ``ValidationFailed`` for what is no address of rsync: a folder here, or user@host:/folder."""
    if not TARGET.match(target):
        raise ValidationFailed(
            Text("“{target}” is no place for a mirror.", target=target),
            Text("Write user@host:/folder, or a folder of this machine."),
        )


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
    expected = _keys(storage, (CopyState.STORED, CopyState.VANISHED))
    return tuple(key for key in expected if not _is_here(folder / key))


def _keys(storage: Storage, states: Iterable[CopyState]) -> Iterator[str]:
    copies = Copy.objects.filter(storage=storage, state__in=states).order_by("-backup__started_at")
    return copies.values_list("backup__key", flat=True).iterator()


def _has_any(storage: Storage, folder: Path) -> bool:
    """Whether there is an archive here that is sent, also one that the catalogue does not know."""
    unsent = {folder / key for key in _keys(storage, UNSENT)}
    found = (path.parent for path in folder.glob(f"*/*/{MANIFEST_NAME}*"))
    return any(archive not in unsent and _is_here(archive) for archive in found)


def _require_known(storage: Storage, run: _Run) -> None:
    """Refuse to delete there while there is nothing here, and what only another catalogue can know."""
    going = run.going()
    if going and not _has_any(storage, run.folder):
        raise _empty(run.folder, run.target, going)
    known = set(_keys(storage, CopyState))
    if unknown := [name for name in going if name.rpartition("/")[0] not in known]:
        raise _unknown(run.target, unknown)


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


@contextmanager
def _unsent(storage: Storage) -> Iterator[Path]:
    """Give a file with rsync's patterns of what is not sent; what is there under these names is not deleted either."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="dbadmin-") as patterns:
        patterns.writelines(f"/{_pattern(key)}/\n" for key in _keys(storage, UNSENT))
        patterns.flush()
        yield Path(patterns.name)


def _pattern(key: str) -> str:
    """rsync takes a backslash for an escape only where there is a wildcard."""
    return re.sub(r"([\\*?\[])", r"\\\1", key) if re.search(r"[*?\[]", key) else key


@dataclass(frozen=True, kw_only=True)
class _Run:
    """rsync, from ``folder`` to ``target``, but for what the patterns in the file ``unsent`` name."""

    folder: Path
    target: str
    unsent: Path
    ssh_config: Path | None
    progress: Progress

    def send(self, *, delete: bool) -> tuple[int, int]:
        """Send what is not there, and return how many files were sent and how many deleted.

        A file gets its name there when it is complete.
        """
        options = ("--ignore-existing", f"--partial-dir={PARTIAL}", *(("--delete-after",) if delete else ()))
        items = self._items(*options)
        return sum(item.startswith(("<f", ">f")) for item in items), len(_deleted(items))

    def going(self) -> list[str]:
        """Return the names of the files there that would be deleted; nothing is changed."""
        return _deleted(self._items("--dry-run", "--ignore-existing", "--delete-after"))

    def different(self) -> tuple[str, ...]:
        """Return the names of the files that have another size there; nothing is changed."""
        items = self._items("--dry-run", "--existing", "--size-only")
        return tuple(item[NAME_AT:] for item in items if re.match(r"[<>]f.s", item))

    def _items(self, *options: str) -> list[str]:
        try:
            return Command(argv=self._argv(*options)).read(progress=self.progress).splitlines()
        except CommandFailed as failed:
            said = [line for line in failed.output if not line.startswith("rsync")] or failed.output
            reason = said[-1] if said else failed.message
            raise StorageError(
                Text("The copy was not finished: {reason}", reason=reason),
                Text("Look whether the other host answers, knows our SSH key and has space; what arrived stays there."),
            ) from failed

    def _argv(self, *options: str) -> tuple[str, ...]:
        program = shutil.which("rsync")
        if program is None:
            raise ToolMissing(Text("rsync is not on this machine."), Text("Install it here and on the other host."))
        ssh = ["ssh", "-o", "BatchMode=yes", *(("-F", str(self.ssh_config)) if self.ssh_config else ())]
        return (
            program, "--archive", "--no-owner", "--no-group", ITEMS, *options, f"--exclude={TEMPORARY}*",
            f"--exclude-from={self.unsent}", f"--rsh={shlex.join(ssh)}", "--", f"{self.folder}/", self.target,
        )  # fmt: skip


def _deleted(items: Iterable[str]) -> list[str]:
    return [item[NAME_AT:] for item in items if item.startswith("*deleting") and not item.endswith("/")]


def _empty(folder: Path, target: str, deleted: list[str]) -> Refused:
    return Refused(
        Text("There is no good archive in {folder}, but {target} has {count} files, such as {name}.",
             folder=str(folder), target=target, count=len(deleted), name=deleted[0]),
        Text("With --delete they would vanish. Nothing was changed. Is it the right folder, and is its disk mounted? "
             "To bring archives back, copy them here and adopt them; to empty the mirror, delete its files there."),
    )  # fmt: skip


def _unknown(target: str, names: list[str]) -> Refused:
    return Refused(
        Text("{target} has {count} files that the catalogue knows nothing of, such as {name}.",
             target=target, count=len(names), name=names[0]),
        Text("With --delete they would vanish. Nothing was changed. Delete them there yourself, or copy them here and "
             "adopt them."),
    )  # fmt: skip
