"""The PostgreSQL server that quickstart keeps for the samples, where it can run."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from dbadmin.engines.postgresql.clients import NEWEST, OLDEST, SYSTEM_FOLDERS, version_major
from dbadmin.engines.postgresql.cluster import USERS, Cluster
from dbadmin.exceptions import CommandFailed, ToolMissing
from dbadmin.process import Command
from dbadmin.text import Text

PROGRAMS = ("initdb", "pg_ctl", "postgres", "pg_dump", "pg_restore")
# Speaks to every older server, and knows zstd.
FETCHED_MAJOR = 16
OUTSIDE = Path("/var/lib/dbadmin")


def embedded_cluster(home: Path, *, fetch: Callable[[int, Path], Path], say: Callable[[Text], None]) -> Cluster:
    """Return the server of ``home``, not started yet: the system's newest, else a fetched one.

    One that was made before keeps its version. ``fetch(major, folder)`` gets the programs of a version into a folder
    and returns where they are. ``ToolMissing`` when there is neither.
    """
    folder = _folder(home, say)
    made = folder / "postgresql" / "data" / "PG_VERSION"
    wanted = version_major(made.read_text()) if made.exists() else 0
    programs = _installed(wanted) or fetch(wanted or FETCHED_MAJOR, folder / "postgresql-programs")
    return Cluster(folder=folder / "postgresql", bin_folder=programs, user=_user())


def _folder(home: Path, say: Callable[[Text], None]) -> Path:
    """Return the home folder; for root one outside it when the server's user may not go through its parents."""
    if os.geteuid() != 0:
        return home
    if not all(parent.stat().st_mode & 0o001 for parent in home.parents):
        folder = OUTSIDE / hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
        folder.mkdir(parents=True, exist_ok=True)
        say(
            Text(
                "PostgreSQL does not run as root and others may not enter {home}: its data is in {folder}.",
                home=str(home.parent),
                folder=str(folder),
            )
        )
        return folder
    if user := _user():
        os.chown(home, -1, pwd.getpwnam(user).pw_gid)
        home.chmod(0o710)  # the server's group may go through, and see nothing on the way
    return home


def _user() -> str:
    """Return the unprivileged user for the server when we are root."""
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in USERS if name in known), "") if os.geteuid() == 0 else ""


def _installed(wanted: int) -> Path | None:
    """Return the folder of the newest complete set of server and client programs, of one version when one is wanted."""
    found = {folder: _major(folder) for folder in _folders()}
    fitting = [folder for folder, major in found.items() if (major == wanted if wanted else OLDEST <= major <= NEWEST)]
    return max(fitting, key=lambda folder: found[folder], default=None)


def _folders() -> Iterator[Path]:
    places = [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    places += [folder for pattern in SYSTEM_FOLDERS for folder in Path("/").glob(pattern)]
    for place in places:
        folder = (place / "postgres").resolve().parent  # what stands on the PATH is often a link
        if all(os.access(folder / name, os.X_OK) for name in PROGRAMS):
            yield folder


def _major(folder: Path) -> int:
    try:
        said = Command(argv=(str(folder / "postgres"), "--version")).read()
    except (CommandFailed, ToolMissing):
        return 0
    match = re.search(r"\d+", said)
    return int(match.group()) if match else 0
