"""A PostgreSQL server of our own: made, started and stopped without touching any other."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dbadmin.engines.postgresql.connection import PostgreSQLConnection
from dbadmin.exceptions import CommandFailed, DatabaseError
from dbadmin.process import Command
from dbadmin.text import Text

LONGEST_SOCKET_PATH = 107
START_SECONDS = 60
LEFTOVER_SECONDS = 10
USERS = ("postgres", "nobody")


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A server whose data, log and socket are in ``folder``. Methods raise ``DbadminError`` with a sentence.

    bin_folder: where initdb, pg_ctl and postgres are. user: the system user to run as when we are root (PostgreSQL
    refuses root); by default ``postgres``, else ``nobody``. The folder is handed over to that user. Without
    ``password`` whoever may enter the folder (mode 0700) is let in. port 0: only the Unix socket, else also loopback.
    durable False turns fsync off, for data that may be lost.
    """

    folder: Path
    bin_folder: Path
    user: str = ""
    superuser: str = "postgres"
    password: str = field(default="", repr=False)
    port: int = 0
    durable: bool = True
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder.absolute() / "data"

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.folder.absolute() / "server.log"

    @property
    def socket_folder(self) -> Path:
        """Where the Unix socket is: in the folder, or in a short one of the same owner when that cannot be named.

        A socket's path has a greatest length, and a comma in it means two folders to server and clients.
        """
        inside = self.folder.absolute() / "socket"
        short = len(os.fsencode(inside / f".s.PGSQL.{self._socket_port}")) <= LONGEST_SOCKET_PATH
        if short and "," not in str(inside):
            return inside
        digest = hashlib.sha256(os.fsencode(self.folder.absolute())).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"dbadmin-{digest}"

    @property
    def _socket_port(self) -> int:
        return self.port or 5432

    def connection(self, dbname: str = "postgres") -> PostgreSQLConnection:
        """Return how its superuser reaches a database of it, through the socket."""
        return PostgreSQLConnection(
            host=str(self.socket_folder),
            port=self._socket_port,
            dbname=dbname,
            user=self.superuser,
            password=self.password,
        )

    def exists(self) -> bool:
        """Say whether it was made completely."""
        return (self.data / "global" / "pg_control").is_file() and (self.data / "dbadmin.conf").is_file()

    def create(self) -> None:
        """Make a new one with UTF-8 and the locale C.UTF-8; what an interrupted attempt left is removed first."""
        self._make_folder(self.folder.absolute())
        if self.data.exists():
            shutil.rmtree(self.data)
        self._check_reachable()
        with self._password_file() as password_file:
            argv = [
                self._program("initdb"),
                "-D",
                str(self.data),
                "-U",
                self.superuser,
                "-E",
                "UTF8",
                "--no-instructions",
            ]
            argv += ["--locale=C.UTF-8", f"--auth={'scram-sha-256' if self.password else 'trust'}"]
            argv += ["--pwfile", str(password_file)] if self.password else []
            argv += [] if self.durable else ["--no-sync"]
            self._run(tuple(argv))
        self._configure()

    def start(self) -> None:
        """Start it, making it first where it is missing, and return when it takes connections. It may run already."""
        if not self.exists():
            self.create()
        if self.running():
            return
        self._clear_leftovers()
        self._configure()
        self._make_folder(self.socket_folder)
        try:
            self._run(
                (
                    self._program("pg_ctl"),
                    "start",
                    "-D",
                    str(self.data),
                    "-l",
                    str(self.log),
                    "-w",
                    "-s",
                    "-t",
                    str(START_SECONDS),
                )
            )
        except CommandFailed as failed:
            raise DatabaseError(
                Text(
                    "The PostgreSQL server in {folder} did not start: {reason}",
                    folder=str(self.folder),
                    reason=self._last_words(),
                ),
                Text("Its log is {log}.", log=str(self.log)),
            ) from failed

    def stop(self) -> None:
        """Stop it and return when it is gone; nothing happens when it does not run."""
        if self.running():
            self._run(
                (
                    self._program("pg_ctl"),
                    "stop",
                    "-D",
                    str(self.data),
                    "-m",
                    "fast",
                    "-w",
                    "-s",
                    "-t",
                    str(START_SECONDS),
                )
            )

    def remove(self) -> None:
        """Stop it and delete its folder."""
        self.stop()
        for folder in (self.folder, self.socket_folder):
            shutil.rmtree(folder, ignore_errors=True)

    def running(self) -> bool:
        """Say whether its own server runs; a process that merely has the recorded number does not count."""
        pid = self._recorded_pid()
        return bool(pid) and _works_in(pid, self.data)

    def _recorded_pid(self) -> int:
        try:
            first = (self.data / "postmaster.pid").read_text().partition("\n")[0]
        except OSError:
            return 0
        return int(first) if first.strip().isdigit() else 0

    def _clear_leftovers(self) -> None:
        """After kill -9: let the old server's processes end, then remove what says that it runs.

        PostgreSQL does so itself unless its old process number was given to another process meanwhile.
        """
        until = time.monotonic() + LEFTOVER_SECONDS
        while leftover := [pid for pid in _processes() if _works_in(pid, self.data)]:
            if time.monotonic() > until:
                raise DatabaseError(
                    Text(
                        "Processes of an earlier server still work in {folder}: {pids}.",
                        folder=str(self.data),
                        pids=", ".join(map(str, leftover)),
                    ),
                    Text("End them, then start again."),
                )
            time.sleep(0.1)
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            for file in self.socket_folder.glob(".s.PGSQL.*"):
                file.unlink()

    def _configure(self) -> None:
        """Write our settings; postgresql.conf is left alone but for the line that includes them."""
        values = {
            "listen_addresses": "127.0.0.1" if self.port else "",
            "port": str(self._socket_port),
            "unix_socket_directories": str(self.socket_folder),
            "unix_socket_permissions": "0700",
            "max_connections": "100",
        }
        if not self.durable:
            values |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        values |= dict(self.settings)
        ours = self.data / "dbadmin.conf"
        ours.write_text("".join(f"{name} = '{_quoted(value)}'\n" for name, value in values.items()))
        self._hand_over(ours)
        main = self.data / "postgresql.conf"
        if "include = 'dbadmin.conf'" not in main.read_text():
            with main.open("a") as file:
                file.write("include = 'dbadmin.conf'\n")

    @contextlib.contextmanager
    def _password_file(self) -> Iterator[Path]:
        path = self.folder.absolute() / ".password"
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(self.password)
            self._hand_over(path)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _run(self, argv: tuple[str, ...]) -> None:
        owner = self._owner()
        Command(argv=argv, cwd=self.folder.absolute(), user=owner, secrets=(self.password,)).run()

    def _program(self, name: str) -> str:
        return str(self.bin_folder.absolute() / name)

    def _owner(self) -> tuple[int, int] | None:
        """Return who the server runs as; None for ourselves."""
        if os.geteuid() != 0:
            return None
        for name in (self.user,) if self.user else USERS:
            with contextlib.suppress(KeyError):
                entry = pwd.getpwnam(name)
                return entry.pw_uid, entry.pw_gid
        raise DatabaseError(
            Text("PostgreSQL does not run as root, and there is no user {user}.", user=self.user or ", ".join(USERS)),
            Text("Create the user, or start as another user than root."),
        )

    def _make_folder(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._hand_over(folder)
        folder.chmod(0o700)

    def _hand_over(self, path: Path) -> None:
        if owner := self._owner():
            os.chown(path, *owner)

    def _check_reachable(self) -> None:
        """Programs and folder have to be reachable for the user that the server runs as."""
        owner = self._owner()
        for path in (self.folder.absolute(), self.bin_folder.resolve()):
            if owner and not _reachable(path, *owner):
                raise DatabaseError(
                    Text("The user {user} cannot reach {path}.", user=pwd.getpwuid(owner[0]).pw_name, path=str(path)),
                    Text("Choose a folder that is not inside root's home, or start as another user than root."),
                )

    def _last_words(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            return "–"
        failures = [line for line in lines[-40:] if re.search(r"FATAL|PANIC|ERROR", line)]
        return (failures or lines or ["–"])[-1]


def free_port() -> int:
    """Return a TCP port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _works_in(pid: int, folder: Path) -> bool:
    """Say whether a process has the folder as its working folder, as every server process has its data folder.

    Where that cannot be seen (no /proc), a living process counts.
    """
    if not Path("/proc/self/cwd").exists():
        with contextlib.suppress(OSError):
            os.kill(pid, 0)
            return True
        return False
    try:
        return os.path.samefile(f"/proc/{pid}/cwd", folder)
    except OSError:
        return False


def _reachable(path: Path, uid: int, gid: int) -> bool:
    for folder in (path, *path.parents):
        stat = folder.stat()
        bit = 0o100 if stat.st_uid == uid else 0o010 if stat.st_gid == gid else 0o001
        if not stat.st_mode & bit:
            return False
    return True


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")
