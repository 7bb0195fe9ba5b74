"""Which client programs are here, and which of them fit a server."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dbadmin.exceptions import CommandFailed, Refused, ToolMissing
from dbadmin.process import Command
from dbadmin.text import Text

PROGRAMS = ("pg_dump", "pg_restore", "pg_dumpall")
# pg_restore of 17 and later sends settings that servers up to 16 answer with an error.
LAST_COMMON = 16
OLDEST, NEWEST = 13, 18
SYSTEM_FOLDERS = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin")
CONFIGURED, FETCHED, PATH, SYSTEM = "configured", "fetched", "path", "system"

_configured: list[Path] = []
_fetched: list[Path] = []
_jobs = 2


def configure(folders: Sequence[Path | str] = (), *, fetched: Path | None = None, jobs: int = 2) -> None:
    """Say which folders have client programs, where fetched ones are kept, and how many tables to work on at a time."""
    global _jobs
    _configured[:] = [Path(folder) for folder in folders]
    _fetched[:] = [fetched] if fetched else []
    _jobs = max(1, jobs)


def parallel_jobs() -> int:
    """Return how many tables a dump or restore works on at the same time."""
    return _jobs


@dataclass(frozen=True, kw_only=True)
class ClientSet:
    """pg_dump, pg_restore and pg_dumpall of one version in one folder. origin: configured, fetched, path or system."""

    major: int
    version: str
    folder: Path
    knows_zstd: bool
    origin: str

    def program(self, name: str) -> str:
        """Return the path of one of its programs."""
        return str(self.folder / name)

    @property
    def compression(self) -> str:
        """Return the value of ``--compress``: with zstd nearly as fast as can be and nearly as small as level 5 is."""
        return "zstd:2" if self.knows_zstd else ("gzip:1" if self.major >= LAST_COMMON else "1")


def find_clients() -> tuple[ClientSet, ...]:
    """Return every complete client set of this machine, in order of preference; each folder once."""
    found: dict[Path, ClientSet] = {}
    for folder, origin in _folders():
        real = folder.resolve()
        if real not in found and (client := _client(folder, origin)):
            found[real] = client
    return tuple(found.values())


def dump_client(server_major: int, clients: Sequence[ClientSet] | None = None) -> ClientSet:
    """Return the client for dumping a server; ``ToolMissing`` says what is there and what to do."""
    known = find_clients() if clients is None else clients
    for major in _wanted(server_major):
        if fitting := [client for client in known if client.major == major]:
            return max(fitting, key=lambda client: client.knows_zstd)
    raise _missing(server_major, known)


def restore_client(server_major: int, dumped_with: str, clients: Sequence[ClientSet] | None = None) -> ClientSet:
    """Return the client of the version that dumped, for restoring into a server.

    ``Refused`` when the server is older than the dump can be restored into, ``ToolMissing`` when it is not here.
    """
    known = find_clients() if clients is None else clients
    major = version_major(dumped_with)
    if server_major < major and major > LAST_COMMON:
        raise Refused(
            Text(
                "A backup made with PostgreSQL {dumped} cannot be restored into a server of version {server}.",
                dumped=major,
                server=server_major,
            ),
            Text("Choose a server of version {dumped} or newer.", dumped=major),
        )
    if fitting := [client for client in known if client.major == major]:
        return max(fitting, key=lambda client: (client.version == dumped_with, client.knows_zstd))
    raise _missing(major, known)


def version_major(version: str) -> int:
    """Return 16 of “16.15”; 0 of what is no version."""
    match = re.match(r"\d+", version)
    return int(match.group()) if match else 0


def forget() -> None:
    """Look at every folder anew, after programs were installed or removed."""
    _examined.cache_clear()


def _wanted(server_major: int) -> Iterator[int]:
    """Yield the client versions that fit, the best one first: never older than the server, never 17+ for ≤ 16."""
    if server_major > LAST_COMMON:
        yield server_major
        return
    yield LAST_COMMON
    yield from range(server_major, LAST_COMMON)


def _folders() -> Iterator[tuple[Path, str]]:
    yield from ((folder, CONFIGURED) for folder in _configured)
    for parent in _fetched:
        yield from ((folder, FETCHED) for folder in sorted(parent.glob("*/bin"), reverse=True))
    yield from ((Path(folder), PATH) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder)
    for pattern in SYSTEM_FOLDERS:
        yield from ((folder, SYSTEM) for folder in sorted(Path("/").glob(pattern), reverse=True))


def _client(folder: Path, origin: str) -> ClientSet | None:
    program = folder / "pg_dump"
    # Debian's wrapper in /usr/bin chooses a version by itself.
    if not all(os.access(folder / name, os.X_OK) for name in PROGRAMS) or program.resolve().name != "pg_dump":
        return None
    version, knows_zstd = _examined(str(program), program.stat().st_mtime_ns)
    if not version:
        return None
    return ClientSet(major=version_major(version), version=version, folder=folder, knows_zstd=knows_zstd, origin=origin)


@functools.cache
def _examined(program: str, changed: int) -> tuple[str, bool]:
    """Return version and knowledge of zstd; an empty version for a program that does not run."""
    try:
        said = Command(argv=(program, "--version")).read()
    except (CommandFailed, ToolMissing):
        return "", False
    match = re.search(r"\d+(\.\d+)?", said)
    return (match.group(), _knows_zstd(program)) if match else ("", False)


def _knows_zstd(program: str) -> bool:
    """A client without zstd says so before it tries to connect."""
    argv = (program, "--compress=zstd:1", "--format=custom", "--schema-only")
    nowhere = {"PGHOST": "/nonexistent", "PGDATABASE": "none", "PGCONNECT_TIMEOUT": "2"}
    ended = Command(argv=argv, env=nowhere).run(allowed=(0, 1, 2))
    return any("connection to server" in line for line in ended.tail)


def _missing(wanted: int, known: Sequence[ClientSet]) -> ToolMissing:
    there = ", ".join(f"{client.version} ({client.folder})" for client in known) or "–"
    major = max(wanted, LAST_COMMON) if wanted <= NEWEST else wanted
    if wanted > NEWEST or wanted < OLDEST:
        hint = Text(
            "Install the client programs of version {major} and name their folder in DBADMIN_POSTGRESQL_BIN.",
            major=major,
        )
    else:
        hint = Text("Run: manage.py clients install {major}", major=major)
    return ToolMissing(
        Text("No pg_dump and pg_restore here fit a PostgreSQL {major}. Found: {there}.", major=wanted, there=there),
        hint,
    )
