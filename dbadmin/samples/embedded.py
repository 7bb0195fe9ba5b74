"""The PostgreSQL server that quickstart keeps for the samples, where it can run."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from dbadmin.engines.postgresql import clients, fetch
from dbadmin.engines.postgresql.cluster import USERS, Cluster
from dbadmin.exceptions import CommandFailed, ToolMissing
from dbadmin.process import Command
from dbadmin.text import Text

PROGRAMS = ("initdb", "pg_ctl", "postgres")
# Speaks to every older server, and knows zstd.
FETCHED_MAJOR = 16
OUTSIDE = Path("/var/lib/dbadmin")
Say = Callable[[Text], None]


def embedded_cluster(home: Path, *, say: Say) -> Cluster:
    """Return the server of ``home``, not started yet: the system's newest, else a fetched one.

    One that was made before keeps its version. ``ToolMissing`` when no programs are there and none can be fetched.
    """
    folder = _folder(home, say)
    made = folder / "server" / "data" / "PG_VERSION"
    wanted = clients.version_major(made.read_text()) if made.exists() else 0
    programs = _installed(wanted) or _fetched(wanted or FETCHED_MAJOR, home, folder, say)
    _require_client(clients.version_major(_version(programs)), home, say)
    return Cluster(folder=folder / "server", bin_folder=programs, user=_user())


def _fetched(major: int, home: Path, folder: Path, say: Say) -> Path:
    """Return server programs that the server's user can reach, fetched when they are not there yet."""
    programs = _install(major, home, say)
    if folder == home:
        return programs
    copy = folder / "postgresql" / programs.parent.name
    if not copy.exists():
        temporary = copy.with_name(f".{copy.name}")
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(programs.parent, temporary, symlinks=True)
        temporary.rename(copy)
    return copy / "bin"


def _install(major: int, home: Path, say: Say) -> Path:
    if not fetch.fetched_folder(home / "postgresql", major).is_dir():
        say(Text("Fetching the programs of PostgreSQL {major} …", major=major))
    return fetch.install(major, home / "postgresql")


def _require_client(major: int, home: Path, say: Say) -> None:
    """Fetch client programs when none here fit the server; without them the samples can be looked at all the same."""
    try:
        clients.dump_client(major)
    except ToolMissing:
        try:
            _install(max(major, clients.LAST_COMMON), home, say)
        except ToolMissing as error:
            say(Text("Backups of the PostgreSQL samples will fail: {reason}", reason=error.message))


def _folder(home: Path, say: Say) -> Path:
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
    """Return the folder of the newest complete set of server programs, of one version when one is wanted."""
    found = {folder: clients.version_major(_version(folder)) for folder in _folders()}
    fitting = [
        folder
        for folder, major in found.items()
        if (major == wanted if wanted else clients.OLDEST <= major <= clients.NEWEST)
    ]
    return max(fitting, key=lambda folder: found[folder], default=None)


def _folders() -> Iterator[Path]:
    places = [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    places += [folder for pattern in clients.SYSTEM_FOLDERS for folder in Path("/").glob(pattern)]
    for place in places:
        folder = (place / "postgres").resolve().parent  # what stands on the PATH is often a link
        if all(os.access(folder / name, os.X_OK) for name in PROGRAMS):
            yield folder


def _version(folder: Path) -> str:
    """Return such as “16.15”; empty for a program that does not run."""
    try:
        said = Command(argv=(str(folder / "postgres"), "--version")).read()
    except (CommandFailed, ToolMissing):
        return ""
    match = re.search(r"\d+(\.\d+)?", said)
    return match.group() if match else ""
