"""Folders for files on their way between a database and a storage; each is removed, whatever happens."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from dbadmin.engines import ENGINES
from dbadmin.exceptions import Refused, StorageError
from dbadmin.models import Job
from dbadmin.process import end_processes_in
from dbadmin.text import Text


def root() -> Path:
    """Return the folder of all spools, in the home folder."""
    return Path(settings.HOME) / "spool"


def make(job: Job | None = None) -> Path:
    """Make an empty folder for the owner only, named for the job, if there is one; the caller removes it."""
    folder = root() / f"job-{job.pk if job else 0}-{secrets.token_hex(4)}"
    with _sentences():
        root().mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.mkdir(mode=0o700)
    return folder


@contextmanager
def spool(job: Job | None = None) -> Iterator[Path]:
    """Give an empty folder that is gone after the block; ``StorageError`` when its disk is full."""
    folder = make(job)
    try:
        with _sentences():
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove(folder: Path) -> None:
    """Remove a folder of a process that died, with the servers and programs that still work for it."""
    for engine in ENGINES.values():
        engine.sweep(folder)
    end_processes_in(folder)
    shutil.rmtree(folder, ignore_errors=True)


def clean(job: Job) -> None:
    """Remove what a job that is over left on this machine."""
    for folder in root().glob(f"job-{job.pk}-*"):
        remove(folder)


def require_space(needed: int) -> None:
    """Refuse when fewer than ``needed`` bytes are free for spools."""
    folder = next(folder for folder in (root(), *root().parents) if folder.exists())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise Refused(
            Text(
                "The working folder {folder} has {free} MB free; about {needed} MB are needed.",
                folder=str(folder),
                free=free // 1_000_000,
                needed=needed // 1_000_000 + 1,
            ),
            Text("Free some space, or set DBADMIN_HOME to a larger disk."),
        )


@contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            Text("Writing to the working folder failed: {reason}.", reason=error.strerror or str(error)),
            Text("Check that {folder} may be written and has free space.", folder=str(root())),
        ) from error
